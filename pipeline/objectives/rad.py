"""RAD, the region-aware distillation that pre-trains the camera branch (CALICO, arXiv 2306.00349)."""

import torch
from torch import Tensor

from pipeline.objectives.info_nce import info_nce


def rad(
    student: Tensor,
    teacher: Tensor,
    region: Tensor,
    frame: Tensor,
    *,
    temperature: float,
    region_weights: bool = True,
    gather: bool = False,
) -> Tensor:
    """Contrastive distillation from LiDAR to camera in BEV; each region weighs the same however many points it has.

    -1/K Σ_s 1/N_s Σ_{i∈S∩R_s} log exp(c_i·l_i/τ) / Σ_{k∈S∪U} exp(c_i·l_k/τ), the mean over frames that have regions.

    Args:
        student: camera features c, float32 [P, D], rows of length 1.
        teacher: LiDAR features l of the same points, float32 [P, D], rows of length 1; no gradient reaches them.
        region: int64 [P], ids counted through the batch; negative = in no region (only a negative).
        frame: int64 [P], the frame of each point. K counts the regions of one frame.
        temperature: τ.
        region_weights: False gives every point of S the same weight: plain contrastive distillation.
        gather: whether the points of all processes are negatives, see `pipeline.objectives.pool`.

    Returns:
        A scalar; 0, still carrying a gradient, where no point lies in a region.
    """
    rich = (region >= 0).nonzero().squeeze(1)
    keys = teacher.detach()
    votes = region_votes(region[rich], frame[rich]) if region_weights else torch.ones_like(rich)
    return info_nce(student[rich], keys[rich], keys, votes.to(student.dtype), temperature=temperature, gather=gather)


def region_votes(region: Tensor, frame: Tensor) -> Tensor:
    """Vote 1 / (K_frame · N_region) of each point, float32 [N]; those of a frame sum to 1.

    Args:
        region: int64 [N], ids counted through the batch, none negative.
        frame: int64 [N].
    """
    names, member, points = region.unique(return_inverse=True, return_counts=True)
    # A region lies in one frame, so any of its points tells which.
    frame_of_region = torch.empty_like(names).scatter_(0, member, frame)
    _, frame_member, regions = frame_of_region.unique(return_inverse=True, return_counts=True)
    vote_of_region: Tensor = 1 / (regions[frame_member] * points)
    return vote_of_region[member]
