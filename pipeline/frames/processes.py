"""Processes that read frames: spawned, without torch, about a hundred megabytes each."""

import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from threading import Lock
from types import ModuleType

from pipeline.errors import UserError
from pipeline.frames.loaded import LoadedFrame
from pipeline.frames.reader import FrameReader
from pipeline.process import calm_numpy, end_with_parent, keep_freed_memory

Request = tuple[int, int, int, str, bool]  # arguments of FrameReader.read

_reader: FrameReader  # of a reading process
_starting = Lock()


class ReadingProcesses:
    """Started by the first `read`; they end with this process, however it ends, and when this object is gone."""

    def __init__(self, reader: FrameReader, processes: int) -> None:
        """`reader` is sent to each of the `processes` once."""
        self._pool = ProcessPoolExecutor(
            processes, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(reader,)
        )

    def read(self, requests: Sequence[Request]) -> list[LoadedFrame]:
        """The frames of `requests` in their order; may be called from several threads.

        Raises:
            UserError: as `FrameReader.read`, or a process was killed.
        """
        try:
            with _starting, _no_main_module():
                futures: list[Future[LoadedFrame]] = [self._pool.submit(_read, request) for request in requests]
            return [future.result() for future in futures]
        except BrokenProcessPool:
            raise UserError(
                "a process that reads frames ended before its time",
                where="runtime.yaml: loader_processes",
                remedy="out of memory, most likely: use fewer of them (0 reads without); the same command continues",
            ) from None


def _begin(reader: FrameReader) -> None:
    global _reader
    _reader = reader
    keep_freed_memory()
    calm_numpy()
    end_with_parent()


def _read(request: Request) -> LoadedFrame:
    return _reader.read(*request)


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Spawned processes import the main module again, for functions that it may define. Ours need none, and the main
    module of a training would bring torch with it: half a gigabyte and seconds each."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
