"""The progress of a training on the terminal: a bar with ETA, or now and then a line where the output is a file."""

import time
from datetime import timedelta

from rich.progress import Progress

from pipeline.training.pace import Pace

LINE_EVERY = 30.0  # seconds between two lines


class StepProgress:
    """Shows loss, speed and waiting.

    Args:
        bar: running.
        title: what trains.
        total: steps.
        done: steps that an earlier process did.
        pace: told by somebody else.
    """

    def __init__(self, bar: Progress, title: str, total: int, done: int, pace: Pace) -> None:
        self._bar, self._title, self._total, self._done, self._pace = bar, title, total, done, pace
        self._task = bar.add_task(title, total=total, completed=done)
        self._last_line = time.monotonic()

    def stepped(self, loss: float) -> None:
        """A step is done."""
        self._done += 1
        pace = self._pace
        text = f"loss {loss:.3f}  {pace.frames_per_second:.3g} frames/s  {pace.data_wait:.0%} data wait"
        self._bar.update(self._task, advance=1, description=f"{self._title}  {text}")
        # rich draws a bar into a file only once, at the end.
        if not self._bar.console.is_terminal and time.monotonic() - self._last_line >= LINE_EVERY:
            self._last_line = time.monotonic()
            left = timedelta(seconds=round(pace.seconds(self._total - self._done)))
            line = f"{self._title}  step {self._done}/{self._total}  {text}  {left} left"
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
