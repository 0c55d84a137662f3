"""Runs independent units of work on a dask cluster: a local one by default, a running scheduler where one is named."""

import os
import pickle
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import dask
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pipeline.errors import UserError
from pipeline.params import Runtime

if TYPE_CHECKING:
    from distributed import Client, Future

Result = TypeVar("Result")
Units = Sequence[tuple[Any, ...]]
PATIENCE = 30.0  # seconds that a scheduler may take to answer, and to have its first worker


def run_units(
    function: Callable[..., Result],
    units: Units,
    *,
    title: str,
    runtime: Runtime,
    accept: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Calls `function(*unit)` for every unit in worker processes, with a progress bar and an ETA.

    A unit must write nothing that another unit writes, so that the number of workers cannot change a result, and must
    bear to run twice: a unit whose worker was killed is given to another one, and a worker of a remote cluster ends the
    unit it has begun after this process is gone. Paths in units must be absolute.

    Args:
        function: importable by the workers; its arguments and result are pickled between processes.
        units: argument tuples.
        title: shown before the bar.
        runtime: `scheduler` names a running dask scheduler; otherwise `workers` local processes are started.
        accept: called here with every result as it arrives, in any order; what it raises ends the run.

    Returns:
        The results in the order of `units`.

    Raises:
        UserError: no scheduler or worker answers, the cluster is lost, or one unit killed its worker again and again.
        Exception: whatever `function` or `accept` raised first; units not yet started are dropped.
    """
    alone = runtime.scheduler is None and (runtime.workers <= 1 or len(units) <= 1)
    stream = _run_here(function, units) if alone or not units else _run_on_cluster(function, units, runtime)
    results: dict[int, Result] = {}
    with progress_bar() as bar:
        try:
            for position, result in bar.track(stream, total=len(units), description=title):
                results[position] = result
                if accept:
                    accept(result)
        finally:
            stream.close()  # stops the workers now, not when the garbage is collected
    return [results[position] for position in range(len(units))]


def progress_bar(stderr: bool = False) -> Progress:
    """The one look of progress in this project: count, elapsed time and ETA; on stderr where stdout is data."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        console=Console(stderr=stderr),
    )  # fmt: skip


def _run_here(function: Callable[..., Result], units: Units) -> Generator[tuple[int, Result], None, None]:
    for position, unit in enumerate(units):
        yield position, function(*unit)


def _run_on_cluster(
    function: Callable[..., Result], units: Units, runtime: Runtime
) -> Generator[tuple[int, Result], None, None]:
    """(position, result) of every unit as it ends.

    No more units are handed out than there are threads: dask blames every unit that lies on a worker when the worker
    dies, and takes for lost, and runs again, what a dead worker finished but nobody fetched.
    """
    from distributed import as_completed

    with _connect(runtime, len(units)) as client:
        waiting, positions = iter(enumerate(units)), dict[Any, int]()

        def hand_out() -> "list[Future[Any]]":
            room = max(1, sum(client.nthreads().values())) - len(positions)
            futures = []
            for position, unit in islice(waiting, max(0, room)):
                future = client.submit(_attempt, function, unit, pure=False)
                positions[future.key] = position
                futures.append(future)
            return futures

        running = as_completed(hand_out())
        for future in running:
            position = positions.pop(future.key)
            result = _fetch(future)
            running.update(hand_out())
            yield position, result


@contextmanager
def _connect(runtime: Runtime, units: int) -> Iterator["Client"]:
    """A client of the named scheduler, or of local workers that end with the block."""
    from distributed import Client, LocalCluster

    # Workers come up by spawn: forking a process that already runs threads can deadlock.
    # A unit runs three times at most: what killed three workers would kill a fourth one too.
    settings = {
        "distributed.worker.multiprocessing-method": "spawn",
        "distributed.scheduler.allowed-failures": 2,
    }
    # Workers keep freed memory instead of returning it page by page: arrays of a few megabytes come and go all the
    # time, and faulting their pages in again took a quarter of the workers' time. glibc reads these at process start.
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(1 << 30))
    os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(1 << 32))
    with dask.config.set(settings):
        if runtime.scheduler is None:
            # No memory limit: dask would pause a worker above it, and one that keeps its memory would pause for ever.
            own = LocalCluster(
                n_workers=min(runtime.workers, units), threads_per_worker=1, memory_limit=None,
                dashboard_address=":0", scheduler_kwargs={"dashboard": False},  # or it asks for port 8787 all the same
            )  # fmt: skip
            with own, Client(own) as client:
                yield client
            return
        try:
            client = Client(runtime.scheduler, timeout=PATIENCE)
        except (OSError, ValueError) as error:
            raise UserError(
                f"no dask scheduler answers ({type(error).__name__})",
                where=f"runtime.yaml: scheduler: {runtime.scheduler}",
                remedy="start one with `dask scheduler`, or write `scheduler: null` to work with local processes",
            ) from None
        with client:
            try:
                client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError:
                raise UserError(
                    f"the dask scheduler has no worker after {PATIENCE:g} s",
                    where=f"runtime.yaml: scheduler: {runtime.scheduler}",
                    remedy=f"start some with `dask worker {runtime.scheduler} --nthreads 1` in the project's folder",
                ) from None
            yield client


@dataclass(frozen=True)
class _Failure:
    """What a unit raised. As a value it arrives once; as an exception dask prints it on every worker as well."""

    error: Exception


def _attempt(function: Callable[..., Result], unit: tuple[Any, ...]) -> Result | _Failure:
    try:
        return function(*unit)
    except Exception as error:
        if not isinstance(error, UserError):
            error.add_note("in a worker process:\n" + traceback.format_exc())
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes: can it travel at all?
        except Exception:
            return _Failure(RuntimeError(f"{type(error).__name__}: {error}\n{traceback.format_exc()}"))
        return _Failure(error)


def _fetch(future: "Future[Any]") -> Any:
    from distributed import CancelledError, KilledWorker

    remedy = "start the same command again: finished units are kept where the stage keeps drafts"
    try:
        result = future.result()
    except KilledWorker as error:
        raise UserError(
            f"a unit of work killed its worker process {error.allowed_failures + 1} times",
            where=str(error.last_worker.address),
            remedy="look for the memory of that machine (dmesg) and for the data that the unit reads; " + remedy,
        ) from None
    except (CancelledError, OSError) as error:
        raise UserError(
            f"the dask cluster was lost ({type(error).__name__})", where="runtime.yaml: scheduler", remedy=remedy
        ) from None
    if isinstance(result, _Failure):
        raise result.error
    return result
