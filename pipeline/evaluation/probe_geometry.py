"""What lies in a cell, counted: the features that every network has to beat in a probe."""

import torch
from torch import Tensor

from pipeline.geometry.grid import BevGrid
from pipeline.networks.cells import sort_by_cell
from pipeline.networks.segments import segment_max

CHANNELS = 6


def geometry_map(points: Tensor, offsets: Tensor, grid: BevGrid, z_min: float, z_max: float) -> Tensor:
    """A BEV map of plain statistics; empty cells are zero.

    Args:
        points: float32 [ΣN, 5]: x, y, z (m, BEV frame), intensity (0..1), time lag (s).
        offsets: int64 [B + 1], start of each frame in `points`.
        grid: of the map.
        z_min: lowest height taken, metres.
        z_max: height above which points are left out, metres.

    Returns:
        float32 [B, 6, S, S]: log of 1 + points, mean, highest and lowest z (m), mean and highest intensity.
    """
    cells, order = sort_by_cell(points, offsets, grid, z_min, z_max)
    names, member, counts = cells.unique_consecutive(return_inverse=True, return_counts=True)
    z, intensity = points[order, 2], points[order, 3]
    values = torch.stack([z, intensity], 1)
    means = values.new_zeros(len(names), 2).index_add(0, member, values) / counts[:, None]
    most = segment_max(torch.stack([z, -z, intensity], 1), member, len(names))
    columns = [counts.float().log1p(), means[:, 0], most[:, 0], -most[:, 1], means[:, 1], most[:, 2]]
    frames = len(offsets) - 1
    flat = points.new_zeros(frames * grid.size**2, CHANNELS)
    flat[names] = torch.stack(columns, 1)
    return flat.view(frames, grid.size, grid.size, CHANNELS).permute(0, 3, 1, 2)
