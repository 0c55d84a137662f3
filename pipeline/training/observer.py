"""What watches a training: progress on the terminal, curves, snapshots. It changes nothing that is trained."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from torch import nn

from pipeline.engine import progress_bar
from pipeline.training.live import LiveLog
from pipeline.training.pace import Pace
from pipeline.training.progress import StepProgress
from pipeline.training.snapshots import Snapshots

if TYPE_CHECKING:
    from pipeline.training.loop import Run

Pass = TypeVar("Pass")


class Observer:
    """Told of every pass and every step; of several processes only the first one watches."""

    def __init__(
        self, pace: Pace, progress: StepProgress | None, snapshots: Snapshots | None, live: LiveLog | None
    ) -> None:
        self._pace, self._progress, self._snapshots, self._live = pace, progress, snapshots, live

    def timed(self, passes: Iterator[Pass]) -> Iterator[Pass]:
        """The same passes; how long each was waited for is noted."""
        while True:
            began = time.monotonic()
            try:
                following = next(passes)
            except StopIteration:
                return
            self._pace.waited(time.monotonic() - began)
            yield following

    def stepped(self, done: int, row: Mapping[str, float]) -> None:
        """A step is done, `done` with those before it; called before the resume state of it can be saved.

        Args:
            done: steps of the run so far, those of earlier processes among them.
            row: the values of the step.
        """
        self._pace.stepped()
        if self._snapshots:
            self._snapshots.keep(done)
        if self._live:
            speed = {"frames_per_second": self._pace.frames_per_second, "data_wait": self._pace.data_wait}
            self._live.log({**row, **speed})
        if self._progress:
            self._progress.stepped(row["loss"])


@contextmanager
def watch(module: nn.Module, run: "Run", total: int, rows: Sequence[Mapping[str, float]]) -> Iterator[Observer]:
    """Watches a training while the block runs.

    Args:
        module: whose weights are kept.
        run: the run.
        total: its steps.
        rows: values of the steps that earlier processes did.
    """
    done, pace = len(rows), Pace(min(run.schedule.batch, len(run.positions)))
    if int(os.environ.get("RANK", "0")) > 0:
        yield Observer(pace, None, None, None)
        return
    snapshots = Snapshots(module, run.scratch, total, run.snapshots) if run.snapshots else None
    if snapshots and done == 0:
        snapshots.keep(0)
    live = LiveLog(run.live, run.scratch.as_posix(), rows) if run.live else None
    with progress_bar() as bar:
        yield Observer(pace, StepProgress(bar, run.title, total, done, pace), snapshots, live)
    if live:
        live.close()
