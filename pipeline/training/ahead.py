"""Trains the other seeds of a cell on idle cores, ahead of the stage that will publish them."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pipeline.process import end_with_parent


@contextmanager
def train_ahead(train: Callable[[int], None], seeds: Sequence[int]) -> Iterator[None]:
    """Runs `train(seed)` in a process of its own for each of `seeds` while the block runs, and waits for them.

    DVC runs one stage at a time, and a small network uses several cores badly. A cell trained ahead leaves its finished
    state in scratch/, where its own stage finds it and only has to publish. Nothing else depends on it: what fails here
    fails again, and says why, in its own stage.

    The processes are forked, so they share the imports that took the caller seconds; nothing may have started a thread.

    Args:
        train: trains one cell up to its resume state, without publishing it.
        seeds: of the cells.
    """
    context = multiprocessing.get_context("fork")
    # No daemons: those may not start processes that read frames.
    running = [context.Process(target=_quietly, args=(train, seed)) for seed in seeds]
    for process in running:
        process.start()
    try:
        yield
        for process in running:
            process.join()
    finally:
        for process in running:
            process.terminate()
            process.join()


def _quietly(train: Callable[[int], None], seed: int) -> None:
    end_with_parent()  # or its stage, run again, would train the same cell beside it
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        sys.stdout = sys.stderr = nowhere
        train(seed)
