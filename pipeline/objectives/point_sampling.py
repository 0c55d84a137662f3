"""Which points of a frame enter a contrast: N semantic-rich and M semantic-less ones."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DrawnPoints:
    """Points drawn from a batch.

    Attributes:
        index: int64 [P], rows of the batch's points.
        frame: int64 [P], the frame of each.
        region: int64 [P], region ids counted through the batch; -1 for semantic-less points.
    """

    index: Tensor
    frame: Tensor
    region: Tensor


def draw_points(
    region_ids: Tensor, frame: Tensor, eligible: Tensor, priority: Tensor, *, rich: int, less: int
) -> DrawnPoints:
    """Draws up to `rich` points in regions and `less` others from every frame, without replacement.

    Args:
        region_ids: int16 [ΣN]; >= 0 in a region, -1 noise, -2 ground, -3 rejected, -4 never clustered (not drawn).
        frame: int64 [ΣN], the frame of each point, ascending.
        eligible: bool [ΣN], for instance inside the range in both views.
        priority: float32 [ΣN], random; of the points that can be drawn, those with the lowest are.
        rich: N of the paper, points a frame.
        less: M of the paper.

    Returns:
        Points in ascending order of frame; fewer where a frame has fewer.
    """
    candidates = (eligible & (region_ids >= -3)).nonzero().squeeze(1)
    shuffled = candidates[priority[candidates].argsort(stable=True)]
    # Group by (frame, kind), keeping the random order inside each group; the first of each group are drawn.
    group = frame[shuffled] * 2 + (region_ids[shuffled] < 0)
    order = group.argsort(stable=True)
    shuffled, group = shuffled[order], group[order]
    counts = torch.bincount(group)
    rank = torch.arange(len(group), device=group.device) - (counts.cumsum(0) - counts)[group]
    index = shuffled[rank < torch.where(group % 2 == 0, rich, less)]
    # Ids are small non-negative int16 numbers: this keeps the regions of different frames apart.
    region = region_ids[index].long() + frame[index] * (1 << 15)
    return DrawnPoints(index, frame[index], torch.where(region_ids[index] >= 0, region, -1))
