"""How a process that loads or trains uses memory and cores, and when it ends."""

import ctypes
import multiprocessing
import os
import sys
from threading import Thread

from threadpoolctl import threadpool_limits


def keep_freed_memory() -> None:
    """Tells glibc to keep freed blocks for the next step: faulting unmapped pages in again costs a tenth of it."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD, bytes
            libc.mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD, bytes


def calm_numpy() -> None:
    """One thread for numpy's BLAS, not torch's: after the inverse of a 4 x 4 matrix its threads spin for a while, and
    keep a core busy that a neighbour could use."""
    threadpool_limits(1, "blas")


def end_with_parent() -> None:
    """From now on this process, one of `multiprocessing`, dies when its parent does: a killed one cannot tell it to."""

    def wait() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=wait, daemon=True).start()
