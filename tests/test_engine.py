"""Units of work in this process and on real dask clusters: local ones and a scheduler process with workers."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from pipeline import engine
from pipeline.engine import run_units
from pipeline.errors import UserError
from pipeline.params import Runtime
from tests.dask_cluster import dask_cluster

ROOT = Path(__file__).parents[1]
ALONE = Runtime(workers=1, scheduler=None, device="cpu", threads=1, loader_threads=0, save_every=60.0)
TWO = replace(ALONE, workers=2)


class UnitError(Exception):
    """What a unit raises on purpose."""


class UntravelledError(Exception):
    """An exception that pickle cannot rebuild."""

    def __init__(self, *, number: int) -> None:
        super().__init__(f"unit {number}")


def work(number: int, seconds: float = 0.0) -> tuple[int, int]:
    """The square, and the process that computed it."""
    time.sleep(seconds)
    if number == -3:
        raise UntravelledError(number=number)
    if number == -2:
        raise UserError(f"unit {number} is bad", where="here", remedy="give another")
    if number < 0:
        raise UnitError(f"unit {number}")
    return number**2, os.getpid()


def count_and_die(folder: Path, number: int, deaths: int) -> int:
    """Leaves a file for every start and kills its process the first `deaths` times."""
    (folder / f"{number}-{time.monotonic_ns()}").touch()
    if len(list(folder.glob(f"{number}-*"))) <= deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.1)
    return number


def leave_pid(folder: Path, number: int) -> None:
    """Notes its process and stays for longer than a test waits."""
    (folder / str(os.getpid())).touch()
    time.sleep(600 + number)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """Two worker processes at a scheduler process."""
    with dask_cluster(2, tmp_path_factory.mktemp("cluster")) as address:
        yield replace(ALONE, scheduler=address)


def test_one_worker_is_this_process() -> None:
    results = run_units(work, [(n,) for n in (3, 1, 2)], title="t", runtime=ALONE)
    assert results == [(9, os.getpid()), (1, os.getpid()), (4, os.getpid())]


def test_no_units_give_no_results(remote: Runtime) -> None:
    for runtime in (ALONE, TWO, remote):
        assert run_units(work, [], title="t", runtime=runtime) == []


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
    arrived: list[int] = []
    results = run_units(work, units, title="t", runtime=TWO, accept=lambda result: arrived.append(result[0]))
    assert [square for square, _ in results] == [n**2 for n in range(8)]
    assert sorted(arrived) == [n**2 for n in range(8)]
    processes = {process for _, process in results}
    assert len(processes) == 2
    assert os.getpid() not in processes


def test_a_scheduler_with_two_workers(remote: Runtime) -> None:
    results = run_units(work, [(n, 0.1) for n in range(8)], title="t", runtime=remote)
    assert [square for square, _ in results] == [n**2 for n in range(8)]
    assert len({process for _, process in results} - {os.getpid()}) == 2


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [(-1, UnitError, "unit -1"), (-2, UserError, "remedy: give another"), (-3, RuntimeError, "UntravelledError: unit")],
)
def test_errors_of_workers_arrive(number: int, kind: type[Exception], said: str, remote: Runtime) -> None:
    with pytest.raises(kind, match=said):
        run_units(work, [(1,), (number,), (2,)], title="t", runtime=remote)


def test_a_user_error_stays_one_in_pickle() -> None:
    error = pickle.loads(pickle.dumps(UserError("a", where="b", remedy="c")))
    assert (error.problem, error.where, error.remedy) == ("a", "b", "c")


def test_what_accept_raises_ends_the_run(tmp_path: Path, remote: Runtime) -> None:
    def refuse(number: int) -> None:
        raise UnitError(f"enough after {number}")

    for name, runtime in (("alone", ALONE), ("remote", remote)):
        (tmp_path / name).mkdir()
        units = [(tmp_path / name, number, 0) for number in range(40)]
        with pytest.raises(UnitError, match="enough"):
            run_units(count_and_die, units, title="t", runtime=runtime, accept=refuse)
        assert 1 <= len(list((tmp_path / name).iterdir())) <= 4


def test_a_killed_worker_costs_only_its_own_unit(tmp_path: Path, remote: Runtime) -> None:
    units = [(tmp_path, number, 1 if number in (2, 5) else 0) for number in range(8)]
    assert run_units(count_and_die, units, title="t", runtime=remote) == list(range(8))
    starts = [len(list(tmp_path.glob(f"{number}-*"))) for number in range(8)]
    assert starts[2] == starts[5] == 2
    assert sum(starts) <= 12  # a result that lay on the worker and was not fetched yet is made again


def test_a_unit_that_always_kills_its_worker_is_named(tmp_path: Path, remote: Runtime) -> None:
    with pytest.raises(UserError, match="killed its worker process 4 times") as caught:
        run_units(count_and_die, [(tmp_path, 0, 99), (tmp_path, 1, 0)], title="t", runtime=remote)
    assert "memory" in caught.value.remedy
    assert len(list(tmp_path.glob("0-*"))) == 4


def test_no_scheduler_and_no_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PATIENCE", 0.5)
    with pytest.raises(UserError, match="no dask scheduler answers") as caught:
        run_units(work, [(1,)], title="t", runtime=replace(ALONE, scheduler="tcp://127.0.0.1:9"))
    assert "scheduler: null" in caught.value.remedy
    monkeypatch.setattr(engine, "PATIENCE", 5.0)
    with dask_cluster(0, tmp_path) as address:
        monkeypatch.setattr(engine, "PATIENCE", 1.0)
        with pytest.raises(UserError, match="has no worker") as caught:
            run_units(work, [(1,)], title="t", runtime=replace(ALONE, scheduler=address))
        assert f"dask worker {address}" in caught.value.remedy


def test_a_lost_scheduler_is_told(tmp_path: Path) -> None:
    with dask_cluster(2, tmp_path) as address:
        here = [child for child in psutil.Process().children() if str(tmp_path / "scheduler.json") in child.cmdline()]
        (scheduler,) = [child for child in here if "scheduler" in child.cmdline()]
        runtime = replace(ALONE, scheduler=address)
        with pytest.raises(UserError, match="the dask cluster was lost") as caught:
            run_units(
                work, [(n, 0.1) for n in range(99)], title="t", runtime=runtime, accept=lambda _: scheduler.kill()
            )
        assert "start the same command again" in caught.value.remedy


PROGRAM = """if True:
    import signal
    import sys
    from pathlib import Path
    from pipeline.engine import run_units
    from pipeline.errors import user_errors
    from tests.test_engine import TWO, leave_pid, work
    if __name__ == "__main__":
        signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that run in the background inherit none
        with user_errors():
            if sys.argv[1] == "raise":
                run_units(work, [(-2,), (-2,), (-2,)], title="t", runtime=TWO)
            run_units(leave_pid, [(Path(sys.argv[1]), n) for n in range(2)], title="t", runtime=TWO)
"""


def test_an_error_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py"), "raise"], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "error: unit -2 is bad\n  where:  here\n  remedy: give another\n"


def test_no_worker_outlives_the_process(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    processes: dict[signal.Signals, subprocess.Popen[bytes]] = {}
    with ExitStack() as stack:
        for end in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):  # side by side, to save time
            (tmp_path / end.name).mkdir()
            words = [sys.executable, str(tmp_path / "program.py"), str(tmp_path / end.name)]
            with (tmp_path / f"{end.name}.log").open("wb") as log:
                processes[end] = subprocess.Popen(
                    words, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=log, stderr=log
                )
            stack.callback(processes[end].kill)
        for end, process in processes.items():
            folder = tmp_path / end.name
            wait_until(partial(holds_two, folder))
            process.send_signal(end)
        for end, process in processes.items():
            workers = [int(path.name) for path in (tmp_path / end.name).iterdir()]
            assert process.wait(timeout=60) != 0
            wait_until(partial(all_gone, workers))


def holds_two(folder: Path) -> bool:
    return len(list(folder.iterdir())) == 2


def all_gone(processes: list[int]) -> bool:
    return not any(Path(f"/proc/{process}").exists() for process in processes)


def wait_until(holds: Callable[[], bool]) -> None:
    """Fails after a minute."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
