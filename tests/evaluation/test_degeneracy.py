"""Predictions that carry nothing are told, with the reason; those that may carry something are not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.evaluation.degeneracy import boxes_degeneracy, finite_boxes
from pipeline.evaluation.detection import ScoredBoxes

Rows = list[tuple[float, float]]


def frame(rows: Rows, scores: list[float]) -> ScoredBoxes:
    """Boxes at x, y."""
    boxes: NDArray[np.float32] = np.ones((len(rows), 9), np.float32)
    boxes[:, :2] = np.array(rows, np.float32).reshape(-1, 2)
    return ScoredBoxes(boxes, np.zeros(len(rows), np.int64), np.array(scores, np.float32))


EMPTY = frame([], [])
VARIED = [frame([(1, 2), (3, 4)], [0.9, 0.2]), frame([(5, 1)], [0.4])]


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "there is no box"),
        ([EMPTY, EMPTY], "there is no box"),
        ([*VARIED, EMPTY, EMPTY, EMPTY], "3 of 5 frames have no box"),
        ([frame([(1, 2)], [0.5]), frame([(3, 4), (5, 6)], [0.5, 0.5])], "all boxes have the score 0.5"),
        ([frame([(1, 2)], [0.5]), frame([(3, 4)], [0.5000001])], "all boxes have the score 0.5"),
        ([frame([(1, 2), (3, 4)], [0.9, 0.2])] * 3, "the boxes are the same in every frame"),
        # Another order, millimetres of rounding, and a frame in which nothing passed the least score.
        ([frame([(1, 2), (3, 4)], [0.9, 0.2]), frame([(3.001, 4), (1, 2)], [0.9, 0.2]), EMPTY], "the same in every"),
        ([frame([(1, 2), (np.nan, 4)], [0.9, 0.2]), *VARIED], "1 of 5 boxes are not finite"),
        ([frame([(1, 2), (3, 4)], [0.9, np.inf]), *VARIED], "1 of 5 boxes are not finite"),
    ],
)
def test_reason(frames: list[ScoredBoxes], reason: str) -> None:
    assert reason in (boxes_degeneracy(frames) or "")


@pytest.mark.parametrize(
    "frames",
    [
        VARIED,
        [*VARIED, EMPTY, EMPTY],  # half of the frames are empty: an empty street
        [frame([(1, 2)], [0.5])],  # one box of one frame is like itself
        [frame([(1, 2), (3, 4)], [0.9, 0.2]), frame([(1, 2), (3, 4.1)], [0.9, 0.2])],  # a queue that moves
        [frame([(1, 2), (3, 4)], [0.9, 0.2]), frame([(1, 2)], [0.9])],
    ],
)
def test_what_may_carry_something(frames: list[ScoredBoxes]) -> None:
    assert boxes_degeneracy(frames) is None


def test_only_finite_boxes_go_on() -> None:
    (found,) = finite_boxes({"a": frame([(1, 2), (np.nan, 4), (5, 6)], [0.9, 0.2, np.nan])}).values()
    assert found.boxes[:, :2].tolist() == [[1, 2]] and len(found.classes) == len(found.scores) == 1
