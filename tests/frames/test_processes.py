"""Processes that read frames: the same batches, small, and gone with the process that started them."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from pipeline.errors import UserError
from pipeline.frames.batch import FrameBatch
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels, build_labels
from pipeline.geometry.grid import BevGrid
from pipeline.params import Prepare
from tests.frames.tiny_dataset import GRID, PointNumbers, augmentation_params, dataset_at, frames_params

# A training as `python -m stages.…` starts it: its main module imports torch. Then it waits to be killed.
TRAINING = """
import multiprocessing, sys, time
from pathlib import Path
import torch
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.index import FrameIndex
from tests.frames.tiny_dataset import GRID, augmentation_params, frames_params

if __name__ == "__main__":
    index = FrameIndex.open(Path(sys.argv[1]), Path(sys.argv[2]))
    loader = FrameLoader(
        index, frames_params(), GRID, images=True, augmentation=augmentation_params(), processes=2
    )
    for epoch in range(3):
        loader.load([0, 1, 2, 3], epoch=epoch)
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    time.sleep(60)
"""


def assert_same(one: FrameBatch, two: FrameBatch) -> None:
    for field in fields(FrameBatch):
        a, b = getattr(one, field.name), getattr(two, field.name)
        assert a is not None, field.name
        pairs = zip(a, b, strict=True) if isinstance(a, tuple) else [(a, b)]
        for mine, other in pairs:
            assert torch.equal(mine, other) if isinstance(mine, torch.Tensor) else mine == other, field.name


def test_the_number_of_processes_changes_no_batch(tiny_root: Path, tiny_index: FrameIndex, tmp_path: Path) -> None:
    build_labels(dataset_at(tiny_root), Prepare(0.2, [1.0]), tiny_index, tmp_path)
    loaders = [
        FrameLoader(
            tiny_index, frames_params(), GRID, regions=PointNumbers(), labels=Labels.open(tmp_path), images=True,
            map_grid=BevGrid(32.0, 0.8), augmentation=augmentation_params(), processes=processes,
        )
        for processes in (0, 1, 2)
    ]  # fmt: skip
    for positions, epoch in (([5, 0, 2], 0), ([1], 3)):
        here, one, two = (loader.load(positions, epoch, seed=7) for loader in loaders)
        assert_same(here, one)
        assert_same(here, two)


def test_errors_come_back_as_they_were(tiny_copy: Path, tiny_index: FrameIndex) -> None:
    index = FrameIndex.open(tiny_index.path, tiny_copy)
    victim = tiny_copy / index[1].lidar_path
    victim.unlink()
    others = set(multiprocessing.active_children())
    loader = FrameLoader(index, frames_params(), GRID, processes=1)
    with pytest.raises(UserError, match=rf"(?s){victim.name}.*copy it from the archive again"):
        loader.load([0, 1])
    assert len(loader.load([0])) == 1  # the process goes on

    (process,) = set(multiprocessing.active_children()) - others
    process.kill()
    process.join()
    with pytest.raises(UserError, match=r"(?s)ended before its time.*loader_processes.*use fewer"):
        loader.load([0])


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads /proc")
def test_processes_hold_no_torch_and_end_with_a_killed_training(tmp_path: Path, tiny_index: FrameIndex) -> None:
    script = tmp_path / "training.py"
    script.write_text(TRAINING)
    command = [sys.executable, str(script), str(tiny_index.path), str(tiny_index.root)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as training:
        assert training.stdout is not None
        pids = [int(pid) for pid in training.stdout.readline().split()]
        try:
            assert len(pids) == 2
            for pid in pids:
                assert "libtorch" not in Path(f"/proc/{pid}/maps").read_text()
        finally:
            training.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline, "processes outlive the training"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie that nobody waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
