"""The order in which training sees frames: a pure function of the seed."""

from collections.abc import Iterator, Sequence

import numpy as np


def batches(
    positions: Sequence[int], batch: int, steps: int, seed: int, start: int = 0
) -> Iterator[tuple[int, list[int]]]:
    """Yields `steps - start` batches, walking through a new permutation of the frames every epoch.

    What is left at the end of an epoch starts the next one's first batch, so every frame is seen once an epoch and no
    batch is short. No batch holds a frame twice.

    Args:
        positions: frame positions to train on.
        batch: frames a batch; more than there are frames means all of them.
        steps: of the whole training.
        seed: of the permutations.
        start: the first step to yield; the same batches as a run that began at step 0.

    Yields:
        (epoch, positions of the batch); the epoch in which the batch begins.

    Raises:
        ValueError: there is no frame, or `batch` is not positive.
    """
    if not positions or batch < 1:
        raise ValueError(f"cannot draw batches of {batch} from {len(positions)} frames")
    batch = min(batch, len(positions))
    queue: list[int] = []
    drawn = 0  # permutations so far
    for step in range(steps):
        epoch = drawn - 1 if queue else drawn
        if len(queue) < batch:
            shuffled = [positions[i] for i in np.random.default_rng([seed, drawn]).permutation(len(positions))]
            # Frames that are still waiting go to the end, lest a batch hold one twice.
            waiting = set(queue)
            queue += [p for p in shuffled if p not in waiting] + [p for p in shuffled if p in waiting]
            drawn += 1
        current, queue = queue[:batch], queue[batch:]
        if step >= start:
            yield epoch, current
