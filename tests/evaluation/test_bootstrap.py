"""The bootstrap as a statistical method: how often its interval covers a known difference, what it finds, what not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.evaluation.bootstrap import Comparison, compare, scene_weights
from pipeline.evaluation.evidence import DetectionEvidence
from pipeline.evaluation.resampling import scores

SCENES, SEEDS, RESAMPLES = 40, 5, 300


def measured(by_scene: NDArray[np.float64], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64 [K, 1 + R], the mean over the drawn scenes of float64 [K, S]."""
    mean: NDArray[np.float64] = by_scene @ weights.T / weights.sum(axis=1)
    return mean


def trial(generator: np.random.Generator, shift: float, seeds: int = SEEDS, of_seed: float = 0.05) -> Comparison:
    """Hard and easy scenes and lucky seeds that do the same to both arms, and a small noise of each arm's own."""
    common = generator.normal(0, 1.0, (1, SCENES)) + generator.normal(0, 1.0, (seeds, 1))
    own_scene, own_seed = generator.normal(0, 0.1, (1, SCENES)), generator.normal(0, of_seed, (seeds, 1))
    reference = common + generator.normal(0, 0.1, (seeds, SCENES))
    arm = common + shift + own_scene + own_seed + generator.normal(0, 0.1, (seeds, SCENES))
    weights = scene_weights(SCENES, RESAMPLES, generator)
    return compare(measured(arm, weights), measured(reference, weights), SCENES, generator)


def test_interval_covers_a_known_difference_about_95_times_in_100() -> None:
    generator = np.random.default_rng(0)
    trials = [trial(generator, 0.2) for _ in range(400)]
    covered = np.mean([found.low <= 0.2 <= found.high for found in trials])
    assert 0.92 < covered < 0.99
    assert np.mean([found.difference for found in trials]) == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("of_seed", [0.05, 0.2])
def test_three_seeds_are_enough_for_an_honest_interval(of_seed: float) -> None:
    """Even where the seeds make the score vary several times as much as the choice of scenes does."""
    generator = np.random.default_rng(3)
    trials = [trial(generator, 0.0, seeds=3, of_seed=of_seed) for _ in range(400)]
    assert 0.88 < np.mean([found.low <= 0 <= found.high for found in trials]) < 0.98
    assert np.mean([found.p < 0.05 for found in trials]) < 0.11


def test_no_difference_is_rarely_found_and_a_known_shift_nearly_always() -> None:
    generator = np.random.default_rng(1)
    null, shifted = [trial(generator, 0.0) for _ in range(300)], [trial(generator, 0.2) for _ in range(100)]
    assert 0.01 < np.mean([found.p < 0.05 for found in null]) < 0.09
    assert np.mean([found.p < 0.05 for found in shifted]) > 0.95
    assert all(found.p >= 2 / (RESAMPLES + 1) for found in shifted)  # never 0
    assert all((found.p < 0.04) <= (not found.low <= 0 <= found.high) for found in null)  # they say the same


def test_pairing_is_what_finds_it() -> None:
    """The same arms with the reference's seeds and scenes in another order: what was common is noise now."""
    generator = np.random.default_rng(2)
    common = generator.normal(0, 1.0, (1, SCENES)) + generator.normal(0, 1.0, (SEEDS, 1))
    arm, reference = common + 0.1, common + generator.normal(0, 0.05, (SEEDS, SCENES))
    weights = scene_weights(SCENES, 1000, generator)
    paired = compare(measured(arm, weights), measured(reference, weights), SCENES, np.random.default_rng(3))
    shuffled = reference[::-1, generator.permutation(SCENES)]
    loose = compare(measured(arm, weights), measured(shuffled, weights), SCENES, np.random.default_rng(3))
    assert paired.p < 0.01 and 0.05 < paired.low < 0.1 < paired.high < 0.15
    assert loose.p > 0.1 and loose.low < 0 < loose.high
    assert loose.high - loose.low > 10 * (paired.high - paired.low)


def test_identical_arms_differ_by_nothing() -> None:
    weights = scene_weights(SCENES, 200, np.random.default_rng(4))
    same = measured(np.random.default_rng(5).normal(size=(3, SCENES)), weights)
    found = compare(same, same.copy(), SCENES, np.random.default_rng(6))
    assert (found.difference, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)
    assert (found.scenes, found.seeds) == (SCENES, 3)


def test_variance_is_that_of_scenes_and_seeds() -> None:
    """Of K seeds alone the variance of their mean is s2 / K, and so is the bootstrap's; of scenes the same."""
    seeds = np.array([0.0, 1.0, 2.0])[:, None] * np.ones((1, SCENES))
    weights = scene_weights(SCENES, 20_000, np.random.default_rng(7))
    zero = np.zeros((3, 20_001))
    spread = compare(measured(seeds, weights), zero, SCENES, np.random.default_rng(8))
    # Means of two draws of (0, 1, 2): 0, .5, 1, 1.5, 2 with weights 1 2 3 2 1 of 9, of variance 1/3 = s2 / K. Their
    # bounds 0 and 2, spread by t(0.975, 2 degrees) / 1.96.
    half = 4.3027 / 1.95996
    assert spread.difference == 1.0
    assert [spread.low, spread.high] == pytest.approx([1 - half, 1 + half], rel=0.03)
    values = np.random.default_rng(9).normal(0, 1, (1, SCENES))
    alone = compare(measured(values, weights), zero[:1], SCENES, np.random.default_rng(8))
    expected = 2 * 2.0227 * values.std() / np.sqrt(SCENES)  # t(0.975, 39 degrees)
    assert alone.high - alone.low == pytest.approx(expected, rel=0.05)
    assert alone.seeds == 1


def test_undefined_resamples_are_left_out_and_unpaired_scores_refused() -> None:
    weights = scene_weights(3, 100, np.random.default_rng(0))
    arm = measured(np.array([[0.3, 0.5, 0.7]]), weights)
    reference = arm - 0.1
    reference[0, 5:] = np.nan
    assert compare(arm, reference, 3, np.random.default_rng(1)).low == pytest.approx(0.1)
    with pytest.raises(ValueError, match="undefined in every resample"):
        compare(arm, np.full_like(arm, np.nan), 3, np.random.default_rng(1))
    with pytest.raises(ValueError, match="not paired"):
        compare(arm, np.concatenate([arm, arm]), 3, np.random.default_rng(1))


def detector(generator: np.random.Generator, skill: float) -> DetectionEvidence:
    """One class, thirty scenes of five true boxes; of ten predictions a scene `skill` decides how many are true."""
    scenes, boxes = 30, 10
    true = generator.random((scenes, boxes)) < skill * np.linspace(0.9, 0.1, boxes)
    true &= true.cumsum(axis=1) <= 5
    score = np.linspace(1, 0, boxes) + generator.normal(0, 0.1, (scenes, boxes))
    order = np.argsort(-score.ravel(), kind="stable")
    truth = np.zeros((10, scenes), np.int64)
    truth[0] = 5
    return DetectionEvidence(
        tuple(f"scene-{number:02}" for number in range(scenes)), np.array([2.0]), truth,
        np.array([0, *[scenes * boxes] * 10]), np.repeat(np.arange(scenes, dtype=np.int32), boxes)[order],
        score.ravel()[order].astype(np.float32), true.ravel()[order, None], 0.1, 0.1,
    )  # fmt: skip


def test_a_better_detector_is_found_from_its_evidence() -> None:
    """Through average precision, which is no mean over scenes: the whole way that the report takes."""
    generator = np.random.default_rng(10)
    weights = scene_weights(30, 500, generator)

    def arm(skill: float) -> NDArray[np.float64]:
        return np.stack([scores(detector(generator, skill), weights)["mAP_present"] for _ in range(4)])

    good, base, again = arm(1.0), arm(0.7), arm(0.7)
    better, same = (compare(other, base, 30, generator) for other in (good, again))
    assert better.p < 0.01 and better.low > 0 and better.low < better.difference < better.high
    assert same.p > 0.05 and same.low < 0 < same.high
