"""InfoNCE (van den Oord et al., arXiv 1807.03748) of weighted anchors, one way and both ways."""

from torch import Tensor

from pipeline.objectives.pool import Pool, weighted_mean
from pipeline.objectives.similarity import exponential_sums, log_sum


def info_nce(
    anchors: Tensor, positives: Tensor, keys: Tensor, votes: Tensor, *, temperature: float, gather: bool = False
) -> Tensor:
    """-Σ_i v_i log exp(a_i·b_i/τ) / Σ_k exp(a_i·k/τ), over Σ_i v_i.

    Args:
        anchors: a, floats [A, D], unit vectors.
        positives: b, [A, D]; the score of several positives on average is that of their mean.
        keys: k, [K, D], unit vectors, the positives among them.
        votes: v, [A], not negative.
        temperature: τ.
        gather: whether the keys of all processes count, see `pipeline.objectives.pool`.

    Returns:
        A scalar; 0, still carrying a gradient, without anchors.
    """
    sums, _ = exponential_sums(anchors, Pool.of(keys, gather).gather(keys), temperature)
    return weighted_mean(log_sum(sums, temperature) - (anchors * positives).sum(1) / temperature, votes, gather)


def info_nce_both_ways(p: Tensor, q: Tensor, votes: Tensor, *, temperature: float, gather: bool = False) -> Tensor:
    """The mean of `info_nce` from p to q and from q to p, row i of one being the positive of row i of the other.

    Args:
        p: floats [P, D], unit vectors.
        q: [P, D], likewise.
        votes: [P], not negative.
        temperature: τ.
        gather: whether the rows of all processes count as negatives.

    Returns:
        A scalar; 0, still carrying a gradient, without rows.
    """
    pool = Pool.of(p, gather)
    rows, columns = exponential_sums(p, pool.gather(q), temperature)
    logs = (log_sum(rows, temperature) + log_sum(pool.reduce(columns), temperature)) / 2
    return weighted_mean(logs - (p * q).sum(1) / temperature, votes, gather)
