"""Work in a process of its own, and the memory that it took: what several benchmarks share."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any


def in_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function called in a new process, which may start others."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def status_mb(field: str) -> float:
    """MB of this process: VmRSS (now) or VmHWM (at its peak).

    Not from getrusage, which also counts what the parent held when it started this process.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) / 1024
