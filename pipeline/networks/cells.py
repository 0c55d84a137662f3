"""Points sorted by the cell that they lie in."""

import torch
from torch import Tensor

from pipeline.geometry.grid import BevGrid


def sort_by_cell(
    points: Tensor, offsets: Tensor, grid: BevGrid, z_min: float, z_max: float, layers: int = 1
) -> tuple[Tensor, Tensor]:
    """Finds and sorts the points on a grid.

    Args:
        points: float32 [ΣN, 3 or more]: x, y, z in metres. Points off the grid or not finite are left out.
        offsets: int64 [B + 1]; frame b owns points[offsets[b]:offsets[b + 1]].
        grid: cells in x and y.
        z_min: lowest height taken, metres.
        z_max: height above which points are left out, metres.
        layers: into how many cells the height is cut.

    Returns:
        cells: int64 [P], ascending: ((frame * layers + layer) * size + row) * size + column.
        order: int64 [P], the point of each; in input order within a cell.
    """
    size, frames = grid.size, len(offsets) - 1
    counts = offsets[1:] - offsets[:-1]
    x, y, z = points.detach()[:, :3].unbind(1)
    column, row = (torch.floor((along + grid.reach) / grid.cell) for along in (x, y))
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size) & (z >= z_min) & (z < z_max)
    outside = frames * layers * size * size  # sorts behind every cell
    # 32-bit keys take the radix sort, where they suffice.
    kind = torch.int32 if outside < 2**31 else torch.int64
    bands = torch.arange(frames, device=points.device, dtype=kind) * layers
    band = torch.repeat_interleave(bands, counts, output_size=len(points))
    if layers > 1:
        layer = torch.floor((z - z_min) * (layers / (z_max - z_min)))
        band = band + layer.nan_to_num(0).clamp(0, layers - 1).to(kind)
    row, column = (index.nan_to_num(0, 0, 0).clamp(0, size - 1).to(kind) for index in (row, column))
    cells = torch.where(inside, (band * size + row) * size + column, outside)
    # A stable sort fixes the order of every later sum, on any device.
    cells, order = torch.sort(cells, stable=True)
    kept = int(inside.sum())
    return cells[:kept].long(), order[:kept]


def cell_centres(cells: Tensor, grid: BevGrid) -> Tensor:
    """Flat cells int64 [K] as in `sort_by_cell` to the metres float32 [K, 2] (x, y) of their centres."""
    position = torch.stack([cells % grid.size, torch.div(cells, grid.size, rounding_mode="floor") % grid.size], 1)
    return (position + 0.5) * grid.cell - grid.reach
