"""Slow, obvious twins of the heads' boxes, suppression, assignment and losses."""

import math
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray
from shapely import Polygon, affinity, box

Array = NDArray[Any]


def footprint(row: Array) -> Polygon:
    """The footprint of a box [9] in `BOX_FIELDS` order as shapely sees it."""
    x, y, length, width, yaw = (float(row[k]) for k in (0, 1, 3, 4, 6))
    straight = box(-length / 2, -width / 2, length / 2, width / 2)
    return affinity.translate(affinity.rotate(straight, yaw, origin=(0, 0), use_radians=True), x, y)


def bev_iou(a: Array, b: Array) -> float:
    """shapely's intersection over the sum of the areas less it."""
    shared = footprint(a).intersection(footprint(b)).area
    return float(shared / (a[3] * a[4] + b[3] * b[4] - shared))


def volume_iou(a: Array, b: Array) -> float:
    """The same with the common height."""
    height = min(a[2] + a[5] / 2, b[2] + b[5] / 2) - max(a[2] - a[5] / 2, b[2] - b[5] / 2)
    shared = footprint(a).intersection(footprint(b)).area * max(height, 0)
    return float(shared / (a[3] * a[4] * a[5] + b[3] * b[4] * b[5] - shared))


def suppression(boxes: Array, kinds: Array, rivals: Callable[[int, int], bool]) -> list[int]:
    """A box stays if no kept better box of its kind takes it away: `rivals(better, box)`."""
    kept: list[int] = []
    for i in range(len(boxes)):
        if not any(kinds[i] == kinds[j] and rivals(j, i) for j in kept):
            kept.append(i)
    return kept


def matching_costs(logits: Array, predicted: Array, boxes: Array, classes: Array, reach: float) -> list[list[float]]:
    """TransFusion's cost of every pair of a proposal and a labelled box."""
    rows = []
    for p in range(len(logits)):
        row = []
        for m in range(len(boxes)):
            score = 1 / (1 + math.exp(-logits[p, classes[m]]))
            if_true = -math.log(score) * 0.25 * (1 - score) ** 2
            if_false = -math.log(1 - score) * 0.75 * score**2
            distance = (abs(predicted[p, 0] - boxes[m, 0]) + abs(predicted[p, 1] - boxes[m, 1])) / (2 * reach)
            overlap = volume_iou(predicted[p], boxes[m])
            row.append(0.15 * (if_true - if_false) + 0.25 * distance - 0.25 * overlap)
        rows.append(row)
    return rows


def heatmap_focal(logits: Array, heatmap: Array) -> float:
    """CornerNet's equation 1 with plain logarithms."""
    total, centres = 0.0, 0
    for logit, wanted in zip(logits.ravel(), heatmap.ravel(), strict=True):
        score = 1 / (1 + math.exp(-logit))
        if wanted == 1:
            total -= (1 - score) ** 2 * math.log(score)
            centres += 1
        else:
            total -= (1 - wanted) ** 4 * score**2 * math.log(1 - score)
    return total / max(centres, 1)


def sigmoid_focal(logit: float, mask: float, gamma: float = 2.0, alpha: float | None = None) -> float:
    """One element."""
    score = 1 / (1 + math.exp(-logit))
    true = score if mask == 1 else 1 - score
    weight = 1.0 if alpha is None else alpha if mask == 1 else 1 - alpha
    return -weight * math.pow(1 - true, gamma) * math.log(true)
