"""Units of work in this process and on a real dask cluster of two processes."""

import os
import time
from dataclasses import replace

import pytest

from pipeline.engine import run_units
from pipeline.params import Runtime

ALONE = Runtime(workers=1, scheduler=None, device="cpu", threads=1, loader_threads=0, save_every=60.0)
TWO = replace(ALONE, workers=2)


class UnitError(Exception):
    """What a unit raises on purpose."""


def work(number: int, seconds: float = 0.0) -> tuple[int, int]:
    """The square, and the process that computed it."""
    time.sleep(seconds)
    if number < 0:
        raise UnitError(f"unit {number}")
    return number**2, os.getpid()


def test_one_worker_is_this_process() -> None:
    results = run_units(work, [(n,) for n in (3, 1, 2)], title="t", runtime=ALONE)
    assert results == [(9, os.getpid()), (1, os.getpid()), (4, os.getpid())]


def test_no_units_give_no_results() -> None:
    assert run_units(work, [], title="t", runtime=TWO) == []


def test_one_worker_passes_errors_on_and_stops() -> None:
    done: list[int] = []

    def unit(number: int) -> None:
        if number == 1:
            raise UnitError("unit 1")
        done.append(number)

    with pytest.raises(UnitError, match="unit 1"):
        run_units(unit, [(0,), (1,), (2,)], title="t", runtime=ALONE)
    assert done == [0]


def test_two_workers_keep_the_order() -> None:
    """The first units take longest, so they end last."""
    units = [(n, 0.4 if n < 2 else 0.05) for n in range(8)]
    results = run_units(work, units, title="t", runtime=TWO)
    assert [square for square, _ in results] == [n**2 for n in range(8)]
    processes = {process for _, process in results}
    assert len(processes) == 2
    assert os.getpid() not in processes


def test_two_workers_pass_errors_on() -> None:
    with pytest.raises(UnitError, match="unit -1"):
        run_units(work, [(1,), (-1,), (2,)], title="t", runtime=TWO)
