"""CenterPoint's detection head."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pipeline.geometry.grid import BevGrid
from pipeline.networks.heads.decoding import Detections, decode_maps
from pipeline.networks.heads.targets import DetectionTargets, detection_targets
from pipeline.networks.layers import conv_block, start_at_prior, to_channels_last
from pipeline.params import Heads
from pipeline.params.classes import DETECTION_CLASSES

REGRESSION = {"offset": 2, "height": 1, "size": 3, "rotation": 2, "velocity": 2}
PRIOR = 0.05  # score of every cell before training


class CenterPointHead(nn.Module):
    """Heat maps and box regression (Yin et al., CenterPoint, arXiv 2006.11275).

    A shared trunk, then for each group of classes its own heat maps and one set of regressions.

    Args:
        inputs: channels of the fused map.
        heads: width, groups, branches and decoding limits.
        grid: grid of the fused map.
    """

    group_of: Tensor
    order: Tensor

    def __init__(self, inputs: int, heads: Heads, grid: BevGrid) -> None:
        super().__init__()
        self.grid, self.heads = grid, heads
        width = heads.detection_channels
        self.trunk = conv_block(inputs, width)
        self.groups = nn.ModuleList(GroupBranches(width, len(group), heads.branches) for group in heads.groups)
        listed = [name for group in heads.groups for name in group]
        order = torch.tensor([listed.index(name) for name in DETECTION_CLASSES])
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("group_of", torch.tensor(heads.group_of), persistent=False)
        to_channels_last(self)

    def forward(self, bev: Tensor) -> dict[str, Tensor]:
        """[B, inputs, S, S] to maps.

        Returns:
            heatmap [B, 10, S, S] (logits, classes in the order of `DETECTION_CLASSES`), and per group, [B, G, *, S, S]:
            offset 2 (cells from the cell centre), height 1 (m), size 3 (log m), rotation 2 (sin, cos), velocity 2
            (m/s).
        """
        trunk = self.trunk(bev)
        groups = [group(trunk) for group in self.groups]
        maps = {name: torch.stack([group[name] for group in groups], 1) for name in REGRESSION}
        return {"heatmap": torch.cat([group["heatmap"] for group in groups], 1)[:, self.order], **maps}

    def targets(self, boxes: Sequence[Tensor], classes: Sequence[Tensor]) -> DetectionTargets:
        """Targets for labelled boxes per frame; see `detection_targets`."""
        return detection_targets(boxes, classes, self.grid, self.group_of)

    def decode(self, outputs: Mapping[str, Tensor]) -> list[Detections]:
        """Boxes per frame within the head's limits; see `decode_maps`."""
        return decode_maps(outputs, self.grid, self.heads)


class GroupBranches(nn.Module):
    """Heat maps and regressions of one group.

    Args:
        width: channels of the trunk.
        classes: heat maps.
        branches: joint: one hidden convolution for the heat maps and one for all regressions together, 1x1 outputs.
            separate: one for each, 3x3 outputs, as in CenterPoint's SeparateHead.
    """

    def __init__(self, width: int, classes: int, branches: str) -> None:
        super().__init__()
        joint = branches == "joint"
        outputs = {"heatmap": classes, **({"regression": sum(REGRESSION.values())} if joint else REGRESSION)}
        kernel = 1 if joint else 3
        self.parts = nn.ModuleDict()
        for name, channels in outputs.items():
            last = nn.Conv2d(width, channels, kernel, padding=kernel // 2)
            self.parts[name] = nn.Sequential(conv_block(width, width), last)
            if name == "heatmap":
                start_at_prior(last, PRIOR)
                # Upstream's deviation of 0.01 starves the layers below of gradient for the first hundreds of steps.
                nn.init.normal_(last.weight, std=0.1 / kernel)

    def forward(self, trunk: Tensor) -> dict[str, Tensor]:
        """[B, width, S, S] to maps [B, *, S, S]: heatmap and every name in `REGRESSION`."""
        maps = {name: part(trunk) for name, part in self.parts.items()}
        if "regression" in maps:
            parts = maps.pop("regression").split(list(REGRESSION.values()), dim=1)
            maps |= dict(zip(REGRESSION, parts, strict=True))
        return maps
