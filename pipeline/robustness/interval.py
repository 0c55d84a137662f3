"""How sure a counted share is."""

from scipy.stats import binomtest


def wilson_interval(successes: int, trials: int) -> tuple[float | None, float | None]:
    """95 % interval of a binomial share (Wilson, JASA 1927, 22: 209-212); None, None without a trial."""
    if trials == 0:
        return None, None
    interval = binomtest(successes, trials).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)
