"""From a sweep to ids: what each point becomes, and that the counts add up."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.regions.counts import COUNTS
from pipeline.regions.ids import GROUND, NOISE, REJECTED
from pipeline.regions.segmentation import segment
from tests.reference.regions import paper_regions

PAPER = paper_regions()


def street() -> tuple[NDArray[np.float32], dict[str, slice]]:
    """Flat ground, then a car ahead, a house, a stray point and a car to the right."""
    rng = np.random.default_rng(0)
    parts = {
        "ground": np.column_stack([rng.uniform(-30, 30, (3000, 2)), np.full(3000, -1.84)]),
        "ahead": rng.uniform([-0.9, 9, -1.5], [0.9, 13.5, -0.2], (200, 3)),
        "house": rng.uniform([-20, -20, -1.5], [-10, -10, 5], (2000, 3)),
        "stray": np.array([[15.0, -15.0, 0.0]]),
        "right": rng.uniform([6, 0, -1.5], [8, 4, -0.2], (200, 3)),
    }
    ends = np.cumsum([len(part) for part in parts.values()])
    slices = {name: slice(end - len(part), end) for (name, part), end in zip(parts.items(), ends, strict=True)}
    return np.concatenate(list(parts.values())).astype(np.float32), slices


def test_ids_say_what_each_point_is() -> None:
    points, at = street()
    result = segment(points, PAPER)
    expected = {"ground": GROUND, "ahead": 0, "house": REJECTED, "stray": NOISE, "right": 1}
    assert result.ids.dtype == np.int16
    assert {name: set(result.ids[where].tolist()) for name, where in at.items()} == {
        name: {identity} for name, identity in expected.items()
    }
    assert result.counts == {
        "points": 5401, "rich": 400, "ground": 3000, "noise": 1, "rejected": 2000, "invalid": 0, "clusters": 3,
        "kept": 2, "small": 0, "large": 1, "tall": 0, "low": 0, "high": 1, "hanging": 0, "thin": 0, "ego": 0,
    }  # fmt: skip


def test_oversized_clusters_are_split() -> None:
    """A pedestrian half a metre from a wall: one cluster at eps 0.75, two at the finer eps; the car stays whole."""
    rng = np.random.default_rng(3)
    wall = rng.uniform([-15, 10, -1.5], [15, 10.3, 1.5], (6000, 3))
    pedestrian = rng.uniform([0, 9.2, -1.5], [0.4, 9.5, 0.0], (150, 3))
    car = rng.uniform([6, 0, -1.5], [8, 4, -0.2], (400, 3))
    points = np.concatenate([wall, pedestrian, car]).astype(np.float32)
    merged = replace(PAPER, ground="none", max_length=7.0, min_area=0.02)
    assert set(segment(points, merged).ids[6000:6150].tolist()) == {REJECTED}
    ids = segment(points, replace(merged, split_eps=0.3)).ids
    assert set(ids[:6000].tolist()) == {REJECTED}
    assert len(set(ids[6000:6150].tolist())) == len(set(ids[6150:].tolist())) == 1
    assert sorted({ids[6000], ids[6150]}) == [0, 1]


def test_the_order_of_the_points_changes_only_names() -> None:
    points, _ = street()
    order = np.random.default_rng(1).permutation(len(points))
    straight, shuffled = segment(points, PAPER), segment(points[order], PAPER)
    assert straight.counts == shuffled.counts
    assert np.array_equal(straight.ids[order] < 0, shuffled.ids < 0)
    assert len(set(zip(straight.ids[order].tolist(), shuffled.ids.tolist(), strict=True))) == 5


@pytest.mark.parametrize("count", [0, 1])
def test_empty_and_single_point(count: int) -> None:
    result = segment(np.zeros((count, 5), np.float32), PAPER)
    assert result.ids.tolist() == [NOISE] * count
    assert result.counts == dict.fromkeys(COUNTS, 0) | {"points": count, "noise": count}


def test_all_ground() -> None:
    points, at = street()
    result = segment(points[at["ground"]], PAPER)
    assert set(result.ids.tolist()) == {GROUND}
    assert result.counts["clusters"] == 0


def test_without_ground_removal_no_point_is_ground() -> None:
    points, _ = street()
    assert GROUND not in segment(points, replace(PAPER, ground="none")).ids


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_point_that_is_nowhere_is_counted_noise_and_changes_no_other(value: float) -> None:
    points, _ = street()
    expected = segment(points, PAPER)
    holed = np.insert(points, 7, points[7], axis=0)
    holed[7, 1] = value
    result = segment(holed, PAPER)
    assert result.ids[7] == NOISE
    assert np.array_equal(np.delete(result.ids, 7), expected.ids)
    changed = {"points": 1, "noise": 1, "invalid": 1}
    assert result.counts == {name: count + changed.get(name, 0) for name, count in expected.counts.items()}
