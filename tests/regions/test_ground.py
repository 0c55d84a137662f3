"""The plane fit against known planes and against its slow twin."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.regions.ground import find_ground
from tests.reference.regions import fit_ground, paper_regions

PAPER = paper_regions()
PATCHWORK = replace(PAPER, ground="patchwork")


def street(seed: int, tilt: tuple[float, float] = (0.0, 0.0), reach: float = 50.0) -> tuple[NDArray[np.float32], int]:
    """4000 points of a noisy plane 1.84 m below the sensor, then 1000 obstacle points 0.5 to 2 m above it."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(-reach, reach, (5000, 2))
    above = np.r_[rng.normal(0, 0.02, 4000), rng.uniform(0.5, 2.0, 1000)]
    z = -1.841 + xy @ np.array(tilt) + above
    return np.column_stack([xy, z]).astype(np.float32), 4000


@pytest.mark.parametrize("tilt", [(0.0, 0.0), (0.0, 0.004), (0.004, 0.0), (-0.003, 0.005)])
def test_known_plane(tilt: tuple[float, float]) -> None:
    points, ground = street(1, tilt)
    found = find_ground(points, PAPER)
    assert found[:ground].mean() > 0.999
    assert not found[ground:].any()


def test_each_slab_has_its_own_height() -> None:
    points, ground = street(2)
    points[:, 2] += np.where(points[:, 0] >= 6, 0.4, 0.0)  # a terrace; 6 is a border of slabs
    found = find_ground(points, PAPER)
    assert found[:ground].mean() > 0.999
    assert not found[ground:].any()


@pytest.mark.parametrize("slope", [0.03, 0.06])
def test_a_road_that_climbs_to_the_side(slope: float) -> None:
    """From a border of slabs on; inside a slab a plane follows any slope that its seeds, half a metre high, can see."""
    points, ground = street(5)
    points[:, 2] += slope * np.maximum(points[:, 0] - 6, 0)
    found = find_ground(points, PAPER)
    assert found[:ground].mean() > 0.999
    assert not found[ground:].any()


def test_a_kerb_inside_a_slab_is_ground_on_both_sides() -> None:
    points, ground = street(6)
    points[:, 2] += np.where(points[:, 0] >= 11, 0.12, 0.0)
    found = find_ground(points, PAPER)
    assert found[:ground].mean() > 0.999
    assert not found[ground:].any()


def test_points_far_below_are_ground_whatever_the_sign_of_the_normal() -> None:
    points, _ = street(3)
    points[:20, 2] = -5
    assert find_ground(points, PAPER)[:20].all()


def test_points_beyond_reach_are_judged_by_the_outermost_plane() -> None:
    points, ground = street(4, tilt=(0.004, 0.0), reach=90.0)
    outer = np.abs(points[:, 0]) >= PAPER.slab_reach
    lifted = points.copy()
    lifted[outer, 2] += 3
    assert find_ground(points, PAPER)[:ground][outer[:ground]].mean() > 0.95
    assert not find_ground(lifted, PAPER)[outer].any()
    inner = find_ground(points, PAPER)[~outer]
    assert np.array_equal(inner, find_ground(lifted, PAPER)[~outer])  # they support no plane


def test_slab_with_too_few_points_has_no_ground() -> None:
    points = np.zeros((60, 3), np.float32)
    points[:, 1] = np.arange(60)
    points[:, 2] = -1.84
    points[:49, 0], points[49:, 0] = 0.0, 30.0
    assert not find_ground(points, PAPER).any()
    assert find_ground(points, replace(PAPER, min_slab_points=49))[:49].all()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_next_to_nothing(count: int) -> None:
    assert find_ground(np.zeros((count, 5), np.float32), PAPER).tolist() == [False] * count


def test_none_removes_nothing() -> None:
    assert not find_ground(street(5)[0], replace(PAPER, ground="none")).any()


def test_ground_distance_tapers_with_range() -> None:
    """A curb of 15 cm is ground beside the car and none far away."""
    points, ground = street(1)
    points[:8] = [(x, 3.0, -1.69) for x in (-4, -3, -2, -1, 30, 31, 32, 33)]
    found = find_ground(points, replace(PAPER, ground_distance=0.3, ground_taper=0.01, min_ground_distance=0.1))
    assert found[:8].tolist() == [True] * 4 + [False] * 4
    assert not found[ground:].any()


@pytest.mark.parametrize("tilt", [(0.0, 0.0), (0.02, 0.01)])
def test_patchwork_finds_the_street_and_no_wall(tilt: tuple[float, float], capfd: pytest.CaptureFixture[str]) -> None:
    """As dense as a sweep: 20 000 points around the sensor, a fifth of them 0.8 to 3 m above the plane."""
    rng = np.random.default_rng(7)
    angle, distance = rng.uniform(0, 2 * np.pi, 20_000), rng.uniform(4, 30, 20_000)
    xy = np.column_stack([np.cos(angle), np.sin(angle)]) * distance[:, None]
    above = np.r_[rng.normal(0, 0.02, 16_000), rng.uniform(0.8, 3.0, 4000)]
    points = np.column_stack([xy, -1.841 + xy @ np.array(tilt) + above]).astype(np.float32)
    found = find_ground(points, PATCHWORK)
    assert found[:16_000].mean() > 0.9
    assert found[16_000:].mean() < 0.02
    assert capfd.readouterr().out == ""


def test_patchwork_depends_on_no_earlier_sweep() -> None:
    points = street(2)[0]
    alone = find_ground(points, PATCHWORK)
    for seed in (5, 6):
        find_ground(street(seed, (0.05, 0.0))[0], PATCHWORK)
    assert np.array_equal(find_ground(points, PATCHWORK), alone)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_patchwork_of_next_to_nothing(count: int) -> None:
    assert find_ground(np.zeros((count, 5), np.float32), PATCHWORK).tolist() == [False] * count


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 600), spread=st.floats(0.05, 3))
def test_equals_its_twin_on_any_cloud(seed: int, count: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(0, [40, 40, spread], (count, 3)).astype(np.float32) - np.array([0, 0, 1.8], np.float32)
    params = replace(PAPER, min_slab_points=20)
    assert np.array_equal(find_ground(points, params), fit_ground(points, params))
