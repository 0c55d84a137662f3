"""Corruption errors, resilience rates and relative corruption errors, each worked out by hand."""

import math

import pandas as pd
import pytest

from pipeline.robustness.record import SCORES
from pipeline.robustness.summary import EVERY, mean_over_types, measure_types, over_seeds

SCRATCH = {"scratch": "scratch", "ours": "scratch", "camera": "camera"}
Row = tuple[str, int, str, str, int, float, float, bool]


def table(*rows: Row) -> pd.DataFrame:
    """(arm, seed, family, type, severity, value, clean, applicable) of one trial and metric."""
    full = [(arm, "detection-0.1", seed, "NDS", *rest) for arm, seed, *rest in rows]
    return pd.DataFrame(full, columns=SCORES)


def fog(arm: str, *values: float, clean: float, seed: int = 0, kind: str = "fog", family: str = "lidar") -> list[Row]:
    return [(arm, seed, family, kind, level, value, clean, True) for level, value in enumerate(values, 1)]


def one(found: pd.DataFrame, arm: str, column: str, **where: object) -> float:
    rows = found[found["arm"] == arm]
    for name, value in where.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1
    return float(rows[column].iloc[0])


def test_measures_of_one_type_by_hand() -> None:
    scores = table(*fog("scratch", 0.3, 0.2, 0.1, clean=0.4), *fog("ours", 0.4, 0.3, 0.2, clean=0.6))
    found = measure_types(scores, SCRATCH, "scratch")
    assert one(found, "ours", "CE") == pytest.approx(100 * (0.6 + 0.7 + 0.8) / (0.7 + 0.8 + 0.9))
    assert one(found, "ours", "RR") == pytest.approx(100 * 0.9 / (3 * 0.6))
    assert one(found, "ours", "RCE") == pytest.approx(100 * (0.6 - 0.3) / 0.6)
    assert one(found, "scratch", "CE") == one(found, "scratch", "CE_reference") == 100
    assert one(found, "scratch", "RR") == pytest.approx(50)


def test_rce_is_what_rr_leaves() -> None:
    found = measure_types(table(*fog("scratch", 0.31, 0.17, clean=0.44)), SCRATCH, "scratch")
    assert one(found, "scratch", "RR") + one(found, "scratch", "RCE") == pytest.approx(100)


def test_a_model_is_compared_with_the_base_of_its_seed() -> None:
    scores = table(
        *fog("scratch", 0.2, clean=0.4, seed=0), *fog("scratch", 0.6, clean=0.7, seed=1),
        *fog("ours", 0.4, clean=0.5, seed=0), *fog("ours", 0.8, clean=0.9, seed=1),
    )  # fmt: skip
    seeds = measure_types(scores, SCRATCH, "scratch")
    assert [one(seeds, "ours", "CE", seed=seed) for seed in (0, 1)] == pytest.approx([75, 50])
    row = over_seeds(seeds).query("arm == 'ours' and measure == 'CE'")
    assert row["mean"].item() == pytest.approx(62.5)
    assert row["deviation"].item() == pytest.approx(25 / math.sqrt(2))
    assert row["n"].item() == 2


def test_a_seed_without_a_base_counts_for_rr_alone() -> None:
    scores = table(*fog("scratch", 0.2, clean=0.4), *fog("ours", 0.4, clean=0.5), *fog("ours", 0.4, clean=0.8, seed=1))
    found = over_seeds(measure_types(scores, SCRATCH, "scratch")).query("arm == 'ours'").set_index("measure")
    assert found.loc["CE", "n"] == 1
    assert found.loc["RR", "n"] == 2
    assert found.loc["CE", "mean"] == pytest.approx(75)


def test_a_base_that_lacks_a_severity_is_no_base() -> None:
    scores = table(*fog("scratch", 0.2, clean=0.4), *fog("ours", 0.4, 0.3, clean=0.5))
    assert math.isnan(one(measure_types(scores, SCRATCH, "scratch"), "ours", "CE"))


def test_means_are_taken_over_types_by_family_and_over_all() -> None:
    scores = table(
        *fog("scratch", 0.5, clean=0.5), *fog("scratch", 0.25, clean=0.5, kind="snow"),
        *fog("scratch", 0.0, clean=0.5, family="rig", kind="drift"),
    )  # fmt: skip
    found = mean_over_types(measure_types(scores, SCRATCH, "scratch"))
    assert one(found, "scratch", "RR", family="lidar") == pytest.approx(75)
    assert one(found, "scratch", "RR", family="rig") == pytest.approx(0)
    assert one(found, "scratch", "RR", family=EVERY) == pytest.approx(50)
    assert one(found, "scratch", "RCE", family=EVERY) == pytest.approx(50)
    assert [one(found, "scratch", "types", family=name) for name in ("lidar", "rig", EVERY)] == [2, 1, 3]


def test_a_type_that_strikes_no_sensor_of_an_arm_is_left_out_of_its_means_but_is_a_base() -> None:
    """The LiDAR arm keeps its clean score in a camera's fog: that is what a LiDAR-camera arm is measured against."""
    scores = table(
        *fog("scratch", 0.2, clean=0.4), ("scratch", 0, "camera", "fog", 1, 0.4, 0.4, False),
        *fog("camera", 0.3, clean=0.5), *fog("camera", 0.1, clean=0.5, family="camera"),
    )  # fmt: skip
    types = measure_types(scores, SCRATCH, "scratch")
    assert set(types.query("arm == 'scratch'")["family"]) == {"lidar"}
    assert one(types, "camera", "CE_reference", family="camera") == pytest.approx(100 * 0.9 / 0.6)
    assert one(types, "camera", "CE", family="camera") == 100
    assert one(mean_over_types(types), "scratch", "types", family=EVERY) == 1


def test_a_mean_over_fewer_types_is_no_mean() -> None:
    scores = table(
        *fog("scratch", 0.2, clean=0.4), *fog("ours", 0.4, clean=0.5), *fog("ours", 0.4, clean=0.5, kind="snow")
    )
    found = mean_over_types(measure_types(scores, SCRATCH, "scratch"))
    assert math.isnan(one(found, "ours", "CE", family=EVERY))
    assert one(found, "ours", "RR", family=EVERY) == pytest.approx(80)


def test_divisors_of_nought_give_no_number() -> None:
    scores = table(*fog("scratch", 1.0, clean=1.0), *fog("ours", 0.0, clean=0.0))
    found = measure_types(scores, SCRATCH, "scratch")
    assert [math.isnan(one(found, "ours", name)) for name in ("CE", "RR", "RCE")] == [True] * 3
    assert one(found, "scratch", "RR") == 100
