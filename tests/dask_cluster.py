"""A real dask cluster for tests: a scheduler process and worker processes that end with the block."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]


@contextmanager
def dask_cluster(workers: int, folder: Path, checkout: Path = ROOT) -> Iterator[str]:
    """Starts `dask scheduler` and so many `dask worker`; the workers run in a folder that is not the project.

    Args:
        workers: how many.
        folder: for logs; empty.
        checkout: where the workers find the project's code.

    Yields:
        The scheduler's address.
    """
    note = folder / "scheduler.json"
    (folder / "elsewhere").mkdir(parents=True)
    common = ["--no-dashboard", "--scheduler-file", str(note)]
    with ExitStack() as stack:
        scheduler = ["scheduler", "--host", "127.0.0.1", "--port", "0", *common]
        for command in [scheduler, *[["worker", "--nthreads", "1", *common]] * workers]:
            stack.enter_context(_process(command, folder, checkout))
        while not note.exists() or not note.read_text():
            time.sleep(0.02)
        yield json.loads(note.read_text())["address"]


@contextmanager
def _process(words: list[str], folder: Path, checkout: Path) -> Iterator[None]:
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *words], cwd=folder / "elsewhere", stdout=log, stderr=log,
            env=os.environ | {"PYTHONPATH": str(checkout)}, start_new_session=True,
        )  # fmt: skip
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # the worker processes of a worker's nanny too
            process.wait()
