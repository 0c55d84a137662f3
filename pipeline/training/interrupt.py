"""Requests to stop a training: it finishes its step, saves its state and leaves with an exit code of its own."""

import signal
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import Any

from pipeline.training.agreement import any_process
from pipeline.training.launch import RESUME_ME, rank


class Interrupted(SystemExit):
    """Leaves the process with `RESUME_ME` and without a traceback; the state of the training is saved."""

    def __init__(self) -> None:
        super().__init__(RESUME_ME)


class StopRequest:
    """Notes SIGTERM, the first SIGINT and the end of a time budget while its block runs.

    A second SIGINT acts as ever: it stops at once, and the last saved state stays. A program that was started with
    SIGINT ignored (`nohup`, `&` in a script) goes on ignoring it.
    """

    def __init__(self, budget: float | None = None) -> None:
        """`budget`: seconds of wall time from here; None for no limit."""
        self._budget = budget
        self._ends = None if budget is None else time.monotonic() + budget
        self._signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():  # no other may install handlers
            for number in (signal.SIGTERM, signal.SIGINT):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def made(self) -> bool:
        """Whether one of the processes of this training was asked to stop; to be asked after every step by all."""
        return any_process(self._signal is not None or self._late())

    def obey(self, title: str, done: int, steps: int) -> None:
        """Says that the training stops, and raises `Interrupted`; the state must have been saved.

        Args:
            title: of the training.
            done: steps so far.
            steps: of all.
        """
        reason = "another process was asked to stop"
        if self._signal is not None:
            reason = signal.Signals(self._signal).name
        elif self._late():
            reason = f"runtime.yaml: time_budget of {self._budget:g} s"
        if rank() != 0:
            raise Interrupted
        message = f"{title}: stopped after step {done} of {steps} ({reason}); saved, the same command continues"
        print(message, file=sys.stderr)
        raise Interrupted

    def _late(self) -> bool:
        return self._ends is not None and time.monotonic() >= self._ends

    def _note(self, number: int, _: FrameType | None) -> None:
        self._signal = number
        if number == signal.SIGINT:
            signal.signal(number, self._before[number])
