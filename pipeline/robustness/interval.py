"""How sure a counted share is."""

import math

NORMAL_95 = 1.959963984540054  # two-sided 95 % quantile of the standard normal distribution


def wilson_interval(successes: int, trials: int) -> tuple[float | None, float | None]:
    """95 % interval of a binomial share (Wilson, JASA 1927, 22: 209-212); None, None without a trial."""
    if trials == 0:
        return None, None
    share, square = successes / trials, NORMAL_95**2
    middle = share + square / (2 * trials)
    spread = NORMAL_95 * math.sqrt(share * (1 - share) / trials + square / (4 * trials**2))
    scale = 1 + square / trials
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)
