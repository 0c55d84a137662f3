"""RAD, the region-aware distillation that pre-trains the camera branch (CALICO, arXiv 2306.00349)."""

import torch
from torch import Tensor

from pipeline.objectives.similarity import log_sum, similarities


def rad(student: Tensor, teacher: Tensor, region: Tensor, frame: Tensor, *, temperature: float) -> Tensor:
    """Contrastive distillation from LiDAR to camera in BEV; each region weighs the same however many points it has.

    -1/K Σ_s 1/N_s Σ_{i∈S∩R_s} log exp(c_i·l_i/τ) / Σ_{k∈S∪U} exp(c_i·l_k/τ), the mean over frames that have regions.

    Args:
        student: camera features c, float32 [P, D], rows of length 1.
        teacher: LiDAR features l of the same points, float32 [P, D], rows of length 1; no gradient reaches them.
        region: int64 [P], ids counted through the batch; negative = in no region (only a negative).
        frame: int64 [P], the frame of each point. K counts the regions of one frame.
        temperature: τ.

    Returns:
        A scalar; 0, still carrying a gradient, where no point lies in a region.
    """
    scaled = similarities(student, teacher.detach(), temperature)
    rich = (region >= 0).nonzero().squeeze(1)
    if len(rich) == 0:
        return scaled.sum() * 0
    exponentials = (scaled[rich] - 1 / temperature).exp()
    loss = log_sum(exponentials, 1, temperature) - scaled[rich, rich]
    return (region_weights(region[rich], frame[rich]) * loss).sum()


def region_weights(region: Tensor, frame: Tensor) -> Tensor:
    """Weight 1 / (frames · K_frame · N_region) of each point, float32 [N]; they sum to 1.

    Args:
        region: int64 [N], ids counted through the batch, none negative.
        frame: int64 [N].
    """
    names, member, points = region.unique(return_inverse=True, return_counts=True)
    # A region lies in one frame, so any of its points tells which.
    frame_of_region = torch.empty_like(names).scatter_(0, member, frame)
    _, frame_member, regions = frame_of_region.unique(return_inverse=True, return_counts=True)
    weight_of_region: Tensor = 1 / (len(regions) * regions[frame_member] * points)
    return weight_of_region[member]
