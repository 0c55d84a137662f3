"""What PLRC, RAPC and RAD share: scaled similarities and their exponentials."""

from torch import Tensor

# Exponentials are taken relative to the largest possible similarity, 1/temperature. The smallest one is then
# exp(-2/temperature), which float32 holds down to a temperature of 2/87.
MIN_TEMPERATURE = 0.025


def similarities(p: Tensor, q: Tensor, temperature: float) -> Tensor:
    """Similarities of two sets of unit vectors, divided by the temperature.

    Args:
        p: float32 or float64 [P, D], rows of length 1.
        q: same dtype [Q, D], rows of length 1.
        temperature: at least `MIN_TEMPERATURE`.

    Returns:
        float32 [P, Q] in [-1/temperature, 1/temperature].

    Raises:
        ValueError: the temperature would underflow float32.
    """
    if temperature < MIN_TEMPERATURE:
        raise ValueError(f"temperature {temperature} underflows float32: use {MIN_TEMPERATURE} or more")
    return p @ q.T / temperature


def log_sum(exponentials: Tensor, dim: int, temperature: float) -> Tensor:
    """log Σ exp(similarity) from `exponentials` = exp(similarity - 1/temperature), summed over `dim`."""
    return exponentials.sum(dim).log() + 1 / temperature


def same_region(region: Tensor) -> Tensor:
    """bool [P, P]: both points lie in one region. `region` int64 [P]; negative = in none."""
    return (region[:, None] == region[None, :]) & (region >= 0)[:, None]


def region_means(features: Tensor, region: Tensor, regions: int) -> Tensor:
    """Mean feature of each region, [regions, D], for `features` [P, D] and `region` int64 [P] in [0, regions)."""
    sums = features.new_zeros(regions, features.shape[1]).index_add(0, region, features)
    counts = features.new_zeros(regions).index_add(0, region, features.new_ones(len(region)))
    return sums / counts.clamp(min=1)[:, None]
