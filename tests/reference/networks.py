"""Slow, obvious twins of the network kernels."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.geometry.grid import BevGrid

Array = NDArray[Any]


def pillar_features(points: Array, grid: BevGrid, z_min: float, z_max: float) -> dict[tuple[int, int], Array]:
    """(row, column) -> features [n, 10] of the points in that pillar, in input order; one frame."""
    members: dict[tuple[int, int], list[Array]] = {}
    for point in points:
        column = math.floor((point[0] + grid.reach) / grid.cell)
        row = math.floor((point[1] + grid.reach) / grid.cell)
        if 0 <= column < grid.size and 0 <= row < grid.size and z_min <= point[2] < z_max:
            members.setdefault((row, column), []).append(point)
    features = {}
    for (row, column), rows in members.items():
        own = np.stack(rows)
        centre = grid.centres()[row, column]
        raw = np.concatenate([own, own[:, :3] - own[:, :3].mean(0), own[:, :2] - centre], 1)
        reach, half = grid.reach, grid.cell / 2
        features[row, column] = raw / [reach, reach, (z_max - z_min) / 2, 0.5, 0.25, half, half, 0.5, half, half]
    return features


def lift_splat(context: Tensor, probabilities: Tensor, cells: Tensor, count: int) -> Tensor:
    """The volume of probability x context, added to its cells one entry at a time."""
    bev = [torch.zeros(context.shape[1], dtype=context.dtype) for _ in range(count)]
    for pixel in range(cells.shape[0]):
        for depth in range(cells.shape[1]):
            cell = int(cells[pixel, depth])
            if cell >= 0:
                bev[cell] = bev[cell] + probabilities[pixel, depth] * context[pixel]
    return torch.stack(bev)


def frustum_cell(bev_from_image: Array, u: float, v: float, depth: float, grid: BevGrid) -> tuple[int, int] | None:
    """(row, column) under one pixel at one depth, or None off the grid."""
    x, y, z, _ = bev_from_image @ np.array([u * depth, v * depth, depth, 1.0])
    column, row = math.floor((x + grid.reach) / grid.cell), math.floor((y + grid.reach) / grid.cell)
    return (row, column) if 0 <= column < grid.size and 0 <= row < grid.size and -10 <= z < 10 else None


def depth_target(
    points: Array, image_from_bev: Array, feature_size: tuple[int, int], image_size: tuple[int, int], depths: Array
) -> Array:
    """[rows, columns]: bin of the nearest point in each feature cell of one image, -1 without one; point by point."""
    rows, columns = feature_size
    nearest = np.full(feature_size, np.inf)
    for point in points:
        x, y, depth, _ = image_from_bev @ [*point[:3], 1.0]
        if point[4] != 0 or depth <= 0:
            continue
        # A pixel covers half a pixel to either side of its integer coordinates.
        column = math.floor((x / depth + 0.5) / image_size[1] * columns)
        row = math.floor((y / depth + 0.5) / image_size[0] * rows)
        if 0 <= row < rows and 0 <= column < columns:
            nearest[row, column] = min(nearest[row, column], depth)
    target = np.full(feature_size, -1)
    for place in zip(*np.nonzero(np.isfinite(nearest)), strict=True):
        distance = np.abs(depths - nearest[place])
        if distance.min() <= (depths[1] - depths[0]) / 2:
            target[place] = distance.argmin()
    return target


def sample_bev(bev: Tensor, positions: Tensor, frame: Tensor, grid: BevGrid) -> Tensor:
    """torch's own bilinear sampling, point by point, zero off the grid."""
    rows = []
    for position, b in zip(positions, frame, strict=True):
        place = (position / grid.reach).view(1, 1, 1, 2)
        value = functional.grid_sample(bev[int(b)][None], place, padding_mode="border", align_corners=False)[0, :, 0, 0]
        inside = bool((position >= -grid.reach).all() and (position < grid.reach).all())
        rows.append(value if inside else torch.zeros_like(value))
    return torch.stack(rows)


def gaussian_radius(length: float, width: float, overlap: float = 0.1) -> int:
    """CornerNet's three cases, roots from numpy; CenterPoint halves where the formula divides by 2a."""
    area, total = length * width, length + width
    cases = [
        (1.0, -total, area * (1 - overlap) / (1 + overlap)),
        (4.0, -2 * total, (1 - overlap) * area),
        (4 * overlap, 2 * overlap * total, (overlap - 1) * area),
    ]
    halved = [max(np.roots(case).real) * case[0] for case in cases]
    return max(2, int(min(halved)))


def gaussian_heatmap(maps: int, size: int, centres: Array, radii: Array, planes: Array) -> Array:
    """Cell by cell."""
    heat = np.zeros((maps, size, size))
    for (column, row), radius, plane in zip(centres, radii, planes, strict=True):
        sigma = (2 * radius + 1) / 6
        for y in range(max(0, row - radius), min(size, row + radius + 1)):
            for x in range(max(0, column - radius), min(size, column + radius + 1)):
                value = math.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * sigma**2))
                heat[plane, y, x] = max(heat[plane, y, x], value)
    return heat
