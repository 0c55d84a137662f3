"""How fast a training goes, and which share of its time it waits for data."""

import time
from collections import deque

WINDOW = 20  # steps that the numbers are taken over


class Pace:
    """Told of every wait for a batch and of the end of every step; knows nothing before the first step has ended.

    Args:
        frames: of a step, over all processes.
    """

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._recent: deque[tuple[float, float]] = deque(maxlen=WINDOW)  # seconds of a step; of them, waited
        self._ended = time.monotonic()
        self._waited = 0.0

    def waited(self, seconds: float) -> None:
        """A batch of the step is here, after so long."""
        self._waited += seconds

    def stepped(self) -> None:
        """The step is done."""
        now = time.monotonic()
        self._recent.append((now - self._ended, self._waited))
        self._ended, self._waited = now, 0.0

    @property
    def frames_per_second(self) -> float:
        """Over the last steps."""
        seconds = sum(whole for whole, _ in self._recent)
        return self._frames * len(self._recent) / seconds if seconds else 0.0

    @property
    def data_wait(self) -> float:
        """Share of the time of the last steps, 0 to 1, that passed before their batches were there."""
        seconds = sum(whole for whole, _ in self._recent)
        return sum(waited for _, waited in self._recent) / seconds if seconds else 0.0

    def seconds(self, steps: int) -> float:
        """What so many further steps will take."""
        return steps * self._frames / self.frames_per_second if self._recent else 0.0
