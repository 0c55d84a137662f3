"""Overlap of rotated boxes, exact."""

import torch
from torch import Tensor


def intersection_areas(first: Tensor, second: Tensor) -> Tensor:
    """Areas of the intersections of pairs of rectangles.

    In the frame of the second rectangle every point of the first one's outline is drawn to the nearest point of the
    second rectangle. That leaves the winding number of each inner point as it was, so the outline then encloses just
    the intersection. No vertex has to be classified, so nothing jumps where boxes coincide, touch or have no extent.

    Args:
        first: float [P, 5]: x, y, length, width (m), yaw (rad).
        second: float [P, 5].

    Returns:
        float64 [P], square metres.
    """
    first, second = first.double(), second.double()
    half = second[:, None, 2:4] / 2
    corners = _rotate(_corners(first) + (first - second)[:, None, :2], -second[:, 4])
    edges = corners.roll(-1, 1) - corners
    # Where an edge meets the four lines that bound the rectangle, as shares of the edge. A point too many is harmless.
    lines = torch.cat([(half - corners) / edges, (-half - corners) / edges], -1)
    shares = torch.cat([torch.zeros_like(edges[..., :1]), lines.nan_to_num(0.0).clamp(0, 1).sort(-1).values], -1)
    outline = (corners[:, :, None] + shares[..., None] * edges[:, :, None]).flatten(1, 2)
    outline = torch.minimum(torch.maximum(outline, -half), half)
    x, y = outline.unbind(-1)
    return (x * y.roll(-1, 1) - y * x.roll(-1, 1)).sum(1).clamp(min=0) / 2


def bev_iou(first: Tensor, second: Tensor, wanted: Tensor | None = None) -> Tensor:
    """IoU of footprints.

    Args:
        first: float [N, 9] in `BOX_FIELDS` order.
        second: float [M, 9].
        wanted: bool [N, M]; the IoU of other pairs is not computed and 0. By default every pair.

    Returns:
        float64 [N, M]; 0 where neither box has an area.
    """
    shared = _overlaps(first, second, wanted)
    areas = first[:, None, 3].double() * first[:, None, 4], second[None, :, 3].double() * second[None, :, 4]
    return _share(shared, areas[0] + areas[1])


def volume_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU of volumes, float64 [N, M], of boxes [N, 9] and [M, 9] in `BOX_FIELDS` order."""
    first, second = first.double(), second.double()
    top = torch.minimum((first[:, 2] + first[:, 5] / 2)[:, None], second[:, 2] + second[:, 5] / 2)
    bottom = torch.maximum((first[:, 2] - first[:, 5] / 2)[:, None], second[:, 2] - second[:, 5] / 2)
    shared = _overlaps(first, second) * (top - bottom).clamp(min=0)
    return _share(shared, first[:, 3:6].prod(1)[:, None] + second[:, 3:6].prod(1))


def _overlaps(first: Tensor, second: Tensor, wanted: Tensor | None = None) -> Tensor:
    """Intersection areas, float64 [N, M]; only pairs whose circumscribed circles meet are looked at."""
    reach = (torch.hypot(first[:, 3], first[:, 4])[:, None] + torch.hypot(second[:, 3], second[:, 4])) / 2
    near = torch.hypot(first[:, None, 0] - second[:, 0], first[:, None, 1] - second[:, 1]) <= reach
    rows, columns = torch.nonzero(near if wanted is None else near & wanted, as_tuple=True)
    plane = [0, 1, 3, 4, 6]
    areas = torch.zeros(near.shape, dtype=torch.float64, device=first.device)
    areas[rows, columns] = intersection_areas(first[rows][:, plane], second[columns][:, plane])
    return areas


def _share(shared: Tensor, total: Tensor) -> Tensor:
    union = total - shared
    return torch.where(union > 0, shared / union, 0.0)


def _corners(rectangles: Tensor) -> Tensor:
    """[P, 4, 2] around the rectangle's centre, counter-clockwise."""
    signs = rectangles.new_tensor([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    return _rotate(signs * rectangles[:, None, 2:4] / 2, rectangles[:, 4])


def _rotate(points: Tensor, angles: Tensor) -> Tensor:
    """Points [P, K, 2], each row turned counter-clockwise by its angle [P]."""
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    x, y = points.unbind(-1)
    return torch.stack([cos * x - sin * y, sin * x + cos * y], -1)
