"""Which of several boxes on one object stays."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.networks.heads.rotated_iou import bev_iou
from pipeline.params import Heads
from pipeline.params.classes import DETECTION_CLASSES


def suppress(boxes: Tensor, classes: Tensor, heads: Heads) -> Tensor:
    """Greedy non-maximum suppression as `heads.nms` says, among boxes of a class or of a group (`heads.nms_within`).

    A box goes if a better one that stays lies within `nms_radii` (centre to centre; circle) or overlaps by more than
    `nms_ious` (BEV IoU; rotated). The limit is that of the better box's class.

    Args:
        boxes: float [K, 9] in `BOX_FIELDS` order, by falling score.
        classes: int64 [K].
        heads: the rule, its limits and `max_boxes`.

    Returns:
        int64 [at most max_boxes], the boxes that stay, in order, on the device of `boxes`.
    """
    if heads.nms == "none":
        return torch.arange(min(len(boxes), heads.max_boxes), device=boxes.device)
    kinds = classes if heads.nms_within == "class" else torch.tensor(heads.group_of, device=boxes.device)[classes]
    rivals = kinds[:, None] == kinds
    limits = heads.nms_radii if heads.nms == "circle" else heads.nms_ious
    limit = torch.tensor([limits[name] for name in DETECTION_CLASSES], dtype=torch.float64, device=boxes.device)
    if heads.nms == "circle":
        x, y = boxes[:, :2].double().unbind(1)
        rivals &= torch.hypot(x[:, None] - x, y[:, None] - y) <= limit[classes][:, None]
    else:
        rivals &= bev_iou(boxes, boxes, rivals.triu(1)) > limit[classes][:, None]
    return torch.from_numpy(keep_best(rivals.cpu().numpy(), heads.max_boxes)).to(boxes.device)


def keep_best(rivals: NDArray[np.bool_], limit: int) -> NDArray[np.int64]:
    """The first of every set of rivals.

    Args:
        rivals: bool [K, K]; row i marks what box i takes away if it stays. Boxes are ordered by falling score.
        limit: most boxes kept.

    Returns:
        int64, indices kept, in order.
    """
    alive = np.ones(len(rivals), bool)
    kept: list[int] = []
    for i in range(len(rivals)):
        if len(kept) == limit:
            break
        if alive[i]:
            kept.append(i)
            alive &= ~rivals[i]
    return np.asarray(kept, np.int64)
