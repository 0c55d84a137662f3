"""PRC, the point-region contrast that pre-trains the LiDAR branch (CALICO, arXiv 2306.00349).

Rows of `p` and `q` are the same points seen in two augmented views, as unit vectors; `region` says which region each
point lies in (S, semantic-rich, ids counted through the batch) or -1 (U, semantic-less). Negatives are all points of
the call: the frames of one device's batch. Both terms are averaged over the two directions p -> q and q -> p.
"""

import torch
from torch import Tensor

from pipeline.objectives.similarity import log_sum, region_means, same_region, similarities


def prc(p: Tensor, q: Tensor, region: Tensor, *, temperature: float, alpha: float) -> dict[str, Tensor]:
    """L_PRC = alpha L_PLRC + (1 - alpha) L_RAPC.

    Args:
        p: float32 [P, D], view 1.
        q: float32 [P, D], view 2.
        region: int64 [P]; negative for semantic-less points.
        temperature: τ.
        alpha: weight of PLRC, 0 to 1.

    Returns:
        Scalars `loss`, `plrc` and `rapc`. Without any point all are 0 and still carry a gradient.
    """
    scaled = similarities(p, q, temperature)
    # One exponential matrix serves both terms and both directions.
    exponentials = (scaled - 1 / temperature).exp()
    region_term = _plrc(p, q, region, exponentials, temperature)
    scene_term = _rapc(scaled, region, exponentials, temperature)
    return {"loss": alpha * region_term + (1 - alpha) * scene_term, "plrc": region_term, "rapc": scene_term}


def plrc(p: Tensor, q: Tensor, region: Tensor, *, temperature: float) -> Tensor:
    """Region-level contrast: a point's positives are all points of its region in the other view.

    -1/N Σ_{i∈S} 1/|P(i)| Σ_{j∈P(i)} log exp(p_i·q_j/τ) / Σ_{k∈S∪U} exp(p_i·q_k/τ),  P(i) = {j∈S: r_j = r_i}

    Arguments as in `prc`; returns a scalar, 0 where no point lies in a region.
    """
    return _plrc(p, q, region, (similarities(p, q, temperature) - 1 / temperature).exp(), temperature)


def rapc(p: Tensor, q: Tensor, region: Tensor, *, temperature: float) -> Tensor:
    """Scene-level contrast: a point's positive is itself in the other view; points of its own region are no negatives.

    -1/(N+M) Σ_{i∈S∪U} log exp(p_i·q_i/τ) / ( exp(p_i·q_i/τ) + Σ_{k≠i, not (r_k = r_i >= 0)} exp(p_i·q_k/τ) )

    Arguments as in `prc`; returns a scalar, 0 without any point.
    """
    scaled = similarities(p, q, temperature)
    return _rapc(scaled, region, (scaled - 1 / temperature).exp(), temperature)


def _plrc(p: Tensor, q: Tensor, region: Tensor, exponentials: Tensor, temperature: float) -> Tensor:
    rich = (region >= 0).nonzero().squeeze(1)
    if len(rich) == 0:
        return exponentials.sum() * 0
    # The mean over positives of p_i·q_j is p_i·mean(q_j): no [N, N] matrix of positives is needed.
    names, member = region[rich].unique(return_inverse=True)
    p_rich, q_rich = p[rich], q[rich]
    forward = (p_rich * region_means(q_rich, member, len(names))[member]).sum(1) / temperature
    backward = (q_rich * region_means(p_rich, member, len(names))[member]).sum(1) / temperature
    forward_loss = log_sum(exponentials[rich], 1, temperature) - forward
    backward_loss = log_sum(exponentials[:, rich], 0, temperature) - backward
    return (forward_loss.mean() + backward_loss.mean()) / 2


def _rapc(scaled: Tensor, region: Tensor, exponentials: Tensor, temperature: float) -> Tensor:
    if len(region) == 0:
        return exponentials.sum() * 0
    own = torch.eye(len(region), dtype=torch.bool, device=region.device)
    negatives_and_own = exponentials.masked_fill(same_region(region) & ~own, 0)
    positive = scaled.diagonal()
    forward_loss = log_sum(negatives_and_own, 1, temperature) - positive
    backward_loss = log_sum(negatives_and_own, 0, temperature) - positive
    return (forward_loss.mean() + backward_loss.mean()) / 2
