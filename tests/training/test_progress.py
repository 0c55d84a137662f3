"""What a training says of its speed."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from pipeline.training import pace as pace_module
from pipeline.training import progress
from pipeline.training.pace import WINDOW, Pace
from pipeline.training.progress import StepProgress


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (pace_module, progress):
        monkeypatch.setattr(module, "time", clock)
    return clock


def step(pace: Pace, clock: Clock, wait: float, work: float) -> None:
    clock.now += wait
    pace.waited(wait)
    clock.now += work
    pace.stepped()


def test_speed_and_waiting_over_the_last_steps(clock: Clock) -> None:
    pace = Pace(4)
    assert (pace.frames_per_second, pace.data_wait, pace.seconds(10)) == (0, 0, 0)
    step(pace, clock, 1.0, 1.0)
    assert (pace.frames_per_second, pace.data_wait) == (2, 0.5)
    for _ in range(WINDOW):
        step(pace, clock, 0.1, 0.4)
    assert pace.frames_per_second == pytest.approx(8)
    assert pace.data_wait == pytest.approx(0.2)
    assert pace.seconds(10) == pytest.approx(5)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_file_gets_a_line_now_and_then(terminal: bool, clock: Clock) -> None:
    out = io.StringIO()
    pace = Pace(4)
    with Progress(console=Console(file=out, force_terminal=terminal, width=200), auto_refresh=False) as bar:
        shown = StepProgress(bar, "prc", 100, 10, pace)
        for _ in range(40):
            step(pace, clock, 0.5, 1.5)
            shown.stepped(4.5)
        assert bar.tasks[0].completed == 50
        assert "loss 4.500  2 frames/s  25% data wait" in bar.tasks[0].description
    lines = [line for line in out.getvalue().splitlines() if " left" in line]
    if terminal:
        assert lines == []
    else:  # 80 seconds
        assert lines == [
            f"prc  step {done}/100  loss 4.500  2 frames/s  25% data wait  {left} left"
            for done, left in ((25, "0:02:30"), (40, "0:02:00"))
        ]
