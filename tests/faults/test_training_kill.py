"""kill -9 of every training stage at named points: the same command ends as if nothing had happened, to the bit."""

import signal
import time
from pathlib import Path

import pytest
import yaml

from tests.faults.published import COMMANDS, assert_published, content
from tests.faults.training_process import DIES_IN, STEPS_RUN, Stages
from tests.small_trainings import CELL, STEPS

# Steps that are left for the same command, by the point of death; a state is saved after each.
LEFT = {
    "forward": STEPS - DIES_IN,
    "before the step": STEPS - DIES_IN,
    "half a draft of the state": STEPS - DIES_IN,
    "draft of the state not renamed": STEPS - DIES_IN,
    "between the files of the artifact": 0,
    "artifact not renamed": 0,
    "published, scratch not removed": 0,
}


@pytest.mark.parametrize("point", LEFT)
@pytest.mark.parametrize("stage", COMMANDS)
def test_killed_stage_ends_as_if_nothing_had_happened(
    stage: str, point: str, training_project: Path, training_template: Path, stages: Stages
) -> None:
    words, out = COMMANDS[stage]
    (training_project / out).rename(training_project / "before")
    assert stages.run(training_project, words, point) == -signal.SIGKILL
    if point == "published, scratch not removed":
        # DVC takes no out of a command that did not end well, and removes it before the next attempt.
        (training_project / out).rename(training_project / "unfinished")
    assert not (training_project / out).exists()
    assert stages.run(training_project, words) == 0
    assert int((training_project / STEPS_RUN).read_text()) == LEFT[point]
    assert_published(training_project, training_template, out)


def cell(seed: int) -> tuple[list[str], str]:
    return ["finetune", *CELL, str(seed)], f"data/checkpoints/finetune/{CELL[0]}/{CELL[1]}-{seed}"


@pytest.fixture
def two_cells(training_project: Path) -> Path:
    """The project with no cell trained, and a core for the second one beside the first."""
    (training_project / "data/checkpoints/finetune").rename(training_project / "before")
    runtime = yaml.safe_load((training_project / "runtime.yaml").read_text())
    (training_project / "runtime.yaml").write_text(yaml.safe_dump(runtime | {"workers": 2}))
    return training_project


def test_killed_cell_that_was_trained_ahead(two_cells: Path, training_template: Path, stages: Stages) -> None:
    """Its neighbour publishes as ever; its own stage goes on from where it died."""
    (first, out), (second, other_out) = cell(0), cell(1)
    assert stages.run(two_cells, first, "ahead") == 0
    assert content(two_cells / out) == content(training_template / out)
    assert stages.run(two_cells, second) == 0
    assert int((two_cells / STEPS_RUN).read_text()) == STEPS - DIES_IN
    assert_published(two_cells, training_template, other_out)


def test_killed_stage_takes_the_cell_trained_ahead_with_it(
    two_cells: Path, training_template: Path, stages: Stages
) -> None:
    """Otherwise the same command would train that cell twice at a time, in one scratch folder."""
    (first, out), (_, other_out) = cell(0), cell(1)
    assert stages.run(two_cells, first, "beside one ahead") == -signal.SIGKILL
    ahead, deadline = int((two_cells / "ahead.txt").read_text()), time.monotonic() + 10
    while alive(ahead):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert stages.run(two_cells, first) == 0
    assert content(two_cells / out) == content(training_template / out)
    assert stages.run(two_cells, cell(1)[0]) == 0
    assert int((two_cells / STEPS_RUN).read_text()) == 0  # trained ahead by the second attempt
    assert_published(two_cells, training_template, other_out)


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
