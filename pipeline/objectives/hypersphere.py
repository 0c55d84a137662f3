"""How embeddings lie on the unit sphere (Wang and Isola, ICML 2020): two numbers that show whether contrast works.

No gradient flows through either; they are watched, not minimised.
"""

import torch
from torch import Tensor

MOST_PAIRED = 512  # points of which all pairs are looked at; the mean over them is exact to about a hundredth


def alignment(p: Tensor, q: Tensor) -> Tensor:
    """Mean squared distance of the two embeddings of a point, E |p_i - q_i|²: 0 where they agree, 2 at random.

    Args:
        p: float32 [P, D], rows of length 1.
        q: the same points in the other view or sensor, float32 [P, D], rows of length 1.

    Returns:
        A scalar in [0, 4]; 0 without any point.
    """
    p, q = p.detach().float(), q.detach().float()
    return (p - q).square().sum(1).mean() if len(p) else p.sum()


def uniformity(p: Tensor) -> Tensor:
    """log E exp(-2 |p_i - p_j|²) over pairs of different points: 0 where all are one, towards -4 where they spread.

    Args:
        p: float32 [P, D], rows of length 1; of more than `MOST_PAIRED` points evenly spaced ones are looked at.

    Returns:
        A scalar in [-8, 0]; 0 with fewer than two points.
    """
    p = p.detach().float()
    p = p[:: max(1, len(p) // MOST_PAIRED)][:MOST_PAIRED]
    if len(p) < 2:
        return p.sum() * 0
    # The square of a distance on the unit sphere is 2 - 2 p_i·p_j.
    similar = torch.exp(4 * (p @ p.T).clamp(-1, 1) - 4).fill_diagonal_(0)
    return (similar.sum() / (len(p) * (len(p) - 1))).log()
