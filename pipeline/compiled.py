"""Loops over points that NumPy cannot express without large temporaries, compiled by numba."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compiles at the first call of a machine and keeps the result beside the source.

    No fast-math and no threads: the same input gives the same bytes on every machine.
    """
    return cast(Function, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
