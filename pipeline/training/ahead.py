"""Trains the other seeds of a cell on idle cores, ahead of the stage that will publish them."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pipeline.process import end_with_parent


@contextmanager
def train_ahead(trainings: Sequence[Callable[[], None]]) -> Iterator[None]:
    """Runs each of some trainings in a process of its own while the block runs, and waits for them.

    DVC runs one stage at a time, and a small network uses several cores badly. A cell trained ahead leaves its
    checkpoint in scratch/, where its own stage finds it and only has to publish, without importing what trains. Nothing
    else depends on it: what fails here fails again, and says why, in its own stage.

    The processes are forked, so they share the imports that took the caller seconds; nothing may have started a thread.

    Args:
        trainings: each trains one cell and leaves its checkpoint in scratch/.
    """
    context = multiprocessing.get_context("fork")
    # No daemons: those may not start processes that read frames.
    running = [context.Process(target=_quietly, args=(train,)) for train in trainings]
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


def _quietly(train: Callable[[], None]) -> None:
    end_with_parent()  # or its stage, run again, would train the same cell beside it
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        sys.stdout = sys.stderr = nowhere
        train()
