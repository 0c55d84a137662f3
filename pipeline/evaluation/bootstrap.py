"""Is one arm better than another? Bootstrap over scenes and seeds, paired in both.

A score varies with the scenes that happen to be in the split and with the seed of a training. Both are resampled at
once (Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 2007: where rows and columns are crossed, the
variance is overstated rather than understated), and every resample takes the same scenes and the same seeds for both
arms, so that what a hard scene or a lucky seed does to both of them cancels. Frames of a scene resemble each other:
they stay together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm as normal
from scipy.stats import t as student_t

LEVEL = 0.95


@dataclass(frozen=True)
class Comparison:
    """Arm minus reference.

    Attributes:
        difference: of the means over seeds, on the split as it is.
        low, high: bounds of the 95 % percentile interval.
        p: two-sided, of no difference.
        scenes, seeds: how many of each were resampled.
    """

    difference: float
    low: float
    high: float
    p: float
    scenes: int
    seeds: int


def scene_weights(scenes: int, resamples: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """int64 [1 + resamples, scenes]: how often each scene is drawn; the first row is the split as it is, once each."""
    drawn = generator.multinomial(scenes, np.full(scenes, 1 / scenes), size=resamples)
    return np.concatenate([np.ones((1, scenes), np.int64), drawn])


def compare(
    arm: NDArray[np.float64], reference: NDArray[np.float64], scenes: int, generator: np.random.Generator
) -> Comparison:
    """Paired comparison of two arms.

    Of K seeds K - 1 are drawn (Rao and Wu, "Resampling inference with complex survey data", JASA 1988): drawing K of
    few seeds would understate their variance by the factor (K - 1) / K. Few seeds also tell their own variance badly,
    so the draws are spread by Student's t over the normal quantile, at Satterthwaite's degrees of freedom for the two
    variances (in the spirit of the expanded interval of Hesterberg, "What teachers should know about the bootstrap",
    The American Statistician 2015). One seed is no sample: then the interval covers the choice of scenes alone.

    Args:
        arm: float64 [K, 1 + R], a score of each seed under the rows of `scene_weights`.
        reference: the same of the other arm, the same seeds in the same order, under the same weights.
        scenes: in the split.
        generator: draws the seeds.

    Returns:
        The difference; resamples in which either score is undefined (NaN) are left out.

    Raises:
        ValueError: shapes differ, or no resample is defined.
    """
    if arm.shape != reference.shape or arm.ndim != 2:
        raise ValueError(f"scores {arm.shape} and {reference.shape} are not paired")
    gaps = arm - reference
    seeds, columns = gaps.shape
    draws = generator.integers(seeds, size=(max(seeds - 1, 1), columns - 1))
    drawn = gaps[draws, np.arange(1, columns)].mean(axis=0)
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) == 0:
        raise ValueError("the scores are undefined in every resample")
    difference = float(gaps[:, 0].mean())
    drawn = difference + _spread(gaps[:, 0], drawn, scenes) * (drawn - difference)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    # The split itself counts as one more draw, so that p is never 0 (Davison and Hinkley 1997, section 4.2).
    tail = min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))
    p = min(1.0, 2 * (tail + 1) / (len(drawn) + 1))
    return Comparison(difference, float(low), float(high), p, scenes, seeds)


def _spread(by_seed: NDArray[np.float64], drawn: NDArray[np.float64], scenes: int) -> float:
    """How much wider than the draws an interval has to be, since their variance is an estimate: 1 for many of both.

    Args:
        by_seed: float64 [K], the difference of each seed on the split as it is.
        drawn: the differences of the resamples.
        scenes: in the split.
    """
    total = float(drawn.var())
    of_seeds = float(by_seed.var(ddof=1)) / len(by_seed) if len(by_seed) > 1 else 0.0
    of_scenes = max(total - of_seeds, 0.0)
    uncertain = of_seeds**2 / max(len(by_seed) - 1, 1) + of_scenes**2 / max(scenes - 1, 1)
    if uncertain == 0:
        return 1.0
    freedom = (of_seeds + of_scenes) ** 2 / uncertain
    upper = (1 + LEVEL) / 2
    return float(student_t.ppf(upper, freedom) / normal.ppf(upper))
