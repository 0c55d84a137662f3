"""Bilinear reading of a BEV map at metric positions."""

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.geometry.grid import BevGrid


def sample_bev(bev: Tensor, positions: Tensor, frame: Tensor, grid: BevGrid) -> Tensor:
    """Reads a map at points, cell values standing at cell centres.

    Within half a cell of the grid's edge the outermost cells' values hold on, so a map of coordinates reads back every
    position on the grid to half a cell; off the grid the result is zero.

    Args:
        bev: [B, C, S, S], rows = y, columns = x.
        positions: float32 [P, 2], (x, y) in metres, BEV frame. No gradient flows to them.
        frame: int64 [P], the frame each position belongs to.
        grid: the grid of `bev`.

    Returns:
        float32 [P, C]. Deterministic in value and gradient.
    """
    frames, channels, size, _ = bev.shape
    assert size == grid.size, f"a map of {size} cells on a grid of {grid.size}"
    index = (positions.detach().float() + grid.reach) / grid.cell - 0.5
    inside = ((index >= -0.5) & (index < size - 0.5)).all(1)
    index = index.clamp(0, size - 1)
    low = index.floor().clamp(max=max(size - 2, 0))
    right, up = (index - low).unbind(1)
    column, row = low.long().unbind(1)
    step = min(1, size - 1)
    base = (frame * size + row) * size + column
    cells = torch.stack([base, base + step, base + step * size, base + step * (size + 1)], 1)
    weights = torch.stack([(1 - right) * (1 - up), right * (1 - up), (1 - right) * up, right * up], 1)
    # A weighted sum of four rows is what embedding_bag computes, without four [P, C] arrays in between.
    rows = bev.permute(0, 2, 3, 1).reshape(frames * size * size, channels).float()
    return functional.embedding_bag(cells, rows, mode="sum", per_sample_weights=weights * inside[:, None])
