"""Shares and tables out of sums: every number of a small case worked out by hand."""

from collections import Counter
from typing import Any

import pytest

from pipeline.evaluation.region_quality import Quality
from pipeline.evaluation.region_scores import (
    distance_rows,
    frame_rows,
    headline,
    metrics,
    object_group,
    reason_rows,
    recall_distance_rows,
    recall_rows,
    size_rows,
)
from pipeline.regions.counts import COUNTS, REASONS

ADULT, BARRIER, CAR = "human.pedestrian.adult", "movable_object.barrier", "vehicle.car"
CASE = Quality(
    frames=4,
    counts=Counter(dict.fromkeys(COUNTS, 0) | {
        "points": 1000, "rich": 250, "ground": 500, "noise": 50, "rejected": 200, "clusters": 50, "kept": 20,
        "small": 10, "tall": 15, "ego": 5,
    }),
    frame_sizes=Counter({4: 2, 6: 2}),
    sizes=Counter({2: 6, 4: 14}),
    region_bins=Counter({0: 5, 2: 15}),
    point_bins=Counter({0: 600, 2: 300, 10: 100}),
    rich_bins=Counter({0: 150, 2: 100}),
    objects=Counter({
        (CAR, 0, "recalled"): 3, (CAR, 2, "split"): 1, (ADULT, 0, "recalled"): 1, (ADULT, 0, "rejected"): 2,
        (ADULT, 1, "noise"): 1, ("vehicle.truck", 2, "ground"): 2,
    }),
    bystanders=7,
    pieced=5, pieces=8, holding=4, merging=1, overlap=90, union=120,
    labelled_frames=3, pure=190, labelled=200, purity_steps=18 * 9_000, purity_regions=18,
    instance_pure=150, instance_labelled=200,
    ground_hits=80, ground_false=20, ground_missed=60,
)  # fmt: skip


def test_headline() -> None:
    assert headline(CASE) == {
        "frames": 4, "recall": 0.4, "recall_car": 0.75, "recall_pedestrian": 0.25, "recall_barrier": None,
        "recall_other": 0.0, "purity": 0.95, "regions_a_frame": 5.0, "share_rich": 0.25,
    }  # fmt: skip


def test_metrics() -> None:
    found = metrics(CASE)
    assert found["headline"] == headline(CASE)
    assert found["labelled_ground"] == {"precision": 0.8, "recall": pytest.approx(80 / 140), "iou": 0.5}
    assert found["missed"] == {"ground": 2, "noise": 1, "rejected": 2, "split": 1}
    assert found["objects"] == {"all": 10, "car": 4, "pedestrian": 4, "barrier": 0, "other": 2, "too_few_points": 7}
    assert found["recalled"] == {"all": 4, "car": 3, "pedestrian": 1, "barrier": 0, "other": 0}
    assert found["points"] == {"rich": 0.25, "ground": 0.5, "noise": 0.05, "rejected": 0.2}
    assert found["purity"] == {"pooled": 0.95, "mean_over_regions": 0.9, "instance": 0.75, "labelled_frames": 3}
    assert found["regions"] == {
        "kept": 20, "clusters": 50, **{f"rejected_{reason}": CASE.counts[reason] for reason in REASONS}
    }  # fmt: skip
    assert found["segmentation"] == {
        "over_segmentation": 1.6, "under_segmentation": 0.05, "merging_of_holding": 0.25, "overlap": 0.75
    }  # fmt: skip


def test_nothing_is_none_and_no_error() -> None:
    found = metrics(Quality())
    assert found["headline"] == {"frames": 0, **dict.fromkeys([*found["headline"]][1:])}
    assert set(found["segmentation"].values()) == {None}
    for rows in (distance_rows, frame_rows, recall_distance_rows, recall_rows, size_rows):
        assert rows(Quality()) == []
    assert [row["share"] for row in reason_rows(Quality())] == [None] * len(REASONS)


@pytest.mark.parametrize(
    ("category", "group"),
    [
        ("vehicle.car", "car"),
        ("vehicle.emergency.police", "other"),
        ("vehicle.bicycle", "other"),
        ("human.pedestrian.construction_worker", "pedestrian"),
        ("movable_object.barrier", "barrier"),
        ("movable_object.trafficcone", "other"),
        ("animal", "other"),
        ("cargo.car", "other"),
    ],
)
def test_groups_of_categories(category: str, group: str) -> None:
    assert object_group(category) == group


def test_recall_by_class() -> None:
    rows = {row["class"]: row for row in recall_rows(CASE)}
    assert list(rows) == ["all", "(car)", "(pedestrian)", "(other)", ADULT, CAR, "vehicle.truck"]
    assert rows[ADULT] == {
        "class": ADULT, "objects": 4, "recall": 0.25, "recalled": 1, "ground": 0, "noise": 1, "rejected": 2, "split": 0
    }  # fmt: skip
    assert rows["(car)"]["recall"] == rows[CAR]["recall"] == 0.75


def test_recall_by_distance() -> None:
    rows: list[dict[str, Any]] = recall_distance_rows(CASE)
    assert [(row["distance"], row["objects"], row["all"]) for row in rows] == [
        (0, 6, pytest.approx(4 / 6)), (10, 1, 0.0), (20, 3, 0.0),
    ]  # fmt: skip
    assert [row["car"] for row in rows] == [1.0, None, 0.0]


def test_tables() -> None:
    assert frame_rows(CASE) == [
        {"regions": 4, "frames": 2}, {"regions": 5, "frames": 0}, {"regions": 6, "frames": 2}
    ]  # fmt: skip
    assert [(row["points"], row["range"], row["regions"], row["a_frame"]) for row in size_rows(CASE)] == [
        (1, "1-1", 0, 0.0), (2, "2-3", 0, 0.0), (4, "4-7", 6, 1.5), (8, "8-15", 0, 0.0), (16, "16-31", 14, 3.5),
    ]  # fmt: skip
    rows = distance_rows(CASE)
    assert [row["range"] for row in rows] == [*(f"{low}-{low + 10}" for low in range(0, 100, 10)), "beyond"]
    assert [row["share_rich"] for row in rows] == [0.25, None, pytest.approx(1 / 3), *[None] * 7, 0.0]
    assert rows[2] == {"distance": 20, "range": "20-30", "regions": 15, "points": 300, "share_rich": 100 / 300}
    shares = {row["reason"]: (row["clusters"], row["share"]) for row in reason_rows(CASE)}
    assert (shares["small"], shares["tall"], shares["thin"]) == ((10, 0.2), (15, 0.3), (0, 0.0))
