"""The state of an unfinished training: whole or refused, with every part and every random generator."""

import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from pipeline.errors import UserError
from pipeline.params import Schedule
from pipeline.training.history import History
from pipeline.training.resume import ResumeState
from pipeline.training.schedule import build_optimizer

SCHEDULE = Schedule(epochs=None, steps=9, batch=4, lr=0.02, weight_decay=0.01, clip=10.0, warmup=0.3)
ROWS = [{"loss": 0.1 + 0.2}, {"loss": 1e-300}]


class Training:
    """All that has a state, a few steps old."""

    def __init__(self, steps: int, width: int = 3) -> None:
        torch.manual_seed(steps)
        self.module = nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))
        self.average = AveragedModel(self.module, use_buffers=True)
        self.optimizer, self.cycle = build_optimizer(self.module, SCHEDULE, 9)
        for _ in range(steps):
            self.module(torch.randn(4, 2)).square().sum().backward()
            self.optimizer.step()
            self.cycle.step()
            self.average.update_parameters(self.module)

    def state(self, path: Path) -> ResumeState:
        return ResumeState(
            path, module=self.module, optimizer=self.optimizer, cycle=self.cycle, average=self.average, nothing=None
        )

    def content(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self.state(Path()).parts.items()}


def assert_same(one: Any, two: Any) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, two)
    elif isinstance(one, dict):
        assert list(one) == list(two)
        for name in one:
            assert_same(one[name], two[name])
    elif isinstance(one, list | tuple):
        assert len(one) == len(two)
        for a, b in zip(one, two, strict=True):
            assert_same(a, b)
    else:
        assert one == two


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a state two steps old."""
    found = tmp_path / "key" / "state.pt"
    Training(2).state(found).save(History(ROWS))
    return found


def test_every_part_and_every_random_generator_comes_back(tmp_path: Path) -> None:
    path, one, two = tmp_path / "key" / "state.pt", Training(2), Training(0)
    one.state(path).save(History(ROWS))
    drawn = draw()
    assert draw() != drawn
    assert two.content()["cycle"] != one.content()["cycle"]
    assert two.state(path).load().rows == ROWS
    assert draw() == drawn
    assert_same(two.content(), one.content())
    assert [file.name for file in path.parent.iterdir()] == ["state.pt"]


def test_nothing_to_continue(tmp_path: Path) -> None:
    assert Training(0).state(tmp_path / "none" / "state.pt").load().rows == []


def refused(path: Path, training: Training | None = None) -> str:
    """What is said; the file is as it was."""
    before = path.read_bytes()
    with pytest.raises(UserError) as caught:
        (training or Training(0)).state(path).load()
    assert path.read_bytes() == before
    assert caught.value.where == str(path)
    assert "move it away to begin at step 0" in caught.value.remedy
    return caught.value.problem


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_state_is_refused(share: float, path: Path) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert "cannot be read" in refused(path)


def test_one_changed_bit_is_found(path: Path) -> None:
    weights = Training(2).module.state_dict()["0.weight"].numpy().tobytes()
    content = bytearray(path.read_bytes())
    content[content.index(weights)] ^= 1
    path.write_bytes(content)
    assert "is damaged" in refused(path)


def test_other_files_are_refused(path: Path) -> None:
    torch.save([1, 2], path)
    assert "is the state of another training" in refused(path)
    torch.save(Training(0).module, path)  # a pickle that would run code
    assert "cannot be read" in refused(path)
    path.write_text("no archive")
    assert "cannot be read" in refused(path)


def test_the_state_of_another_training_is_refused(path: Path) -> None:
    """One that lay in another run's folder, and one of another network."""
    moved = Path(shutil.copytree(path.parent, path.parent.with_name("other"))) / path.name
    assert "is the state of another training" in refused(moved)
    assert "does not fit this training" in refused(path, Training(0, width=4))
