"""Weights kept on the way are those of their step, whether the run was killed or not."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.artifacts.checkpoint import load_weights, snapshot_file
from pipeline.params import Runtime, Schedule
from pipeline.training.fabric import open_fabric
from pipeline.training.loop import Run, Step, fit
from pipeline.training.snapshots import snapshot_steps

SCHEDULE = Schedule(epochs=None, steps=10, batch=4, lr=0.02, weight_decay=0.01, clip=10.0, warmup=0.3)
RUNTIME = Runtime(workers=1, scheduler=None, device="cpu", threads=1, loader_threads=0, save_every=0.0)


class Killed(BaseException):
    """Stands for the process ending between two steps."""


def train(scratch: Path, die_at: int | None = None, save_every: float = 0.0) -> list[dict[str, Tensor]]:
    """Weights before each step that ran, and after the last one."""
    torch.manual_seed(0)
    network, inputs = nn.Linear(6, 1), torch.randn(32, 6, generator=torch.Generator().manual_seed(1))
    seen: list[dict[str, Tensor]] = []

    def note() -> None:
        seen.append({name: tensor.clone() for name, tensor in network.state_dict().items()})

    def losses(network: nn.Module, step: Step, batch: Tensor) -> dict[str, Tensor]:
        if step.number == die_at:
            raise Killed
        note()
        return {"loss": (network(batch) - batch[:, :1]).square().mean()}

    run = Run("test", range(32), SCHEDULE, 3, scratch, snapshots=3)
    fit(open_fabric(RUNTIME, SCHEDULE.precision, 3), network, lambda step: inputs[step.positions], losses, run, RUNTIME)
    note()
    return seen


def test_which_steps() -> None:
    assert snapshot_steps(100, 4) == [0, 25, 50, 75]
    assert snapshot_steps(10, 3) == [0, 3, 6]
    assert snapshot_steps(2, 5) == [0, 1]
    assert snapshot_steps(7, 0) == []


def test_kept_weights_are_those_of_the_step(tmp_path: Path) -> None:
    seen = train(tmp_path)
    assert sorted(path.name for path in (tmp_path / "snapshots").iterdir()) == [
        Path(snapshot_file(step)).name for step in (0, 3, 6)
    ]
    for step in (0, 3, 6):
        kept = load_weights(tmp_path, snapshot_file(step))
        assert kept.keys() == seen[step].keys()
        assert all(torch.equal(kept[name], seen[step][name]) for name in kept)
    assert not torch.equal(seen[0]["weight"], seen[3]["weight"])


@pytest.mark.parametrize("die_at", [1, 3, 5, 6, 9])
def test_a_killed_run_leaves_the_same_bytes(die_at: int, tmp_path: Path) -> None:
    train(tmp_path / "straight")
    with pytest.raises(Killed):
        train(tmp_path / "killed", die_at)
    train(tmp_path / "killed")
    for step in (0, 3, 6):
        straight, killed = (tmp_path / name / snapshot_file(step) for name in ("straight", "killed"))
        assert straight.read_bytes() == killed.read_bytes()
