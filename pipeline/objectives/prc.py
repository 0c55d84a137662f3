"""PRC, the point-region contrast that pre-trains the LiDAR branch (CALICO, arXiv 2306.00349).

Rows of `p` and `q` are the same points seen in two augmented views, as unit vectors; `region` says which region each
point lies in (S, semantic-rich, ids counted through the batch) or -1 (U, semantic-less). Negatives are all points of
the call, the frames of one process' batch, or those of all processes (`gather`, see `pipeline.objectives.pool`). Both
terms are averaged over the two directions p -> q and q -> p; one exponential matrix, never held as a whole, serves both
terms and both directions.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.objectives.pool import Pool, weighted_mean
from pipeline.objectives.similarity import grouped_exponential_sums, log_sum, region_means
from pipeline.params import Rapc


def prc(
    p: Tensor, q: Tensor, region: Tensor, *, temperature: float, alpha: float, switches: Rapc, gather: bool = False
) -> dict[str, Tensor]:
    """L_PRC = alpha L_PLRC + (1 - alpha) L_RAPC.

    Args:
        p: float32 [P, D], view 1.
        q: float32 [P, D], view 2.
        region: int64 [P]; negative for semantic-less points.
        temperature: τ.
        alpha: weight of PLRC, 0 to 1.
        switches: of RAPC.
        gather: whether the points of all processes are negatives.

    Returns:
        Scalars `loss`, `plrc` and `rapc`. Without any point all are 0 and still carry a gradient.
    """
    partitions = _partitions(p, q, region, temperature, gather)
    region_term = _plrc(p, q, region, partitions, temperature, gather)
    scene_term = _rapc(p, q, region, partitions, temperature, switches, gather)
    return {"loss": alpha * region_term + (1 - alpha) * scene_term, "plrc": region_term, "rapc": scene_term}


def plrc(p: Tensor, q: Tensor, region: Tensor, *, temperature: float, gather: bool = False) -> Tensor:
    """Region-level contrast: a point's positives are all points of its region in the other view.

    -1/N Σ_{i∈S} 1/|P(i)| Σ_{j∈P(i)} log exp(p_i·q_j/τ) / Σ_{k∈S∪U} exp(p_i·q_k/τ),  P(i) = {j∈S: r_j = r_i}

    Arguments as in `prc`; returns a scalar, 0 where no point lies in a region.
    """
    return _plrc(p, q, region, _partitions(p, q, region, temperature, gather), temperature, gather)


def rapc(p: Tensor, q: Tensor, region: Tensor, *, temperature: float, switches: Rapc, gather: bool = False) -> Tensor:
    """Scene-level contrast: a point's positive is itself in the other view; points of its own region are no negatives.

    -1/(N+M) Σ_{i∈S∪U} log exp(p_i·q_i/τ) / ( exp(p_i·q_i/τ) + Σ_{k≠i, not (r_k = r_i >= 0)} exp(p_i·q_k/τ) )

    The switches change who is an anchor (S∪U, or S alone), whether points of the same region stay among the negatives
    (then it is PointInfoNCE), and whether points weigh the same or regions do (1/N_region each, a semantic-less point
    being a region of its own).

    Arguments as in `prc`; returns a scalar, 0 without any anchor.
    """
    return _rapc(p, q, region, _partitions(p, q, region, temperature, gather), temperature, switches, gather)


class _Partitions(NamedTuple):
    """Sums of exponentials of each point from p to q and from q to p; `apart`: over points of other regions only."""

    forward: Tensor
    backward: Tensor
    forward_apart: Tensor
    backward_apart: Tensor


def _partitions(p: Tensor, q: Tensor, region: Tensor, temperature: float, gather: bool) -> _Partitions:
    pool = Pool.of(p, gather)
    # A semantic-less point is a region of its own here. Regions lie in one frame, so no other process has a part in
    # them: its points are a group that no row belongs to.
    group = _lone_regions(region)
    groups = (group, pool.place(group, torch.iinfo(torch.int64).min))
    rows, columns, rows_apart, columns_apart = grouped_exponential_sums(p, pool.gather(q), temperature, groups)
    return _Partitions(rows, pool.reduce(columns), rows_apart, pool.reduce(columns_apart))


def _lone_regions(region: Tensor) -> Tensor:
    """The region ids, semantic-less points having an id of their own each: -1, -2, …."""
    return torch.where(region >= 0, region, -1 - torch.arange(len(region), device=region.device))


def _plrc(p: Tensor, q: Tensor, region: Tensor, partitions: _Partitions, temperature: float, gather: bool) -> Tensor:
    rich = (region >= 0).nonzero().squeeze(1)
    # The mean over positives of p_i·q_j is p_i·mean(q_j): no [N, N] matrix of positives is needed.
    names, member = region[rich].unique(return_inverse=True)
    p_rich, q_rich = p[rich], q[rich]
    forward = (p_rich * region_means(q_rich, member, len(names))[member]).sum(1) / temperature
    backward = (q_rich * region_means(p_rich, member, len(names))[member]).sum(1) / temperature
    logs = log_sum(partitions.forward[rich], temperature) + log_sum(partitions.backward[rich], temperature)
    return weighted_mean((logs - forward - backward) / 2, torch.ones_like(logs), gather)


def _rapc(
    p: Tensor,
    q: Tensor,
    region: Tensor,
    partitions: _Partitions,
    temperature: float,
    switches: Rapc,
    gather: bool,
) -> Tensor:
    positive = (p * q).sum(1) / temperature
    if switches.same_region_negatives == "masked":
        own = (positive - 1 / temperature).exp()
        forward, backward = partitions.forward_apart + own, partitions.backward_apart + own
    else:
        forward, backward = partitions.forward, partitions.backward
    loss = (log_sum(forward, temperature) + log_sum(backward, temperature)) / 2 - positive
    votes = torch.ones_like(loss)
    if switches.weights == "region":
        _, member, points = _lone_regions(region).unique(return_inverse=True, return_counts=True)
        votes = (1 / points)[member].to(loss.dtype)
    return weighted_mean(loss, votes * (region >= 0) if switches.anchors == "rich" else votes, gather)
