"""Contrast of sphere proposals, the baseline of regions without semantics (ProposalContrast, arXiv 2207.12654).

Theirs (Yin et al., ECCV 2022): balls around farthest-point centres off the ground, a feature for each by attention over
its points, discrimination of proposals between two views and, beside it, of learned clusters of proposals. Ours: the
same balls over the sampled points, their feature the normalised mean of the points' embeddings, and the discrimination
between proposals alone.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.objectives.info_nce import info_nce_both_ways
from pipeline.objectives.similarity import region_means


@dataclass(frozen=True)
class Proposals:
    """Balls of points; a point may lie in several or in none.

    Attributes:
        point: int64 [M], rows of the points.
        proposal: int64 [M], the ball that each lies in, 0 to `count` - 1.
        count: balls.
    """

    point: Tensor
    proposal: Tensor
    count: int


def propose(positions: Tensor, frame: Tensor, *, centres: int, radius: float) -> Proposals:
    """Balls around points that lie far from each other, frame by frame.

    Args:
        positions: float32 [P, 3], metres.
        frame: int64 [P], ascending.
        centres: balls a frame; fewer where it has fewer points.
        radius: metres.

    Returns:
        The balls in ascending order of frame.
    """
    points, proposals, start, count = [], [], 0, 0
    for size in torch.bincount(frame).tolist():
        cloud = positions[start : start + size]
        chosen = farthest_points(cloud, centres)
        ball, member = (torch.cdist(cloud[chosen], cloud) <= radius).nonzero().unbind(1)
        points.append(member + start)
        proposals.append(ball + count)
        start, count = start + size, count + len(chosen)
    none = frame.new_empty(0)
    return Proposals(torch.cat([none, *points]), torch.cat([none, *proposals]), count)


def farthest_points(cloud: Tensor, count: int) -> Tensor:
    """int64 [min(count, N)]: rows of `cloud` [N, 3], the first and then each the farthest from those before it."""
    count = min(count, len(cloud))
    chosen = torch.zeros(count, dtype=torch.int64, device=cloud.device)
    distance = cloud.new_full((len(cloud),), torch.inf)
    for i in range(1, count):
        distance = torch.minimum(distance, (cloud - cloud[chosen[i - 1]]).square().sum(1))
        chosen[i] = distance.argmax()
    return chosen


def proposal_contrast(
    p: Tensor, q: Tensor, proposals: Proposals, *, temperature: float, gather: bool = False
) -> Tensor:
    """-1/K Σ_s log exp(u_s·v_s/τ) / Σ_t exp(u_s·v_t/τ), both directions; u, v the proposals' features in the two views.

    Args:
        p: float32 [P, D], view 1, rows of length 1.
        q: float32 [P, D], the same points in view 2, rows of length 1.
        proposals: K balls of these points.
        temperature: τ.
        gather: whether the proposals of all processes are negatives, see `pipeline.objectives.pool`.

    Returns:
        A scalar; 0, still carrying a gradient, without any proposal.
    """
    u, v = (
        functional.normalize(region_means(view[proposals.point], proposals.proposal, proposals.count), dim=1)
        for view in (p, q)
    )
    return info_nce_both_ways(u, v, u.new_ones(len(u)), temperature=temperature, gather=gather)
