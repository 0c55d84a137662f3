"""Runs independent units of work on a dask cluster: a local one by default, a running scheduler where one is named."""

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import dask
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pipeline.params import Runtime

Result = TypeVar("Result")


def run_units(
    function: Callable[..., Result], units: Sequence[tuple[Any, ...]], *, title: str, runtime: Runtime
) -> list[Result]:
    """Calls `function(*unit)` for every unit in worker processes, with a progress bar and an ETA.

    A unit must write nothing that another unit writes, so that the number of workers cannot change a result.

    Args:
        function: importable by the workers; its arguments and result are pickled between processes.
        units: argument tuples.
        title: shown before the bar.
        runtime: `scheduler` names a running dask scheduler; otherwise `workers` local processes are started.

    Returns:
        The results in the order of `units`.

    Raises:
        Whatever `function` raised first; units not yet started are dropped.
    """
    if runtime.scheduler is None and (runtime.workers <= 1 or len(units) <= 1):
        with progress_bar() as bar:
            return [function(*unit) for unit in bar.track(units, description=title)]
    from distributed import Client, LocalCluster, as_completed

    # Workers come up by spawn: forking a process that already runs threads can deadlock.
    # A unit runs once; what killed a worker twice would kill a third one too.
    settings = {
        "distributed.worker.multiprocessing-method": "spawn",
        "distributed.scheduler.allowed-failures": 1,
        "distributed.worker.memory.terminate": False,
    }
    # Workers keep freed memory instead of returning it page by page: arrays of a few megabytes come and go all the
    # time, and faulting their pages in again took a quarter of the workers' time. glibc reads these at process start.
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(1 << 30))
    os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(1 << 32))
    with dask.config.set(settings):
        cluster = runtime.scheduler or LocalCluster(
            n_workers=min(runtime.workers, len(units)), threads_per_worker=1, dashboard_address=None
        )
        try:
            with Client(cluster) as client, progress_bar() as bar:
                futures = [client.submit(function, *unit, pure=False) for unit in units]
                for future in bar.track(as_completed(futures), total=len(units), description=title):
                    future.result()
                return list(client.gather(futures))
        finally:
            if isinstance(cluster, LocalCluster):
                cluster.close()


def progress_bar() -> Progress:
    """The one look of progress in this project: count, elapsed time and ETA."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    )
