"""DBSCAN against its definition and scikit-learn; border points follow our rule."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import DBSCAN

from pipeline.regions.clustering import cluster, transform
from tests.reference.regions import dbscan, paper_regions, resolve_border

PAPER = paper_regions()
Backend = Literal["grid", "dbscan", "sklearn"]
SPACES: list[tuple[Backend, int]] = [("grid", 2), ("grid", 3), ("dbscan", 2), ("sklearn", 2), ("sklearn", 3)]


def assert_same_partition(ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> None:
    pairs = set(zip(ours.tolist(), theirs.tolist(), strict=True))
    assert len(pairs) == len({label for label, _ in pairs}) == len({label for _, label in pairs})


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6), count=st.integers(1, 250), space=st.sampled_from(SPACES),
    spacing=st.sampled_from([0.0, 0.25]), min_samples=st.integers(1, 9),
)  # fmt: skip
def test_equals_its_definition(
    seed: int, count: int, space: tuple[Backend, int], spacing: float, min_samples: int
) -> None:
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-6, 6, (12, 3))
    cloud = centres[rng.integers(0, 12, count)] + rng.normal(0, 0.6, (count, 3))
    if spacing:  # many equal distances, some of them exactly eps = 3 spacings
        cloud = np.round(cloud / spacing) * spacing
    points = cloud.astype(np.float32)
    backend, dims = space
    params = replace(PAPER, clustering=backend, dims=dims, min_samples=min_samples)
    labels = cluster(points, params)
    coordinates = points[:, :dims].astype(np.float64)
    component, core, noise = dbscan(coordinates, params.eps, params.min_samples)
    assert np.array_equal(labels < 0, noise)
    assert_same_partition(labels[core], component[core])
    firsts = [int(np.flatnonzero(core & (labels == k))[0]) for k in range(labels.max(initial=-1) + 1)]
    assert firsts == sorted(firsts)
    for point in np.flatnonzero((labels >= 0) & ~core):
        assert labels[point] == resolve_border(coordinates, core, labels, point)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("backend", "dims"), [("grid", 2), ("grid", 3), ("dbscan", 2)])
def test_equals_sklearn_on_thousands_of_points(backend: Backend, dims: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-50, 50, (60, dims))
    cloud = centres[rng.integers(0, 60, 4000)] + rng.normal(0, 2, (4000, dims)) * rng.uniform(0.05, 1, dims)
    points = cloud.astype(np.float32)
    labels = cluster(points, replace(PAPER, clustering=backend, dims=dims))
    oracle = DBSCAN(eps=PAPER.eps, min_samples=PAPER.min_samples).fit(points.astype(np.float64))
    assert np.array_equal(labels < 0, oracle.labels_ < 0)
    core = oracle.core_sample_indices_
    assert_same_partition(labels[core], oracle.labels_[core])


def bridge(order: list[int]) -> NDArray[np.int64]:
    """Two rows of core points and one border point in the middle, nearer to the right one; labels in given order."""
    left = [(-0.7 - 0.1 * k, 0.0, 0.0) for k in range(5)]
    right = [(0.65 + 0.1 * k, 0.0, 0.0) for k in range(5)]
    points = np.array([*left, *right, (0.0, 0.0, 0.0)], np.float32)[order]
    return cluster(points, PAPER)


def test_border_point_goes_to_the_nearest_core_point() -> None:
    forward = list(range(11))
    assert bridge(forward).tolist() == [0] * 5 + [1] * 5 + [1]
    assert bridge(forward[::-1]).tolist() == [0] + [0] * 5 + [1] * 5


def test_tie_goes_to_the_lower_id() -> None:
    row = [(0.75 + 0.1 * k, 0.0, 0.0) for k in range(5)]
    points = np.array([*row, *[(-x, y, z) for x, y, z in row], (0.0, 0.0, 0.0)], np.float32)
    assert cluster(points, PAPER).tolist() == [0] * 5 + [1] * 5 + [0]


@pytest.mark.parametrize("count", [0, 1, 4])
def test_fewer_points_than_a_cluster_needs(count: int) -> None:
    assert cluster(np.zeros((count, 3), np.float32), PAPER).tolist() == [-1] * count


def test_dims_3_separates_what_hangs_above() -> None:
    points = np.zeros((20, 3), np.float32)
    points[10:, 2] = 3
    assert cluster(points, PAPER).max() == 0
    assert cluster(points, replace(PAPER, dims=3)).tolist() == [0] * 10 + [1] * 10


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 800), spread=st.floats(1, 15))
def test_every_backend_gives_the_same_clusters(seed: int, count: int, spread: float) -> None:
    """Border points included: which cluster they go to is ours to say, not the backend's."""
    points = np.random.default_rng(seed).normal(0, spread, (count, 3)).astype(np.float32)
    found = {space: cluster(points, replace(PAPER, clustering=space[0], dims=space[1])) for space in SPACES}
    for (backend, dims), labels in found.items():
        assert np.array_equal(labels, found["sklearn", dims]), backend


def test_the_package_dbscan_is_refused_in_three_dimensions() -> None:
    with pytest.raises(ValueError, match="misses core points with dims: 3; choose grid or sklearn"):
        replace(PAPER, clustering="dbscan", dims=3)


def test_points_too_far_apart_for_a_grid_are_refused() -> None:
    points = np.zeros((9, 3), np.float32)
    points[0] = 1e9
    with pytest.raises(ValueError, match="too far apart"):
        cluster(points, replace(PAPER, dims=3))


@pytest.mark.parametrize("dims", [2, 3])
def test_moved_and_turned_points_keep_their_clusters(dims: int) -> None:
    """The grid lies otherwise; eps is far from every distance that decides."""
    rng = np.random.default_rng(dims)
    centres = np.stack(np.meshgrid([-9.0, 0.0, 9.0], [-9.0, 0.0, 9.0], [0.0, 5.0]), axis=-1).reshape(-1, 3)
    points = centres[rng.integers(0, len(centres), 900)] + rng.uniform(-0.4, 0.4, (900, 3))
    params = replace(PAPER, dims=dims)
    labels = cluster(points.astype(np.float32), params)
    assert labels.max() + 1 == (9 if dims == 2 else 18)
    for angle in rng.uniform(0, 2 * np.pi, 5):
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        moved = points @ turn.T + rng.uniform(-30, 30, 3)
        assert np.array_equal(cluster(moved.astype(np.float32), params), labels)


def test_range_is_compressed_towards_the_sensor() -> None:
    points = np.array([(0, 0, 1), (20, 0, 1), (0, -40, -2)], np.float32)
    params = replace(PAPER, dims=3, range_scale=20.0, z_weight=0.5)
    near = 20 * np.log([2.0, 3.0])
    expected = [(0, 0, 0.5), (near[0], 0, near[0] / 40), (0, -near[1], -near[1] / 40)]
    assert transform(points, params) == pytest.approx(np.array(expected))
    assert transform(points, PAPER).tolist() == points[:, :2].tolist()


@pytest.mark.parametrize(("distance", "one"), [(5.0, False), (40.0, True)])
def test_the_same_gap_parts_near_clusters_and_not_far_ones(distance: float, one: bool) -> None:
    """Two columns a metre apart, along the line of sight."""
    column = np.column_stack([np.zeros((8, 2)), np.linspace(-1, 0, 8)])
    points = np.concatenate([column, column]).astype(np.float32)
    points[:8, 1], points[8:, 1] = distance, distance + 1
    assert (cluster(points, replace(PAPER, range_scale=20.0)).max() == 0) == one
