"""Tables, numbers and the figure of corruptions, from scores as the stage records them."""

import csv
import io
from pathlib import Path
from typing import Any

import matplotlib.colors
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.container import BarContainer

from pipeline.errors import UserError
from pipeline.reporting.figures.arm_styles import arm_styles
from pipeline.reporting.figures.robustness import draw_bars, draw_radar, draw_robustness, rates_by_severity
from pipeline.reporting.tables.robustness import CURVE, TABLE, Robustness
from pipeline.robustness.record import CONDITIONS, read_stress, write_stress

ARMS = ["scratch-L", "ours-LC"]
CELLS = ["detection-0.1-0", "detection-0.1-1"]
STYLES = arm_styles(ARMS)
SCRATCH = {"scratch-L": "scratch-L", "ours-LC": "scratch-L"}


def scores(nds: float) -> dict[str, Any]:
    return {"NDS": nds, "mAP": nds / 2, "degenerate": None}


@pytest.fixture
def stress(tmp_path: Path) -> Path:
    """Two arms, two seeds, LiDAR fog at severities 1 and 2, and a camera fog that cannot strike the LiDAR arm."""
    values = {"scratch-L": ([0.5, 0.4], [0.3, 0.1]), "ours-LC": ([0.6, 0.8], [0.4, 0.4])}
    for arm, (clean, fog) in values.items():
        for family in ("lidar", "camera"):
            folder = tmp_path / arm / family
            folder.mkdir(parents=True)
            struck = {cell: scores(nds) for cell, nds in zip(CELLS, fog, strict=True)}
            tried = {("fog", 1): struck, ("fog", 2): struck} if family == "lidar" else {
                ("fog", 1): struck if arm == "ours-LC" else None
            }  # fmt: skip
            write_stress(folder, {cell: scores(nds) for cell, nds in zip(CELLS, clean, strict=True)}, tried)
    return tmp_path


@pytest.fixture
def robustness(stress: Path) -> Robustness:
    return Robustness(read_stress(stress, ARMS, ["lidar", "camera"]), SCRATCH, "scratch-L")


def test_records_come_back_score_by_score(stress: Path) -> None:
    found = read_stress(stress, ARMS, ["lidar", "camera"])
    assert len(found) == 2 * len(CELLS) * (2 + 1) * 2  # arms, seeds, conditions, metrics
    one = found[(found["arm"] == "ours-LC") & (found["seed"] == 1) & (found["metric"] == "mAP")]
    assert set(one["value"]) == {0.2} and set(one["clean"]) == {0.4}
    spared = found[~found["applicable"].astype(bool)]
    assert set(zip(spared["arm"], spared["family"], strict=True)) == {("scratch-L", "camera")}
    assert (spared["value"] == spared["clean"]).all()
    rows = (stress / "ours-LC/lidar" / CONDITIONS).read_text().splitlines()
    assert rows[1:] == [
        f"{cell},fog,{level},{score}" for cell in CELLS for level in (1, 2) for score in ("NDS,0.4", "mAP,0.2")
    ]


def test_a_missing_or_foreign_record_is_told(stress: Path) -> None:
    with pytest.raises(UserError, match="cannot be read") as caught:
        read_stress(stress, ["nobody"], ["lidar"])
    assert "dvc repro" in caught.value.remedy
    (stress / "ours-LC/lidar/metrics.json").write_text("{}")
    with pytest.raises(UserError, match="robustness"):
        read_stress(stress, ARMS, ["lidar"])


def test_means_of_every_arm_and_family(robustness: Robustness) -> None:
    table = robustness.tables()[0]
    assert table.title == "robustness of detection-0.1: NDS"
    rows = {tuple(row[:2]): row[2:] for row in table.rows}
    # CE of the seeds: 0.6 / 0.7 and 0.6 / 0.9; RR: 2 / 3 and 1 / 2.
    assert rows["ours-LC", "lidar"] == ["1", "2", "76.2 ± 13.5", "76.2 ± 13.5", "58.3 ± 11.8", "41.7 ± 11.8"]
    assert rows["scratch-L", "lidar"] == ["1", "2", "100.0 ± 0.0", "100.0 ± 0.0", "42.5 ± 24.7", "57.5 ± 24.7"]
    # Against what the LiDAR arm keeps in a camera's fog, its clean score: 0.6 / 0.5 and 0.6 / 0.6.
    assert rows["ours-LC", "camera"][2:4] == ["110.0 ± 14.1", "110.0 ± 14.1"]
    assert ("scratch-L", "camera") not in rows
    assert rows["ours-LC", "all"][:2] == ["2", "2"]
    assert "severities 1, 2;" in table.note and "below 100 is better" in table.note
    brief = robustness.brief()
    assert [table.header[0] for table in brief] == ["arm"] and "family" not in brief[0].header
    assert [row[0] for row in brief[0].rows] == ARMS


def test_every_type_has_its_row_and_what_does_not_apply_a_dash(robustness: Robustness) -> None:
    tables = {table.title: table for table in robustness.tables()}
    rates = tables["robustness of detection-0.1: NDS, resilience rate RR"]
    assert rates.header == ["type", *ARMS]
    assert rates.rows == [["lidar: fog", "42.5 ± 24.7", "58.3 ± 11.8"], ["camera: fog", "–", "58.3 ± 11.8"]]
    assert "robustness of detection-0.1: mAP" in tables
    assert not any("mAP, " in title for title in tables)  # types by the first metric only


def test_numbers_for_dvc(robustness: Robustness, tmp_path: Path) -> None:
    numbers = robustness.metrics()["detection-0.1"]["NDS"]
    assert numbers["ours-LC"]["lidar"]["mCE"] == pytest.approx(50 * (0.6 / 0.7 + 0.6 / 0.9))
    assert numbers["ours-LC"]["all"]["mRR"] == pytest.approx(100 * (2 / 3 + 1 / 2) / 2)
    robustness.write(tmp_path)
    rows = list(csv.DictReader(io.StringIO((tmp_path / CURVE).read_text())))
    assert [(row["type"], row["arm"]) for row in rows] == [
        ("lidar: fog", "scratch-L"), ("lidar: fog", "ours-LC"), ("camera: fog", "ours-LC")
    ]  # fmt: skip
    assert float(rows[0]["RR"]) == 42.5
    every = list(csv.DictReader(io.StringIO((tmp_path / TABLE).read_text())))
    assert {row["measure"] for row in every} == {"CE", "CE_reference", "RR", "RCE"}
    assert {row["metric"] for row in every} == {"NDS", "mAP"} and {row["n"] for row in every} == {"2"}


def test_the_figures_have_a_bar_and_a_line_for_every_arm_and_are_reproducible(
    robustness: Robustness, tmp_path: Path
) -> None:
    """Two types are too few for a radar; only the LiDAR's fog has several severities."""
    pictures = draw_robustness(robustness, STYLES, tmp_path)
    assert [picture.name for picture in pictures] == [
        f"robustness-detection-0.1-{kind}" for kind in ("types", "severity")
    ]
    assert all("NDS" in picture.caption and "severities 1, 2" in picture.caption for picture in pictures)
    for picture in pictures:
        image = matplotlib.image.imread(tmp_path / f"{picture.name}.png")[..., :3]
        for arm in ARMS:
            wanted = matplotlib.colors.to_rgb(STYLES[arm].colour)
            assert (abs(image - wanted).max(axis=-1) < 0.01).sum() > 100
    assert draw_robustness(robustness, STYLES, tmp_path) == pictures


def test_the_bars_are_the_numbers_of_the_table() -> None:
    rates = pd.DataFrame(
        [
            ("lidar: fog", "ours-LC", 60.0, 5.0),
            ("lidar: fog", "scratch-L", 40.0, 2.0),
            ("camera: fog", "ours-LC", 90.0, 1.0),
        ],
        columns=["kind", "arm", "mean", "deviation"],
    )
    (panel,) = draw_bars(rates, "NDS", STYLES).axes
    bars = {
        bar.get_label(): [float(patch.get_height()) for patch in bar]
        for bar in panel.containers
        if isinstance(bar, BarContainer)
    }
    assert bars["ours-LC"] == [60, 90]
    assert bars["scratch-L"][0] == 40 and np.isnan(bars["scratch-L"][1])


def test_a_radar_is_closed_and_ends_at_a_hundred_and_has_a_gap_where_nothing_strikes() -> None:
    kinds = ["lidar: fog", "lidar: snow", "camera: fog"]
    rates = pd.DataFrame(
        [(kind, "ours-LC", value, 0.0) for kind, value in zip(kinds, (50.0, 104.0, 80.0), strict=True)]
        + [(kind, "scratch-L", 70.0, 0.0) for kind in kinds[:2]],
        columns=["kind", "arm", "mean", "deviation"],
    )
    figure = draw_radar(rates, "NDS", STYLES)
    assert figure is not None
    lines = {line.get_label(): np.asarray(line.get_ydata(), float) for line in figure.axes[0].lines}
    assert lines["ours-LC"].tolist() == [50, 100, 80, 50]
    assert lines["scratch-L"][:2].tolist() == [70, 70] and np.isnan(lines["scratch-L"][2])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == [
        "lidar\nfog",
        "lidar\nsnow",
        "camera\nfog",
    ]
    assert draw_radar(rates[rates["kind"] != "camera: fog"], "NDS", STYLES) is None


def test_rates_by_severity_compare_the_same_types(tmp_path: Path) -> None:
    """Snow was tried at one severity only, so it counts for none."""
    folder = tmp_path / "ours-LC" / "lidar"
    folder.mkdir(parents=True)
    tried = {
        ("fog", 1): {CELLS[0]: scores(0.4), CELLS[1]: scores(0.8)},
        ("fog", 2): {CELLS[0]: scores(0.2), CELLS[1]: scores(0.2)},
        ("snow", 1): {CELLS[0]: scores(0.0), CELLS[1]: scores(0.0)},
    }
    write_stress(folder, {CELLS[0]: scores(0.8), CELLS[1]: scores(0.8)}, tried)
    found = read_stress(tmp_path, ["ours-LC"], ["lidar"])
    rates = rates_by_severity(found[found["metric"] == "NDS"]).set_index("severity")
    assert rates["mean"].to_dict() == pytest.approx({1: 75, 2: 25})
    assert rates["deviation"].to_dict() == pytest.approx({1: 50 / 2**0.5, 2: 0})
    assert set(rates["n"]) == {2}


def test_without_a_robustness_test_there_is_nothing_to_show(tmp_path: Path) -> None:
    empty = Robustness(read_stress(tmp_path, ARMS, []), SCRATCH, "scratch-L")
    assert (empty.tables(), empty.brief(), draw_robustness(empty, STYLES, tmp_path), empty.metrics()) == (
        [],
        [],
        [],
        {},
    )
    empty.write(tmp_path)
    assert len((tmp_path / CURVE).read_text().splitlines()) == len((tmp_path / TABLE).read_text().splitlines()) == 1
