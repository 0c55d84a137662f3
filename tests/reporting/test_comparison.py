"""The table of paired comparisons and the label ledger, from files as the stages leave them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import UserError
from pipeline.evaluation.evidence import EVIDENCE, MapEvidence
from pipeline.evaluation.record import write_metrics
from pipeline.reporting.tables.comparison import compare_arms, comparison_table, few_seeds, pairs_of
from pipeline.reporting.tables.label_ledger import ledger_table
from pipeline.reporting.tables.table import KEYS

SCENES, SIDE = 12, 100
ARMS = {"scratch-L": "L", "scratch-LC": "LC", "calico": "LC"}
SCRATCH = {"L": "scratch-L", "LC": "scratch-LC"}


def maps(iou: float, generator: np.random.Generator) -> MapEvidence:
    """One class that covers half of a scene, hit with about this IoU; five classes that never occur."""
    truth, shape = np.zeros((SCENES, 6), np.int64), (SCENES, 6, 2)
    truth[:, 0] = SIDE * SIDE // 2
    intersection = np.zeros(shape, np.int64)
    hit = np.clip(iou + generator.normal(0, 0.02, SCENES), 0, 1) * truth[:, 0]
    intersection[:, 0] = np.stack([hit, hit * 0.9], axis=1)
    names = tuple(f"scene-{number:04}" for number in range(SCENES))
    return MapEvidence(
        names, np.array([0.4, 0.5]), np.array([True, True]), np.zeros(0), intersection, intersection.copy(), truth
    )


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """calico is better than both by .1 with 10 % of the labels; scratch-LC is scratch-L bit for bit."""
    for arm in ARMS:
        generator, cells = np.random.default_rng(0), []
        for cell in ("map-0.1-0", "map-0.1-1", "map-0.1-2", "map-1.0-0"):
            gain = 0.1 if arm == "calico" and cell.startswith("map-0.1") else 0.0
            (tmp_path / arm / cell).mkdir(parents=True)
            own = np.random.default_rng(int(cell[-1]) + 10 * (arm == "calico"))
            maps(0.5 + gain + own.normal(0, 0.01), generator).save(tmp_path / arm / cell / EVIDENCE)
            cells.append(cell)
        write_metrics(tmp_path / arm, {cell: {} for cell in cells})
    return tmp_path


def test_pairs_are_the_reference_and_the_scratch_arm_of_the_modality() -> None:
    assert pairs_of(ARMS, "scratch-L", SCRATCH) == [
        ("scratch-LC", "scratch-L"), ("calico", "scratch-L"), ("calico", "scratch-LC")
    ]  # fmt: skip
    assert pairs_of({"calico": "LC", "scratch-L": "L"}, "scratch-L", SCRATCH) == [("calico", "scratch-L")]


def test_a_gain_is_found_and_equal_arms_differ_by_nothing(results: Path) -> None:
    rows = compare_arms(results, pairs_of(ARMS, "scratch-L", SCRATCH), 500)
    found = {(row.metric, row.fraction, row.arm, row.against): row.found for row in rows}
    assert list(dict.fromkeys(row.metric for row in rows)) == ["mIoU_best", "mIoU_at_half"]  # nothing was calibrated
    gain = found["mIoU_best", 0.1, "calico", "scratch-L"]
    assert gain.low > 0.05 and gain.high < 0.15 and gain.p < 0.01
    assert (gain.scenes, gain.seeds) == (SCENES, 3)
    same = found["mIoU_best", 0.1, "scratch-LC", "scratch-L"]
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)
    assert found["mIoU_at_half", 1.0, "calico", "scratch-L"].seeds == 1
    assert rows == compare_arms(results, pairs_of(ARMS, "scratch-L", SCRATCH), 500)


def test_table_shows_difference_interval_p_and_counts(results: Path) -> None:
    table = comparison_table(compare_arms(results, [("scratch-LC", "scratch-L")], 100))
    assert table is not None
    assert table.header[:4] == ["arm", "minus", "task", "metric"]
    assert table.rows[0] == [
        "scratch-LC", "scratch-L", "map", "mIoU_best", "10 %", "+0.000", "+0.000 to +0.000", "1.000", "12", "3",
    ]  # fmt: skip
    assert "not corrected for the number of rows" in table.note
    assert comparison_table([]) is None


def test_only_seeds_of_both_arms_are_paired_and_cells_without_evidence_left_out(results: Path) -> None:
    (results / "calico/map-0.1-1" / EVIDENCE).unlink()
    (results / "scratch-L/map-1.0-0" / EVIDENCE).unlink()
    rows = compare_arms(results, [("calico", "scratch-L")], 100)
    assert {(row.fraction, row.found.seeds) for row in rows} == {(0.1, 2)}


def test_cells_of_different_scenes_are_refused(results: Path) -> None:
    other = replace(maps(0.5, np.random.default_rng(0)), scenes=tuple(f"other-{n}" for n in range(SCENES)))
    other.save(results / "calico/map-0.1-1" / EVIDENCE)
    with pytest.raises(UserError, match=r"other scenes than calico map-0\.1-0") as caught:
        compare_arms(results, [("calico", "scratch-L")], 10)
    assert "calico/map-0.1-1" in caught.value.where and "dvc repro" in caught.value.remedy


def test_few_seeds_are_warned_of() -> None:
    rows = [("map", "mIoU_best", arm, 0.1, seed, 0.5) for arm in ("a", "b") for seed in range(3)]
    rows += [("detection", "NDS", arm, 1.0, seed, 0.5) for arm, seeds in (("a", 3), ("b", 2)) for seed in range(seeds)]
    [warning] = few_seeds(pd.DataFrame(rows, columns=[*KEYS, "seed", "value"]))
    assert "fewer than 3 seeds (detection at 100 %: 2)" in warning and "finetune.seeds" in warning
    assert few_seeds(pd.DataFrame(rows[:6], columns=[*KEYS, "seed", "value"])) == []


def test_ledger_lists_the_fractions_that_were_used() -> None:
    ledger = {
        name: {"scenes": scenes, "frames": 4 * scenes, "sha256": name.strip("0.") * 64, "scenes_sha256": ""}
        for name, scenes in (("1", 46), ("0.1", 5), ("0.5", 23))
    }
    table = ledger_table(ledger, {0.1, 1.0})
    assert table is not None
    assert table.rows == [["10 %", "5", "20", "1" * 16], ["100 %", "46", "184", "1" * 16]]
    assert ledger_table(ledger, set()) is None
