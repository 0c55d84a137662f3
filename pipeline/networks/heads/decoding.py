"""From the detection head's maps to boxes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.geometry.grid import BevGrid

# Circle NMS radius per detection class, metres. CenterPoint's nuScenes configuration lists these squared.
NMS_RADII = tuple(squared**0.5 for squared in (4.0, 12.0, 10.0, 10.0, 12.0, 0.175, 0.85, 0.85, 0.175, 1.0))
CANDIDATES = 500  # peaks looked at per frame, over all classes
MAX_LOG_SIZE = 4.0  # e^4 = 55 m; keeps an untrained head's sizes finite


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


def circle_nms(
    centres: NDArray[np.float64], classes: NDArray[np.int64], radii: NDArray[np.float64], limit: int
) -> NDArray[np.int64]:
    """Greedy suppression by centre distance, within each class.

    Args:
        centres: [K, 2], metres, ordered by falling score.
        classes: int [K].
        radii: [classes], metres; a box closer than or as close as this to a better box of its class goes.
        limit: most boxes kept.

    Returns:
        int64, indices kept, in order.
    """
    apart = ((centres[:, None] - centres[None]) ** 2).sum(-1)
    rivals = (classes[:, None] == classes[None]) & (apart <= (radii[classes] ** 2)[:, None])
    alive = np.ones(len(centres), bool)
    kept = []
    for i in range(len(centres)):
        if alive[i]:
            kept.append(i)
            alive &= ~rivals[i]
            if len(kept) == limit:
                break
    return np.asarray(kept, np.int64)


@torch.no_grad()
def decode(
    outputs: Mapping[str, Tensor], grid: BevGrid, *, max_boxes: int, min_score: float, radius_scale: float
) -> list[Detections]:
    """Heat-map peaks (largest of their 3 x 3 cells) to boxes, then circle NMS.

    Args:
        outputs: the maps of `CenterPointHead`, [B, *, S, S].
        grid: the head's grid.
        max_boxes: most boxes per frame.
        min_score: peaks below are dropped.
        radius_scale: multiplies `NMS_RADII`; 0 switches suppression off but for equal centres.

    Returns:
        One `Detections` per frame, on the device of `outputs`.
    """
    heat = outputs["heatmap"].float().sigmoid()
    frames, class_count, size, _ = heat.shape
    peaks = heat * (functional.max_pool2d(heat, 3, stride=1, padding=1) == heat)
    scores, flat = peaks.reshape(frames, -1).topk(min(CANDIDATES, class_count * size * size))
    radii = np.asarray(NMS_RADII[:class_count]) * radius_scale
    regression = torch.cat([outputs[name].float() for name in ("offset", "height", "size", "rotation", "velocity")], 1)
    detections = []
    for b in range(frames):
        good = scores[b] >= max(min_score, 1e-6)
        score, place = scores[b][good], flat[b][good]
        label, cell = torch.div(place, size * size, rounding_mode="floor"), place % (size * size)
        row, column = torch.div(cell, size, rounding_mode="floor"), cell % size
        values = regression[b, :, row, column].T
        xy = (torch.stack([column, row], 1) + 0.5 + values[:, :2]) * grid.cell - grid.reach
        lengths = values[:, 3:6].clamp(max=MAX_LOG_SIZE).exp()
        yaw = torch.atan2(values[:, 6], values[:, 7])
        boxes = torch.cat([xy, values[:, 2:3], lengths, yaw[:, None], values[:, 8:10]], 1)
        kept = torch.from_numpy(circle_nms(xy.double().cpu().numpy(), label.cpu().numpy(), radii, max_boxes)).to(
            boxes.device
        )
        detections.append(Detections(boxes[kept], score[kept], label[kept]))
    return detections
