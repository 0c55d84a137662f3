"""The sums of one frame: against a slow twin on random frames, and on small ones counted by hand."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from pipeline.evaluation.region_quality import (
    Quality,
    add_up,
    distance_bin,
    judge_object,
    measure_frame,
    measure_ground,
    measure_objects,
    measure_places,
    measure_purity,
)
from pipeline.evaluation.region_truth import ObjectPoints, Truth
from tests.reference.region_quality import count_frame, judge


def ids_of(*values: int) -> Any:
    return np.array(values, np.int16)


def thing(*members: int, category: str = "vehicle.car", distance: float = 12.0) -> ObjectPoints:
    return ObjectPoints(category, distance, np.array(members, np.int64))


def random_frame(seed: int) -> tuple[Any, Any, dict[str, int], Truth]:
    """A frame whose objects lie in few regions, in many, or in none; labels are there or not."""
    rng = np.random.default_rng(seed)
    size = int(rng.choice([0, 1, 30, 300]))
    points = rng.uniform(-90, 90, (size, 5)).astype(np.float32)
    regions = int(rng.integers(0, 7))
    _, compact = np.unique(rng.integers(0, max(regions, 1), size), return_inverse=True)
    ids = np.where(rng.random(size) < 0.6 if regions else False, compact, rng.integers(-3, 0, size)).astype(np.int16)
    _, ids[ids >= 0] = np.unique(ids[ids >= 0], return_inverse=True)
    points[ids == -1, rng.integers(0, 2)] = rng.choice([np.nan, np.inf, 5.0])  # as the segmentation calls such points
    objects = []
    for number in range(int(rng.integers(0, 9))):
        chosen = rng.random(size) < rng.uniform(0, 0.3)
        if number % 2 and size:  # mostly of one region, so that some are recalled
            chosen &= (ids == rng.integers(-1, 3)) | (rng.random(size) < 0.2)
        category = str(rng.choice(["vehicle.car", "human.pedestrian.adult"]))
        objects.append(ObjectPoints(category, float(rng.uniform(0, 130)), np.flatnonzero(chosen)))
    classes = rng.integers(0, 5, size)
    instances = classes * 1000 + rng.integers(0, 3, size)
    ground = np.array([False, True, False, True, False])
    truths = [
        Truth(tuple(objects)), Truth(tuple(objects), classes, ground), Truth(tuple(objects), classes, ground, instances)
    ]  # fmt: skip
    counts = {"points": size, "rich": int((ids >= 0).sum()), "kept": int(ids.max(initial=-1)) + 1}
    return points, ids, counts, truths[seed % 3]


@pytest.mark.parametrize("seed", range(60))
def test_a_frame_against_the_slow_twin(seed: int) -> None:
    frame = random_frame(seed)
    assert measure_frame(*frame) == count_frame(*frame)


def test_random_frames_know_every_outcome() -> None:
    """The test above would not tell a rule that no frame needs."""
    whole = add_up(measure_frame(*random_frame(seed)) for seed in range(60))
    outcomes = Counter[str]()
    for (_, _, outcome), number in whole.objects.items():
        outcomes[outcome] += number
    assert min(outcomes[name] for name in ("recalled", "ground", "noise", "rejected", "split")) >= 3
    assert min(whole.merging, whole.bystanders, whole.ground_missed, whole.instance_labelled) > 0
    assert whole.pieces > whole.pieced
    assert 0 < sum(whole.point_bins.values()) < whole.counts["points"]


@pytest.mark.parametrize(
    ("ids", "outcome", "region"),
    [
        ((0, 0, 0, -1, -1), "recalled", 0),
        ((1, 1, 1, 0, -2, -2), "split", 1),  # half is not more than half
        ((1, 1, 1, 1, -2, -2), "recalled", 1),
        ((0, 0, 1, 1, 2), "split", 0),
        ((-3, -3, -2, -2, 0), "rejected", 0),  # of equally many the first of rejected, ground, noise, split
        ((-2, -2, -1, -1, 0), "ground", 0),
        ((-1, -1, 0, 1, -2), "noise", 0),
        ((-1, -1, -1, -1, -1), "noise", -1),
        ((3,), "recalled", 3),
    ],
)
def test_what_became_of_an_object(ids: tuple[int, ...], outcome: str, region: int) -> None:
    found = judge_object(ids_of(*ids))
    assert found[:2] == (outcome, region)
    assert judge(ids) == outcome
    assert [int(number) for number in found[2]] == [ids.count(value) for value in range(max(*ids, -1, -1) + 1)]


def test_objects_by_hand() -> None:
    """Region 0 swallows two objects, region 1 is an object and a half, one object falls in two pieces of it."""
    ids = ids_of(*[0] * 12, *[1] * 9, *[2] * 6, -1, -1)
    found = measure_objects(
        ids,
        [
            thing(*range(6)),
            thing(*range(6, 12), distance=99.9),
            thing(*range(12, 18)),
            thing(*range(18, 24), category="movable_object.barrier"),  # three points of region 1, three of region 2
            thing(24, 25, 26, 27, category="human.pedestrian.adult"),  # four points: nothing is asked of it
        ],
    )
    assert found.objects == {
        ("vehicle.car", 1, "recalled"): 2, ("vehicle.car", 9, "recalled"): 1, ("movable_object.barrier", 1, "split"): 1,
    }  # fmt: skip
    assert (found.bystanders, found.pieced, found.pieces) == (1, 4, 5)
    assert (found.holding, found.merging) == (2, 1)
    assert (found.overlap, found.union) == (6 + 6 + 6, 12 + 12 + 9)


def test_a_piece_is_a_tenth_and_three_points() -> None:
    many = ids_of(*[0] * 36, *[1] * 4, *[2] * 3)
    assert measure_objects(many, [thing(*range(43))]).pieces == 1  # 4 of 43 are less than a tenth
    assert measure_objects(many[3:], [thing(*range(40))]).pieces == 2
    few = ids_of(*[0] * 4, *[1] * 2)
    assert measure_objects(few, [thing(*range(6))]).pieces == 1  # two points are no piece


def test_purity_by_hand() -> None:
    ids = ids_of(0, 0, 0, 0, 1, 1, 2, -1, -2)
    values = np.array([7, 7, 7, 4, 4, 9, 3, 3, 3])
    known = np.array([True, True, True, True, True, False, False, True, True])
    assert measure_purity(ids, values, known) == (3 + 1, 4 + 1, 7_500 + 10_000, 2)
    assert measure_purity(ids, values, np.zeros(9, bool)) == (0, 0, 0, 0)
    assert measure_purity(ids_of(), values[:0], known[:0]) == (0, 0, 0, 0)


def test_ground_by_hand() -> None:
    classes = np.array([0, 1, 1, 1, 2, 2])  # 0 is unlabelled, 1 is ground
    found = measure_ground(ids_of(-2, -2, -2, 0, -2, -1), classes, np.array([False, True, False]))
    assert (found.ground_hits, found.ground_false, found.ground_missed) == (2, 1, 1)


def test_sizes_and_distances_by_hand() -> None:
    points = np.array([[3, 4], [3, 4], [30, 40], [30, 40], [-30, -40], [500, 0]], np.float32)
    found = measure_places(points, ids_of(0, 0, 1, 1, 1, -1))
    assert found.frame_sizes == {2: 1}
    assert found.sizes == {1: 2}  # two and three points
    assert found.region_bins == {0: 1, 1: 1}  # the mean of region 1 is (10, 13.3)
    assert found.point_bins == {0: 2, 5: 3, 10: 1}
    assert found.rich_bins == {0: 2, 5: 3}


def test_borders_of_the_distance_bins() -> None:
    places = np.array([[0, 0], [9.99, 0], [10, 0], [0, -99.9], [0, 100], [8000, 0]])
    assert distance_bin(places).tolist() == [0, 0, 1, 9, 10, 10]


def test_sums_depend_on_no_order() -> None:
    parts = [measure_frame(*random_frame(seed)) for seed in range(12)]
    assert add_up(parts) == add_up(reversed(parts)) == sum(parts[6:], start=add_up(parts[:6]))
    assert add_up([]) == Quality()
