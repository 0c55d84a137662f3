"""Training stages that are asked to stop, or find the disk full: the state is kept, the same command continues."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
import torch
import yaml

from tests.faults.published import COMMANDS, assert_published
from tests.faults.training_process import DIES_IN, SAID, STEPS_RUN, WAITING, Stages
from tests.small_trainings import STEPS

PROJECT = Path(__file__).parents[2]
WORDS, OUT = COMMANDS["pretrain_lidar"]


def set_runtime(project: Path, **values: object) -> None:
    content = yaml.safe_load((project / "runtime.yaml").read_text())
    (project / "runtime.yaml").write_text(yaml.safe_dump(content | values))


def saved_steps(project: Path) -> int:
    """Of the one training that is not finished."""
    (state,) = (project / "scratch").glob("*/*/state.pt")
    return len(torch.load(state, weights_only=True)["rows"])


def send(stages: Stages, project: Path, words: list[str], *numbers: signal.Signals) -> int:
    """Sends signals in the middle of the step `DIES_IN`; returns the exit code."""
    pid = stages.start(project, words, "asks for a signal")
    while not (project / WAITING).exists():
        time.sleep(0.005)
    for number in numbers:
        os.kill(pid, number)
        time.sleep(0.05)  # two of the same kind at a time arrive as one
    (project / WAITING).unlink()
    return stages.end()


@pytest.mark.parametrize(
    ("stage", "number"),
    [*((stage, signal.SIGTERM) for stage in COMMANDS), ("pretrain_lidar", signal.SIGINT)],
)
def test_a_signal_ends_a_stage_after_its_step(
    stage: str, number: signal.Signals, training_project: Path, training_template: Path, stages: Stages
) -> None:
    words, out = COMMANDS[stage]
    (training_project / out).rename(training_project / "before")
    set_runtime(training_project, save_every=60.0)  # what is saved is saved because of the signal
    assert send(stages, training_project, words, number) == 75
    said = (training_project / SAID).read_text()
    assert f"stopped after step {DIES_IN + 1} of {STEPS} ({number.name}); saved, the same command continues" in said
    assert "Traceback" not in said
    assert saved_steps(training_project) == DIES_IN + 1
    assert stages.run(training_project, words) == 0
    assert int((training_project / STEPS_RUN).read_text()) == STEPS - DIES_IN - 1
    assert_published(training_project, training_template, out)


def test_the_second_ctrl_c_ends_it_at_once(training_project: Path, training_template: Path, stages: Stages) -> None:
    (training_project / OUT).rename(training_project / "before")
    assert send(stages, training_project, WORDS, signal.SIGINT, signal.SIGINT) == 1
    assert "KeyboardInterrupt" in (training_project / SAID).read_text()
    assert saved_steps(training_project) == DIES_IN
    assert stages.run(training_project, WORDS) == 0
    assert_published(training_project, training_template, OUT)


def test_time_budget(training_project: Path, training_template: Path, stages: Stages) -> None:
    """However short, every attempt gets a step ahead; one that has no step left publishes."""
    (training_project / OUT).rename(training_project / "before")
    set_runtime(training_project, time_budget=0.0)
    codes = [stages.run(training_project, WORDS) for _ in range(STEPS)]
    assert codes == [75] * (STEPS - 1) + [0]
    assert int((training_project / STEPS_RUN).read_text()) == 1
    assert_published(training_project, training_template, OUT)


def test_disk_full_while_the_state_is_saved(training_project: Path, training_template: Path, stages: Stages) -> None:
    (training_project / OUT).rename(training_project / "before")
    assert stages.run(training_project, WORDS, "disk full for the state") == 2
    said = (training_project / SAID).read_text()
    assert "error: the disk is full: the state of the training was not saved, the one saved before is whole" in said
    (state,) = (training_project / "scratch").glob("*/*/state.pt")
    assert f"where:  {state}" in said
    assert "make room there" in said
    assert "Traceback" not in said
    assert saved_steps(training_project) == DIES_IN
    assert not list(state.parent.glob("*.draft"))
    assert stages.run(training_project, WORDS) == 0
    assert_published(training_project, training_template, OUT)


def test_disk_full_while_publishing(training_project: Path, training_template: Path, stages: Stages) -> None:
    (training_project / OUT).rename(training_project / "before")
    assert stages.run(training_project, WORDS, "no room for the artifact") == 2
    said = (training_project / SAID).read_text()
    assert "error: the file is too big: nothing was published, the finished training is whole" in said
    assert f"where:  {training_project / OUT}" in said
    assert saved_steps(training_project) == STEPS
    assert not list((training_project / OUT).parent.iterdir())
    assert stages.run(training_project, WORDS) == 0
    assert int((training_project / STEPS_RUN).read_text()) == 0
    assert_published(training_project, training_template, OUT)


def test_dvc_repro_fails_with_a_stopped_stage_and_continues_it(training_project: Path) -> None:
    steps = 30
    for name in ("pipeline", "stages"):
        shutil.copytree(PROJECT / name, name)  # with the caches of what is compiled
    shutil.copy(PROJECT / "dvc.yaml", ".")
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["pretrain_lidar"]["schedule"]["steps"] = steps
    Path("params.yaml").write_text(yaml.safe_dump(params))
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--no-scm", "--quiet"], check=True)
    subprocess.run([*dvc, "config", "core.analytics", "false"], check=True)
    repro = [*dvc, "repro", "--single-item", "pretrain_lidar@prc"]

    process = start(repro)
    stage = find_stage(process)
    stage.terminate()
    said, _ = process.communicate()
    assert process.returncode != 0
    assert "stopped after step" in said and "(SIGTERM); saved, the same command continues" in said
    assert "exited with 75" in said
    assert 0 < saved_steps(training_project) < steps

    process = start(repro)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert len(Path(OUT, "history.csv").read_text().splitlines()) == 1 + steps
    assert list(Path("scratch").glob("*/*")) == []


def start(command: list[str]) -> "subprocess.Popen[str]":
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def find_stage(parent: "subprocess.Popen[str]") -> psutil.Process:
    """The process of the stage, once it has saved its state."""
    while True:
        assert parent.poll() is None, parent.communicate()[0]
        if list(Path("scratch").glob("*/*/state.pt")):
            children = psutil.Process(parent.pid).children(recursive=True)
            return next(child for child in children if "python" in child.name())
        time.sleep(0.01)
