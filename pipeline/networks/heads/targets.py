"""What the detection head should say: Gaussian heat maps and regression values at box centres."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.geometry.grid import BevGrid

MIN_OVERLAP = 0.1  # CenterPoint's nuScenes configuration
MIN_RADIUS = 2  # cells


@dataclass(frozen=True)
class DetectionTargets:
    """Targets of B frames with M boxes on the grid in all.

    Attributes:
        heatmap: float32 [B, classes, S, S], exactly 1 at every centre cell.
        cells: int64 [M], (frame * S + row) * S + column of each box's centre.
        offset: float32 [M, 2], centre minus cell centre on x and y, cells, in [-0.5, 0.5).
        height: float32 [M, 1], z of the centre, metres.
        size: float32 [M, 3], log of length, width, height in metres.
        rotation: float32 [M, 2], sin and cos of yaw.
        velocity: float32 [M, 2], m/s; NaN where unknown.
    """

    heatmap: Tensor
    cells: Tensor
    offset: Tensor
    height: Tensor
    size: Tensor
    rotation: Tensor
    velocity: Tensor


def gaussian_radius(length: Tensor, width: Tensor) -> Tensor:
    """Radius within which a shifted box still overlaps by `MIN_OVERLAP` (CornerNet's rule as CenterPoint uses it).

    Args:
        length: float [K], cells.
        width: float [K], cells.

    Returns:
        int64 [K], cells, at least `MIN_RADIUS`. The roots are divided by 2, not by 2a, as in both upstream codes.
    """
    total, area = length + width, length * width
    first = (total + torch.sqrt(total**2 - 4 * area * (1 - MIN_OVERLAP) / (1 + MIN_OVERLAP))) / 2
    second = (2 * total + torch.sqrt(4 * total**2 - 16 * (1 - MIN_OVERLAP) * area)) / 2
    slope = -2 * MIN_OVERLAP * total
    third = (slope + torch.sqrt(slope**2 - 16 * MIN_OVERLAP * (MIN_OVERLAP - 1) * area)) / 2
    return torch.minimum(torch.minimum(first, second), third).long().clamp(min=MIN_RADIUS)


def gaussian_heatmap(maps: int, size: int, centres: Tensor, radii: Tensor, planes: Tensor) -> Tensor:
    """Draws Gaussians of sigma (2 radius + 1) / 6, cut at their radius; the larger value wins where they meet.

    Args:
        maps: number of planes.
        size: cells a side.
        centres: int64 [M, 2], (column, row), on the plane.
        radii: int64 [M], cells.
        planes: int64 [M], the plane of each.

    Returns:
        float32 [maps, size, size].
    """
    heat = torch.zeros(maps * size * size, device=centres.device)
    if len(centres) == 0:
        return heat.view(maps, size, size)
    reach = int(radii.max())
    step = torch.arange(-reach, reach + 1, device=centres.device)
    dy, dx = (axis.reshape(-1) for axis in torch.meshgrid(step, step, indexing="ij"))
    column, row = centres[:, :1] + dx, centres[:, 1:] + dy
    sigma = (2 * radii[:, None] + 1) / 6
    values = torch.exp(-(dx**2 + dy**2) / (2 * sigma**2))
    drawn = (torch.maximum(dx.abs(), dy.abs()) <= radii[:, None]) & (column >= 0) & (column < size)
    drawn &= (row >= 0) & (row < size)
    cells = (planes[:, None] * size + row) * size + column
    return heat.scatter_reduce(0, cells[drawn], values[drawn], "amax").view(maps, size, size)


def detection_targets(
    boxes: Sequence[Tensor], classes: Sequence[Tensor], grid: BevGrid, class_count: int
) -> DetectionTargets:
    """Encodes labelled boxes (Yin et al., CenterPoint, arXiv 2006.11275, section 4.1).

    Args:
        boxes: per frame float32 [K, 9] in `BOX_FIELDS` order, BEV frame; centres off the grid are left out.
        classes: per frame int64 [K].
        grid: the head's grid.
        class_count: number of heat maps a frame.

    Returns:
        Targets on the device of `boxes`.
    """
    counts = torch.tensor([len(frame) for frame in boxes], device=boxes[0].device)
    frame = torch.repeat_interleave(torch.arange(len(boxes), device=counts.device), counts)
    stacked, labels = torch.cat(list(boxes)).float(), torch.cat(list(classes))
    place = (stacked[:, :2] + grid.reach) / grid.cell
    inside = ((place >= 0) & (place < grid.size)).all(1) & (stacked[:, 3:6] > 0).all(1)
    frame, stacked, labels, place = frame[inside], stacked[inside], labels[inside], place[inside]
    centre = place.floor().long().clamp(max=grid.size - 1)
    radii = gaussian_radius(stacked[:, 3] / grid.cell, stacked[:, 4] / grid.cell)
    heat = gaussian_heatmap(len(boxes) * class_count, grid.size, centre, radii, frame * class_count + labels)
    yaw = stacked[:, 6:7]
    return DetectionTargets(
        heatmap=heat.view(len(boxes), class_count, grid.size, grid.size),
        cells=(frame * grid.size + centre[:, 1]) * grid.size + centre[:, 0],
        offset=place - centre - 0.5,
        height=stacked[:, 2:3],
        size=stacked[:, 3:6].log(),
        rotation=torch.cat([yaw.sin(), yaw.cos()], 1),
        velocity=stacked[:, 7:9],
    )
