from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.frames.order import batches


@given(st.integers(1, 20), st.integers(1, 8), st.integers(0, 3), st.integers(0, 12))
def test_resuming_changes_nothing(frames: int, batch: int, seed: int, start: int) -> None:
    positions = [10 * k for k in range(frames)]
    whole = list(batches(positions, batch, 15, seed))
    assert list(batches(positions, batch, 15, seed, start=start)) == whole[start:]


@given(st.integers(1, 20), st.integers(1, 25))
def test_every_frame_once_an_epoch_and_no_batch_twice(frames: int, batch: int) -> None:
    size = min(batch, frames)
    drawn = [p for _, part in batches(range(frames), batch, 3 * frames, 1) for p in part]
    for _, part in batches(range(frames), batch, 3 * frames, 1):
        assert len(set(part)) == len(part) == size
    for epoch in range(size):
        assert Counter(drawn[epoch * frames : (epoch + 1) * frames]) == Counter(range(frames))


def test_epoch_counts_permutations() -> None:
    epochs = [epoch for epoch, _ in batches(range(6), 4, 6, 0)]
    assert epochs == [0, 0, 1, 2, 2, 3]


def test_seeds_differ() -> None:
    first, second = (list(islice(batches(range(50), 10, 5, seed), 5)) for seed in (0, 1))
    assert first != second


def test_nothing_to_draw_from() -> None:
    with pytest.raises(ValueError, match="0 frames"):
        next(batches([], 4, 1, 0))
