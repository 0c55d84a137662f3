"""`python -m tests.training.dying_device <rank> <passes>`: PRC; the process of that rank dies after so many passes."""

import os
import signal
import sys
from typing import Any

from pipeline.training import pretrain_lidar as training
from pipeline.training.launch import rank
from stages import pretrain_lidar

drawn = training.draw_contrast_points
dying, steps = rank() == int(sys.argv[1]), int(sys.argv[2])
calls = 0


def draw_or_die(*arguments: Any, **options: Any) -> Any:
    global calls
    calls += 1
    if dying and calls > steps:
        os.kill(os.getpid(), signal.SIGKILL)
    return drawn(*arguments, **options)


if __name__ == "__main__":
    training.draw_contrast_points = draw_or_die
    pretrain_lidar.main("prc")
