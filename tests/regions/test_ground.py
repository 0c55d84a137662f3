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


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 600), spread=st.floats(0.05, 3))
def test_equals_its_twin_on_any_cloud(seed: int, count: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(0, [40, 40, spread], (count, 3)).astype(np.float32) - np.array([0, 0, 1.8], np.float32)
    params = replace(PAPER, min_slab_points=20)
    assert np.array_equal(find_ground(points, params), fit_ground(points, params))
