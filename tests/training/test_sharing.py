"""Which frames of a step each device sees."""

from dataclasses import replace

import pytest

from pipeline.errors import UserError
from pipeline.params import Schedule
from pipeline.training.sharing import share_out

SCHEDULE = Schedule(epochs=1.0, steps=None, batch=8, lr=0.1, weight_decay=0.0, clip=1.0, warmup=0.3)
FRAMES = list("abcdefgh")


def shared(devices: int, gather: bool = False, micro_batch: int | None = None, frames: int = 100) -> list[list[str]]:
    """By device: its forward passes, each as its number and the letters of its frames."""
    schedule = replace(SCHEDULE, gather=gather, micro_batch=micro_batch)
    shares = [share_out(schedule, frames, rank, devices) for rank in range(devices)]
    letters = dict(enumerate(FRAMES))
    step = range(min(frames, 8))
    return [[f"{number}{''.join(letters[p] for p in own)}" for number, own in share.of(step)] for share in shares]


def test_one_device_does_all_passes_in_order() -> None:
    assert shared(1) == [["0abcdefgh"]]
    assert shared(1, micro_batch=4) == [["0abcd", "1efgh"]]
    assert shared(1, micro_batch=4, gather=True) == [["0abcd", "1efgh"]]


def test_devices_do_the_same_passes() -> None:
    assert shared(2, micro_batch=2) == [["0ab", "1cd"], ["2ef", "3gh"]]
    assert shared(4, micro_batch=2) == [["0ab"], ["1cd"], ["2ef"], ["3gh"]]


def test_devices_that_gather_share_every_micro_batch() -> None:
    assert shared(2, gather=True) == [["0abcd"], ["1efgh"]]
    assert shared(2, gather=True, micro_batch=4) == [["0ab", "2ef"], ["1cd", "3gh"]]


def test_a_dataset_smaller_than_a_batch_is_one_step() -> None:
    assert shared(1, frames=6) == [["0abcdef"]]
    assert shared(3, frames=6, micro_batch=2) == [["0ab"], ["1cd"], ["2ef"]]


@pytest.mark.parametrize(
    ("devices", "gather", "micro_batch", "frames", "problem"),
    [
        (2, False, None, 100, "2 devices cannot share the 1 micro-batch"),
        (3, False, 2, 100, "3 devices cannot share the 4 micro-batch"),
        (3, True, None, 100, "3 devices cannot share the 8 frames of a micro-batch"),
        (1, False, 4, 6, "the 6 frames of a step are no multiple of a micro-batch of 4"),
    ],
)
def test_what_does_not_come_out_even_is_refused(
    devices: int, gather: bool, micro_batch: int | None, frames: int, problem: str
) -> None:
    with pytest.raises(UserError, match=problem) as caught:
        shared(devices, gather, micro_batch, frames)
    assert "micro_batch" in caught.value.where
    assert "micro_batch" in caught.value.remedy
