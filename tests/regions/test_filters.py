"""The filters on hand-made clusters, their measures against brute force."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.params import Regions
from pipeline.regions.filters import find_oversized, judge_clusters, measure_clusters
from pipeline.regions.hulls import find_hull, rectangle_sides
from tests.reference.regions import hull_area, paper_regions, rectangle

PAPER = paper_regions()


def box(x: float, y: float, length: float, width: float, top: float) -> NDArray[np.float32]:
    """Corners and edges' middles of a box, length along y."""
    spots = [(a, b) for a in (-0.5, 0.0, 0.5) for b in (-0.5, 0.0, 0.5)]
    return np.array([(x + a * width, y + b * length, z) for a, b in spots for z in (-1.4, top)], np.float32)


def reasons(*clusters: NDArray[np.float32], params: Regions = PAPER) -> list[list[str]]:
    labels = np.repeat(np.arange(len(clusters)), [len(points) for points in clusters])
    verdicts = judge_clusters(measure_clusters(np.concatenate(clusters), labels, params), params)
    return [[reason for reason, broken in verdicts.items() if broken[k]] for k in range(len(clusters))]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (box(8, 8, 4.5, 1.9, -0.1), []),
        (box(8, 8, 0.4, 0.4, -0.1), ["small"]),
        (box(8, 8, 7.0, 3.0, -0.1), ["large"]),
        (box(8, 8, 4.5, 1.9, -1.6), ["low"]),
        (box(8, 8, 4.5, 1.9, 3.1), ["high"]),
        (box(8, 8, 6.0, 0.5, 0.5), ["thin"]),
        (box(8, 8, 30.0, 0.8, 6.0), ["large", "high", "thin"]),
        (box(0, 0.2, 3.5, 1.8, -0.1), ["ego"]),
    ],
)
def test_reasons(points: NDArray[np.float32], expected: list[str]) -> None:
    # Lowered corners of `box` stay below every top here but -1.6.
    points[:, 2] = np.minimum(points[:, 2], points[-1, 2])
    assert reasons(points) == [expected]


SHAPED = replace(
    PAPER, min_top=None, max_top=None, max_length=7.0, max_height=2.5, flat_height=1.5, max_flat_area=30.0,
    max_bottom=-1.0, min_aspect=0.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("points", "expected", "oversized"),
    [
        (box(8, 8, 4.5, 1.9, -0.1), [], False),
        (box(8, 8, 4.5, 1.9, 1.3), ["tall"], True),
        (box(8, 8, 8.0, 1.0, 0.5), ["large"], True),
        (box(8, 8, 20.0, 1.0, 0.05), [], True),  # flat: a row of barriers is parted where it can be, kept where not
        (box(8, 8, 40.0, 1.0, 0.05), ["large"], True),
        (box(8, 8, 4.5, 1.9, -0.1) + np.array([0, 0, 3], np.float32), ["hanging"], False),
    ],
)
def test_filters_by_shape(points: NDArray[np.float32], expected: list[str], oversized: bool) -> None:
    assert reasons(points, params=SHAPED) == [expected]
    shapes = measure_clusters(points, np.zeros(len(points), np.int64), SHAPED)
    assert find_oversized(shapes, SHAPED).tolist() == [oversized]


@pytest.mark.parametrize(("x", "y"), [(0.0, 9.0), (0.0, -9.0), (6.0, 0.0), (0.0, 3.0)])
def test_a_car_straight_ahead_behind_or_beside_is_kept(x: float, y: float) -> None:
    assert reasons(box(x, y, 4.5, 1.9, -0.1), box(0, 0, 3.0, 1.0, -0.1)) == [[], ["ego"]]


def test_clusters_without_a_hull() -> None:
    spot = np.full((6, 3), 5, np.float32) * np.array([1, 1, 0], np.float32)
    line = spot + np.linspace(0, 3, 6, dtype=np.float32)[:, None] * np.array([1, 1, 0], np.float32)
    assert reasons(spot, line, spot[:1]) == [["small", "thin"]] * 3


def test_no_cluster() -> None:
    verdicts = judge_clusters(measure_clusters(np.zeros((4, 3), np.float32), np.full(4, -1), PAPER), PAPER)
    assert all(len(broken) == 0 for broken in verdicts.values())


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6), groups=st.integers(1, 6), largest=st.integers(1, 60),
    grid=st.sampled_from([0.0, 0.5]), offset=st.sampled_from([0.0, 80.0]),
)  # fmt: skip
def test_area_equals_qhull(seed: int, groups: int, largest: int, grid: float, offset: float) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, largest + 1, groups)
    labels = np.repeat(np.arange(groups), sizes)
    shuffled = rng.permutation(labels)
    points = (rng.normal(0, 1.5, (len(labels), 3)) + offset).astype(np.float32)
    if grid:
        points = np.round(points / np.float32(grid)) * np.float32(grid)
    shapes = measure_clusters(points, shuffled, PAPER)
    for k in range(groups):
        xy = points[shuffled == k, :2].astype(np.float64)
        assert shapes.area[k] == pytest.approx(hull_area(xy), abs=1e-8)
        assert shapes.top[k] == points[shuffled == k, 2].max()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(3, 40))
def test_rectangle_is_the_smallest_of_all_directions(seed: int, count: int) -> None:
    xy = np.random.default_rng(seed).normal(0, [2.0, 0.7], (count, 2))
    short, long = rectangle_sides(xy[find_hull(xy)])
    brute_short, brute_long = rectangle(xy)
    assert short * long <= brute_short * brute_long + 1e-9
    # Turned by at most a quarter of a millirad, each side of the best rectangle grows by that times the diagonal.
    slack = 2 * 2.5e-4 * np.hypot(short, long) * (short + long)
    assert short * long >= brute_short * brute_long - slack


def test_hull_of_a_square_has_its_corners_counter_clockwise() -> None:
    xy = np.array([(x, y) for x in (0.0, 0.5, 1.0) for y in (0.0, 0.5, 1.0)])
    assert xy[find_hull(xy)].tolist() == [[0, 0], [1, 0], [1, 1], [0, 1]]
