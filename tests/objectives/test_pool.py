"""2 and 3 real processes give the loss and, through DDP, the gradient of one; unequal regions, none, no points."""

import itertools
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.objectives.pool import Pool, weighted_mean
from tests.objectives.gloo_contrasts import DIVISIONS, OBJECTIVES, embed, make_network

ROOT = Path(__file__).parents[2]
CASES = [(processes, number) for processes, divisions in DIVISIONS.items() for number in range(len(divisions))]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, list[Tensor]]]:
    """What the processes found, by their number."""
    folder = tmp_path_factory.mktemp("gloo")
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.objectives.gloo_contrasts", str(rank), str(processes)]
            + [str(folder / name) for name in (f"rendezvous{processes}", f"{processes}.pt")],
            cwd=ROOT,
        )
        for processes in DIVISIONS
        for rank in range(processes)
    ]
    try:
        assert [process.wait(timeout=240) for process in running] == [0] * len(running)
    finally:
        for process in running:
            process.kill()
    return {processes: torch.load(folder / f"{processes}.pt", weights_only=True) for processes in DIVISIONS}


def alone(name: str, groups: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Loss and gradient of one process that contrasts the groups apart and takes the mean."""
    network = make_network()
    loss = torch.stack([OBJECTIVES[name](embed(network, group), False) for group in groups]).mean()
    (gradient,) = torch.autograd.grad(loss, list(network.parameters()))
    return loss.detach(), gradient


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize(("processes", "number"), CASES)
def test_gathered_negatives_equal_one_process_with_all_frames(
    results: dict[int, dict[str, list[Tensor]]], processes: int, number: int, name: str
) -> None:
    loss, gradient = alone(name, [list(itertools.chain(*DIVISIONS[processes][number]))])
    assert gradient.norm() > 1e-3
    torch.testing.assert_close(results[processes][f"{number}/{name}/True"], [loss, gradient])


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize(("processes", "number"), CASES)
def test_own_negatives_equal_one_process_with_frames_apart(
    results: dict[int, dict[str, list[Tensor]]], processes: int, number: int, name: str
) -> None:
    found = results[processes][f"{number}/{name}/False"]
    loss, gradient = alone(name, DIVISIONS[processes][number])
    torch.testing.assert_close(found, [loss, gradient])
    # The two are not the same thing.
    assert not torch.allclose(found[0], results[processes][f"{number}/{name}/True"][0], rtol=1e-3)


def test_alone_nothing_is_copied() -> None:
    rows = torch.ones(3, 2)
    pool = Pool.of(rows, gather=True)
    assert (pool.start, pool.own, pool.all, pool.shared) == (0, 3, 3, False)
    assert pool.gather(rows) is rows and pool.reduce(rows) is rows and pool.place(rows, 0) is rows


def test_weighted_mean() -> None:
    values = torch.tensor([1.0, 2.0, 6.0])
    assert weighted_mean(values, torch.tensor([1.0, 1.0, 0.5]), gather=False).item() == pytest.approx(6 / 2.5)
    assert weighted_mean(values, torch.zeros(3), gather=True).item() == 0
    assert math.isfinite(weighted_mean(values[:0], torch.zeros(0), gather=True).item())
