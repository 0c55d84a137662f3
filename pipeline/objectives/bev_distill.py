"""Dense distillation in BEV, the baseline for RAD (after BEVDistill, Chen et al., ICLR 2023, arXiv 2211.09386).

Theirs: the camera's BEV map is pulled to the LiDAR detector's where a Gaussian around each labelled object says
foreground, beside a distillation of detections. Ours: no label is read; foreground are the cells that hold a point of a
region, all with the same weight, and the teacher is a pre-trained branch without a head.
"""

import torch
from torch import Tensor

from pipeline.geometry.grid import BevGrid
from pipeline.objectives.pool import weighted_mean


def bev_distill(student: Tensor, teacher: Tensor, cells: Tensor, *, gather: bool = False) -> Tensor:
    """1/|cells| Σ_cells 1/C |student - teacher|².

    Args:
        student: the camera's map in the teacher's channels, floats [B, C, S, S].
        teacher: the LiDAR map, [B, C, S, S]; no gradient reaches it.
        cells: bool [B, S, S], where the maps are compared.
        gather: whether the cells of all processes are counted, see `pipeline.objectives.pool`.

    Returns:
        A scalar; 0, still carrying a gradient, where no cell is compared.
    """
    error = (student.float() - teacher.detach().float()).square().mean(1)[cells]
    return weighted_mean(error, torch.ones_like(error), gather)


def region_cells(positions: Tensor, frame: Tensor, rich: Tensor, grid: BevGrid, frames: int) -> Tensor:
    """bool [frames, S, S]: cells that hold a semantic-rich point.

    Args:
        positions: float32 [N, 2], (x, y) in metres, BEV frame.
        frame: int64 [N].
        rich: bool [N], the points that count.
        grid: the grid of the maps; points off it are left out.
        frames: B.
    """
    index = ((positions + grid.reach) / grid.cell).floor().long()
    rich = rich & ((index >= 0) & (index < grid.size)).all(1)
    cells = torch.zeros(frames, grid.size, grid.size, dtype=torch.bool, device=positions.device)
    column, row = index[rich].unbind(1)
    cells[frame[rich], row, column] = True
    return cells
