"""Tables of attacks by hand."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.errors import UserError
from pipeline.reporting.tables.attacks import attack_metrics, pgd_tables, spoofing_tables
from pipeline.robustness.record import RATES, SCORES, read_spoofing, read_stress, write_stress
from pipeline.robustness.spoofing_rate import SpoofingRate

TRIAL = "detection-1.0"

MAP = {"mIoU_best": 0.4, "mIoU_calibrated": 0.35, "mIoU_at_half": 0.3}


def detection(score: float, rate: SpoofingRate | None = None) -> dict[str, Any]:
    return {"NDS": score, "mAP": score / 2} | ({"spoofing": rate.record()} if rate else {})


@pytest.fixture
def stress(tmp_path: Path) -> Path:
    """Two seeds of an L arm and one of an LC arm; map models have no success rate."""
    spoofed = {
        "scratch-L": {f"{TRIAL}-0": (8, 2), f"{TRIAL}-1": (2, 6)},
        "calico": {f"{TRIAL}-0": (0, 0)},
    }
    for arm, cells in spoofed.items():
        clean = {cell: detection(0.5) for cell in cells} | {"map-1.0-0": MAP}
        tried = {}
        for count in (60, 200):
            found: dict[str, dict[str, Any]] = {"map-1.0-0": MAP}
            for cell, (fooled, missed) in cells.items():
                hits = fooled if count == 60 else 0
                rate = SpoofingRate(count, 20, 20 - 2 - fooled - missed, 2, fooled + missed, hits)
                found[cell] = detection(0.5, rate)
            tried["vehicle", count] = found
        (tmp_path / arm / "spoofing").mkdir(parents=True)
        write_stress(tmp_path / arm / "spoofing", clean, tried)
        camera = None if arm == "scratch-L" else {cell: detection(0.45) for cell in cells}
        seeds = {cell: detection(0.1 + 0.2 * number) for number, cell in enumerate(cells)}
        (tmp_path / arm / "pgd").mkdir(parents=True)
        write_stress(
            tmp_path / arm / "pgd", {cell: detection(0.5) for cell in cells},
            {("points", 50): seeds, ("points", 200): seeds, ("pixels", 8): camera},
        )  # fmt: skip
    return tmp_path


def test_success_of_all_seeds_together(stress: Path) -> None:
    rates = read_spoofing(stress, ["scratch-L", "calico"])
    assert list(rates.columns) == RATES
    assert len(rates) == 6
    (table,) = spoofing_tables(rates)
    assert TRIAL in table.title
    assert table.header == ["arm", "n", "60 points", "200 points", "without attack"]
    first, second = table.rows
    # Of 10 + 8 attacked frames 10; Wilson's interval of 10/18 by hand: (.5556 + .1067 ± .2529) / 1.2134.
    assert first == ["scratch-L", "2", "10/18 = 56 [34, 75]", "0/18 = 0 [0, 18]", "18.2"]
    assert second == ["calico", "1", "0/0", "0/0", "100.0"]
    found = attack_metrics(rates, pd.DataFrame(columns=SCORES))
    assert found == {"spoofing": {TRIAL: {"scratch-L": {"60": pytest.approx(10 / 18), "200": 0.0}}}}


def test_scores_under_pgd_beside_clean_ones(stress: Path) -> None:
    scores = read_stress(stress, ["scratch-L", "calico"], ["pgd"])
    tables = pgd_tables(scores)
    assert [table.title.rpartition(" ")[2] for table in tables] == ["NDS", "mAP"]
    assert tables[0].header == ["arm", "n", "clean", "pixels 8", "points 50", "points 200"]
    assert tables[0].rows == [
        ["scratch-L", "2", "50.0 ± 0.0", "–", "20.0 ± 14.1", "20.0 ± 14.1"],  # no camera, so no number
        ["calico", "1", "50.0", "45.0", "10.0", "10.0"],
    ]
    found = attack_metrics(pd.DataFrame(columns=RATES), scores)["pgd"][TRIAL]["NDS"]
    assert found["scratch-L"] == pytest.approx({"points-50": 0.2, "points-200": 0.2})
    assert found["calico"]["pixels-8"] == pytest.approx(0.45)


def test_without_attacks_there_is_nothing(tmp_path: Path) -> None:
    rates, scores = read_spoofing(tmp_path, []), read_stress(tmp_path, ["a"], [])
    assert spoofing_tables(rates) == pgd_tables(scores) == []
    assert attack_metrics(rates, scores) == {}
    with pytest.raises(UserError, match="dvc repro stress"):
        read_spoofing(tmp_path, ["scratch-L"])
