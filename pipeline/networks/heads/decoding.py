"""From CenterPoint's maps to boxes, and the form in which every detection head gives them."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.geometry.grid import BevGrid
from pipeline.networks.heads.encoding import decode_boxes
from pipeline.networks.heads.suppression import suppress
from pipeline.params import Heads

CANDIDATES = 500  # peaks looked at per frame, over all classes
MIN_SCORE = 1e-6  # a cell that is no peak has 0


@dataclass(frozen=True)
class Detections:
    """Boxes of one frame, best first.

    Attributes:
        boxes: float32 [K, 9] in `BOX_FIELDS` order, BEV frame.
        scores: float32 [K], 0 to 1.
        classes: int64 [K].
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor


def select(boxes: Tensor, scores: Tensor, classes: Tensor, heads: Heads) -> Detections:
    """One frame's boxes [K, 9] by falling score [K]: those from `min_score` on that suppression leaves."""
    good = scores >= max(heads.min_score, MIN_SCORE)
    boxes, scores, classes = boxes[good], scores[good], classes[good]
    kept = suppress(boxes, classes, heads)
    return Detections(boxes[kept], scores[kept], classes[kept])


@torch.no_grad()
def decode_maps(outputs: Mapping[str, Tensor], grid: BevGrid, heads: Heads) -> list[Detections]:
    """Heat-map peaks (largest of their 3 x 3 cells) to boxes, then suppression.

    Args:
        outputs: the maps of `CenterPointHead`.
        grid: the head's grid.
        heads: groups and limits.

    Returns:
        One `Detections` per frame, on the device of `outputs`.
    """
    heat = outputs["heatmap"].float().sigmoid()
    frames, class_count, size, _ = heat.shape
    peaks = heat * (functional.max_pool2d(heat, 3, stride=1, padding=1) == heat)
    scores, flat = peaks.reshape(frames, -1).topk(min(CANDIDATES, class_count * size * size))
    regression = torch.cat([outputs[name].float() for name in ("offset", "height", "size", "rotation", "velocity")], 2)
    group_of = torch.tensor(heads.group_of, device=heat.device)
    detections = []
    for b in range(frames):
        label, cell = torch.div(flat[b], size * size, rounding_mode="floor"), flat[b] % (size * size)
        row, column = torch.div(cell, size, rounding_mode="floor"), cell % size
        codes = regression[b, group_of[label], :, row, column]
        codes[:, :2] += torch.stack([column, row], 1) + 0.5
        detections.append(select(decode_boxes(codes, grid), scores[b], label, heads))
    return detections
