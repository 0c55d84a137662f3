"""CenterPoint's detection head."""

import math
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from pipeline.geometry.grid import BevGrid
from pipeline.networks.heads.decoding import NMS_RADII, Detections, decode
from pipeline.networks.heads.targets import DetectionTargets, detection_targets
from pipeline.networks.layers import conv_block, to_channels_last
from pipeline.params import Heads

CLASSES = len(NMS_RADII)  # nuScenes' detection classes in the devkit's order
REGRESSION = {"offset": 2, "height": 1, "size": 3, "rotation": 2, "velocity": 2}
PRIOR = 0.05  # score of every cell before training (Lin et al., focal loss, arXiv 1708.02002, section 3.3)


class CenterPointHead(nn.Module):
    """Heat maps and box regression (Yin et al., CenterPoint, arXiv 2006.11275).

    One trunk for all ten classes, then one hidden convolution for the heat maps and one for all regressions together.

    Args:
        inputs: channels of the fused map.
        heads: widths and decoding limits.
        grid: grid of the fused map.
    """

    def __init__(self, inputs: int, heads: Heads, grid: BevGrid) -> None:
        super().__init__()
        width = heads.detection_channels
        self.grid = grid
        self.max_boxes, self.min_score, self.radius_scale = heads.max_boxes, heads.min_score, heads.nms_radius_scale
        self.trunk = conv_block(inputs, width)
        self.heatmap = nn.Sequential(conv_block(width, width), nn.Conv2d(width, CLASSES, 1))
        self.regression = nn.Sequential(conv_block(width, width), nn.Conv2d(width, sum(REGRESSION.values()), 1))
        last = self.heatmap[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.constant_(last.bias, math.log(PRIOR / (1 - PRIOR)))
        # Upstream's deviation of 0.01 starves the layers below of gradient for the first hundreds of steps.
        nn.init.normal_(last.weight, std=0.1)
        to_channels_last(self)

    def forward(self, bev: Tensor) -> dict[str, Tensor]:
        """[B, inputs, S, S] to maps [B, *, S, S].

        Returns:
            heatmap 10 (logits), offset 2 (cells from the cell centre), height 1 (m), size 3 (log m), rotation 2
            (sin, cos), velocity 2 (m/s).
        """
        trunk = self.trunk(bev)
        parts = self.regression(trunk).split(list(REGRESSION.values()), dim=1)
        return {"heatmap": self.heatmap(trunk), **dict(zip(REGRESSION, parts, strict=True))}

    def targets(self, boxes: Sequence[Tensor], classes: Sequence[Tensor]) -> DetectionTargets:
        """Targets for labelled boxes per frame; see `detection_targets`."""
        return detection_targets(boxes, classes, self.grid, CLASSES)

    def decode(self, outputs: Mapping[str, Tensor]) -> list[Detections]:
        """Boxes per frame within the head's limits; see `decode`."""
        return decode(
            outputs,
            self.grid,
            max_boxes=self.max_boxes,
            min_score=self.min_score,
            radius_scale=self.radius_scale,
        )
