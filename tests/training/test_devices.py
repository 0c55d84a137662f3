"""Trainings on two devices: two processes on the CPU, started as a user starts them, against one process."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from pipeline.artifacts.card import read_card
from pipeline.artifacts.checkpoint import load_weights
from pipeline.training.interrupt import Interrupted
from stages import finetune, pretrain_lidar, start

ROOT = Path(__file__).parents[2]
PRC, CELL = Path("data/checkpoints/pretrain_lidar/prc"), Path("data/checkpoints/finetune/scratch-L/map-1.0-0")


@pytest.fixture(scope="module")
def project(region_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Index, labels, regions and start weights of the small world; three steps of four frames, two a forward pass."""
    project = Path(shutil.copytree(region_template, tmp_path_factory.mktemp("devices") / "project"))
    shutil.copytree(ROOT / "conf" / "weights", project / "conf/weights")
    content = yaml.safe_load((project / "params.yaml").read_text())
    steps = {"steps": 3, "epochs": None, "batch": 4, "micro_batch": 2}
    content["pretrain_lidar"] |= {"rich": 64, "less": 64}
    for stage in ("pretrain_lidar", "finetune"):
        content[stage]["schedule"] |= steps
    content["finetune"] |= {"arms": ["scratch-L"], "trials": ["map-1.0"], "seeds": [0], "map_steps": None}
    (project / "params.yaml").write_text(yaml.safe_dump(content))
    with chdir(project):
        start.main("scratch-L")
        yield project


def set_content(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


def run_on(
    project: Path, *command: str, devices: int = 1, nodes: int = 1, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Starts a command in the project, with a runtime.yaml that says so many devices and nodes."""
    set_content(project / "runtime.yaml", lambda content: content.update(devices=devices, nodes=nodes))
    return subprocess.Popen(
        [sys.executable, "-m", *command], cwd=project, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "passive"} | dict(environment or {}),
    )  # fmt: skip


def published(folder: Path) -> tuple[dict[str, torch.Tensor], pd.DataFrame, dict[str, Any]]:
    """Weights, history and card of a checkpoint, which is removed."""
    found = load_weights(folder), pd.read_csv(folder / "history.csv"), read_card(folder)
    shutil.rmtree(folder)
    return found


def assert_alike(folder: Path, one: tuple[dict[str, torch.Tensor], pd.DataFrame, dict[str, Any]]) -> None:
    """Weights, running statistics and history differ by rounding, and the card names the same params and inputs."""
    weights, history, card = published(folder)
    assert weights.keys() == one[0].keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, one[0][name], rtol=1e-4, atol=1e-6, msg=partial("{}: {}".format, name))
    pd.testing.assert_frame_equal(history, one[1], rtol=1e-4)
    assert (card["params"], card["inputs"]) == (one[2]["params"], one[2]["inputs"])


def run_through(process: subprocess.Popen[str]) -> None:
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said


def test_two_devices_do_what_one_does(project: Path) -> None:
    """PRC through the stage's own command; all of it, and what one device had begun."""
    runtime = project / "runtime.yaml"
    set_content(runtime, lambda content: content.update(devices=1, nodes=1))
    pretrain_lidar.main("prc")
    one = published(PRC)
    run_through(run_on(project, "stages.pretrain_lidar", "prc", devices=2))
    assert_alike(PRC, one)
    assert not list(Path("scratch/pretrain_lidar").iterdir())

    set_content(runtime, lambda content: content.update(devices=1, time_budget=0.0))
    with pytest.raises(Interrupted):
        pretrain_lidar.main("prc")
    set_content(runtime, lambda content: content.update(time_budget=None))
    run_through(run_on(project, "stages.pretrain_lidar", "prc", devices=2))
    assert_alike(PRC, one)


def test_devices_that_gather_contrast_what_one_does(project: Path) -> None:
    """The two halves of a micro-batch of four; see `constant_norms` for what is held constant.

    Variances within a half are no variance of the whole, and uniformity is no mean over points: they are left out.
    """
    params = project / "params.yaml"
    before = params.read_text()
    set_content(params, lambda content: content["pretrain_lidar"]["schedule"].update(micro_batch=4, gather=True))
    run_through(run_on(project, "tests.training.constant_norms"))
    weights, history, _ = published(PRC)
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    run_through(run_on(project, *torchrun, "-m", "tests.training.constant_norms"))
    params.write_text(before)
    of_two, history_of_two, _ = published(PRC)
    losses = ["loss", "plrc", "rapc"]
    pd.testing.assert_frame_equal(history_of_two[losses], history[losses], rtol=1e-4)
    # Later gradients, of a norm below 0.01, already tell apart in which order sums were rounded.
    assert history_of_two["gradient_norm"][0] == pytest.approx(history["gradient_norm"][0], rel=1e-4)
    # A frame of a map has as many cells as any other, so means of means are means.
    means = [name for name in weights if name.endswith("running_mean") and name.split(".")[1] in ("backbone", "neck")]
    assert means
    for name in means:
        torch.testing.assert_close(
            of_two[name], weights[name], rtol=1e-2, atol=1e-4, msg=partial("{}: {}".format, name)
        )


def test_two_nodes_do_what_one_device_does(project: Path) -> None:
    """Fine-tuning, as two machines start it that see the same files."""
    finetune.main("scratch-L", "map-1.0", 0)
    one = published(CELL)
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    command = ("stages.finetune", "scratch-L", "map-1.0", "0")
    nodes = [
        run_on(project, *command, nodes=2, environment=address | {"NODE_RANK": str(number)}) for number in range(2)
    ]
    for node in nodes:
        said, _ = node.communicate(timeout=120)
        assert node.returncode == 0, said
    assert_alike(CELL, one)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def test_a_device_that_dies_ends_the_run(project: Path) -> None:
    """As `torchrun` starts a stage by hand: the survivor does not wait for ever, and nothing is published."""
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    process = run_on(project, *torchrun, "-m", "tests.training.dying_device", "1", "1")
    said, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Signal 9" in said
    assert not PRC.exists()
