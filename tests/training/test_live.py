"""DVCLive's curves tell every step once, whatever a kill left behind."""

import csv
import json
from pathlib import Path

import pytest

from pipeline.training.live import LiveLog


def rows(count: int) -> list[dict[str, float]]:
    return [{"loss": 1 / (step + 1), "lr": 0.1 * step} for step in range(count)]


def log(folder: Path, first: int, last: int, owner: str = "run a") -> None:
    """As a training does that continues at step `first`; the process ends without a word after `last` - 1."""
    live = LiveLog(folder, owner, rows(first))
    for step in range(first, last):
        live.log({**rows(last)[step], "frames_per_second": 5.0 + step})


def curve(folder: Path, name: str) -> dict[int, float]:
    with (folder / "plots" / "metrics" / f"{name}.tsv").open() as file:
        table = list(csv.DictReader(file, delimiter="\t"))
    assert [int(row["step"]) for row in table] == sorted({int(row["step"]) for row in table})
    return {int(row["step"]): float(row[name]) for row in table}


def test_a_resumed_run_tells_every_step_once(tmp_path: Path) -> None:
    """It had told 7 steps, and its last resume state was that of 5."""
    log(tmp_path / "live", 0, 7)
    log(tmp_path / "live", 5, 9)
    assert curve(tmp_path / "live", "loss") == {step: row["loss"] for step, row in enumerate(rows(9))}
    assert curve(tmp_path / "live", "frames_per_second") == {step: 5.0 + step for step in range(9)}
    metrics = json.loads((tmp_path / "live" / "metrics.json").read_bytes())
    assert (metrics["step"], metrics["loss"]) == (8, rows(9)[8]["loss"])


def test_half_a_line_of_a_killed_process_is_dropped(tmp_path: Path) -> None:
    log(tmp_path / "live", 0, 13)
    path = tmp_path / "live" / "plots" / "metrics" / "frames_per_second.tsv"
    path.write_text(path.read_text()[: path.read_text().index("12\t") + 1])  # ends in "1", which is no step 1
    log(tmp_path / "live", 12, 14)
    assert curve(tmp_path / "live", "frames_per_second") == {step: 5.0 + step for step in range(14)}


def test_steps_that_the_folder_lost_are_told_by_the_resume_state(tmp_path: Path) -> None:
    log(tmp_path / "live", 6, 8)
    assert curve(tmp_path / "live", "loss") == {step: row["loss"] for step, row in enumerate(rows(8))}
    assert curve(tmp_path / "live", "frames_per_second") == {6: 11.0, 7: 12.0}


def test_another_run_starts_a_folder_of_its_own(tmp_path: Path) -> None:
    log(tmp_path / "live", 0, 7)
    log(tmp_path / "live", 2, 4, owner="run b")
    assert curve(tmp_path / "live", "frames_per_second") == {2: 7.0, 3: 8.0}
    assert curve(tmp_path / "live", "loss").keys() == {0, 1, 2, 3}


def test_a_finished_run_keeps_its_last_values(tmp_path: Path) -> None:
    """Killed between the last resume state and the publishing: nothing is left to log."""
    LiveLog(tmp_path / "live", "run a", rows(3)).close()
    assert json.loads((tmp_path / "live" / "metrics.json").read_bytes())["loss"] == pytest.approx(1 / 3)
    assert not list(tmp_path.rglob("dvc.yaml"))
