"""Means, deviations and paired differences by hand."""

import json
from math import sqrt
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.artifacts.card import write_card
from pipeline.errors import UserError
from pipeline.evaluation.record import METRICS, name_cell, parse_cell, read_metrics, six_digits, spread, write_metrics
from pipeline.reporting.tables.class_tables import class_tables
from pipeline.reporting.tables.table import (
    degenerate_cells,
    headline_means,
    loss_table,
    paired_differences,
    read_results,
    result_tables,
    summarise,
)


def detection(score: float, **more: Any) -> dict[str, Any]:
    return {
        "mAP": score / 2,
        "mAP_present": score,
        "NDS": score / 4,
        "AP": {"car": score, "bus": 0.0},
        "present": ["car"],
        "degenerate": None,
    } | more


@pytest.fixture
def results(tmp_path: Path) -> Path:
    cells = {
        "scratch-L": {"0.1-0": 0.10, "0.1-1": 0.30, "1.0-0": 0.50},
        "calico": {"0.1-0": 0.15, "0.1-1": 0.32, "1.0-0": 0.40, "1.0-1": 0.9},
    }
    for arm, score in (("scratch-L", 0.3), ("calico", 0.4)):
        (tmp_path / arm).mkdir()
        maps = {
            "mIoU_best": score,
            "mIoU_at_half": None,
            "iou_best": {"walkway": score},
            "degenerate": "there is no box" if arm == "calico" else None,
        }
        detections = {f"detection-{cell}": detection(score) for cell, score in cells[arm].items()}
        write_metrics(tmp_path / arm, detections | {"map-0.1-0": maps})
    return tmp_path


def pick(table: pd.DataFrame, arm: str, fraction: float, metric: str = "mAP_present") -> Any:
    rows = table[(table["arm"] == arm) & (table["fraction"] == fraction) & (table["metric"] == metric)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_mean_and_sample_deviation(results: Path) -> None:
    summary = summarise(read_results(results, ["scratch-L", "calico"]))
    row = pick(summary, "scratch-L", 0.1)
    assert (row["mean"], row["n"]) == (pytest.approx(0.2), 2)
    assert row["deviation"] == pytest.approx(0.2 / sqrt(2))  # of .1 and .3 with n - 1
    assert pd.isna(pick(summary, "scratch-L", 1.0)["deviation"])


def test_differences_are_paired_by_seed(results: Path) -> None:
    values = read_results(results, ["scratch-L", "calico"])
    difference = summarise(paired_differences(values, "scratch-L"))
    low = pick(difference, "calico", 0.1)
    assert low["mean"] == pytest.approx((0.05 + 0.02) / 2)
    assert low["deviation"] == pytest.approx(0.03 / sqrt(2))  # far below the .14 of the arms themselves
    full = pick(difference, "calico", 1.0)
    assert (full["mean"], full["n"]) == (pytest.approx(-0.1), 1)  # negative is shown too; seed 1 has no partner
    assert set(difference["arm"]) == {"calico"}


def test_tables_show_sign_deviation_and_count(results: Path) -> None:
    tables = result_tables(read_results(results, ["scratch-L", "calico"]), "scratch-L")
    titles = [table.title for table in tables]
    assert titles[:2] == [
        "detection: mAP over the classes present in validation", "detection: mAP_present against scratch-L"
    ]  # fmt: skip
    assert tables[0].header == ["arm", "10 %", "100 %"]
    assert tables[0].rows[0] == ["scratch-L", "0.200 ± 0.141 (n=2)", "0.500 (n=1)"]
    assert tables[1].rows == [["calico", "+0.035 ± 0.021 (n=2)", "-0.100 (n=1)"]]
    assert not any("threshold 0.5" in title for title in titles)  # undefined everywhere
    oracle = next(table for table in tables if table.title.startswith("map: mIoU, best"))
    assert oracle.rows == [["scratch-L", "0.300 (n=1)"], ["calico", "0.400 (n=1)"]]


def test_class_table_leaves_out_absent_classes(results: Path) -> None:
    values = read_results(results, ["scratch-L", "calico"])
    table, maps = class_tables(values)
    assert table.header == ["arm", "labels", "car"]
    assert "bus" in table.note
    assert table.rows[0] == ["scratch-L", "10 %", "0.200"]
    assert maps.header == ["arm", "labels", "walkway"]
    assert len(class_tables(values[values["task"] == "detection"])) == 1


def test_class_tables_of_all_that_evaluate_writes(tmp_path: Path) -> None:
    """Two seeds at the larger fraction; cones have no velocity, and buses do not occur."""
    cells = {}
    for seed, score in ((0, 0.2), (1, 0.4)):
        cells[name_cell("detection", 1.0, seed)] = detection(score, present=["car", "traffic_cone"]) | {
            "AP_at": {"car": {"0.5": score, "2": 2 * score}, "traffic_cone": {"0.5": 0.0, "2": 1.0}},
            "TP_by_class": {"car": {"ATE": score, "AVE": 3.0}, "traffic_cone": {"ATE": 0.1, "AVE": None}},
        }
    cells[name_cell("detection", 0.1, 0)] = detection(0.9)
    cells[name_cell("map", 1.0, 0)] = {"iou_best": {"walkway": 0.6}, "iou_calibrated": {"walkway": 0.5}}
    (tmp_path / "calico").mkdir()
    write_metrics(tmp_path / "calico", cells)
    ap, errors, oracle, calibrated = class_tables(read_results(tmp_path, ["calico"]))
    assert ap.header == ["arm", "labels", "car"]
    assert "100 %" in errors.title
    assert errors.header == ["class", "arm", "AP@0.5", "AP@2", "ATE", "ASE", "AOE", "AVE", "AAE"]
    assert errors.rows == [
        ["car", "calico", "0.300", "0.600", "0.300", "–", "–", "3.000", "–"],
        ["traffic_cone", "calico", "0.000", "1.000", "0.100", "–", "–", "–", "–"],
    ]
    assert "oracle" in oracle.title and oracle.rows == [["calico", "100 %", "0.600"]]
    assert "training frames" in calibrated.title and calibrated.rows == [["calico", "100 %", "0.500"]]


def test_headline_means_and_warnings(results: Path) -> None:
    arms = ["scratch-L", "calico"]
    means = headline_means(read_results(results, arms))
    assert means["detection"]["mAP_present"]["scratch-L"] == pytest.approx({"0.1": 0.2, "1.0": 0.5})
    assert "AP/car" not in means["detection"]
    assert degenerate_cells(results, arms) == ["calico map-0.1-0: there is no box"]


def test_losses_come_from_the_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert loss_table([]) is None
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "pretrain_lidar" / "prc"
    folder.mkdir(parents=True)
    metrics = {"loss_start": 7.5, "loss_end": 3.25, "plrc_start": 8.0, "plrc_end": 4.0, "seconds": 3.0}
    write_card(folder, kind="checkpoint", stage="pretrain_lidar", params={}, inputs=[], metrics=metrics)
    table = loss_table([folder])
    assert table is not None
    assert sorted(table.rows) == [
        ["pretrain_lidar/prc", "loss", "7.500", "3.250"],
        ["pretrain_lidar/prc", "plrc", "8.000", "4.000"],
    ]


def test_missing_or_broken_results_say_what_to_do(results: Path) -> None:
    with pytest.raises(UserError, match="dvc repro"):
        read_results(results, ["prc-L"])
    for content in ("{", "[]", '{"map-0.1-0": 3}', '{"0.1-0": {}}', '{"map-0.1": {}}', '{"oops": {}}'):
        (results / "calico" / METRICS).write_text(content)
        with pytest.raises(UserError, match="dvc repro"):
            read_results(results, ["calico"])


def test_metrics_file_is_canonical(tmp_path: Path) -> None:
    high, low = "map-1.0-0", "map-0.1-0"
    write_metrics(tmp_path, {high: {"b": 1 / 3, "a": float("nan")}, low: {"c": [2 / 3, 7], "d": True}})
    text = (tmp_path / METRICS).read_text()
    assert json.loads(text) == {low: {"c": [0.666667, 7], "d": True}, high: {"a": None, "b": 0.333333}}
    assert text.index(low) < text.index(high)
    assert read_metrics(tmp_path)[high]["b"] == 0.333333


def test_cell_names_and_spread() -> None:
    assert parse_cell(name_cell("map", 0.1, 12)) == ("map", 0.1, 12)
    assert name_cell("detection", 1.0, 0) == "detection-1.0-0"
    assert spread(range(10), 3) == [0, 3, 6]
    assert spread([5, 6], 8) == [5, 6]
    assert spread([], 3) == []
    assert six_digits((1234567.0, float("inf"))) == [1234570.0, None]
