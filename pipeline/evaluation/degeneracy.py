"""Boxes that carry nothing: their scores mean nothing either, however they come out."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.detection import ScoredBoxes

SAME = 0.01  # metres and the like: boxes closer than this in every value are the same
ALIKE = 1e-6  # scores closer than this are the same; a network that ignores its input still rounds


def boxes_degeneracy(predictions: Sequence[ScoredBoxes]) -> str | None:
    """Why the boxes of a split carry nothing; None where they may carry something.

    Args:
        predictions: of every frame, LiDAR frame.

    Returns:
        The first that holds: values that are not finite; no box at all; frames without a box in the majority; one
        score for all boxes; the same boxes in every frame that has some.
    """
    broken = sum(len(frame.scores) - int(_is_finite(frame).sum()) for frame in predictions)
    total = sum(len(frame.scores) for frame in predictions)
    if broken:
        return f"{broken} of {total} boxes are not finite"
    if total == 0:
        return "there is no box"
    filled = [frame for frame in predictions if len(frame.scores)]
    if 2 * len(filled) < len(predictions):
        return f"{len(predictions) - len(filled)} of {len(predictions)} frames have no box"
    scores = np.concatenate([frame.scores for frame in filled])
    if total > 1 and np.ptp(scores) < ALIKE:
        return f"all boxes have the score {scores[0]:.3g}"
    if len(filled) > 1 and all(_same_boxes(frame, filled[0]) for frame in filled[1:]):
        return "the boxes are the same in every frame, seen from the sensor"
    return None


def finite_boxes(predictions: Mapping[str, ScoredBoxes]) -> dict[str, ScoredBoxes]:
    """Sample token -> its boxes without those that are not finite, which no submission can hold."""
    return {
        token: ScoredBoxes(frame.boxes[kept], frame.classes[kept], frame.scores[kept])
        for token, frame in predictions.items()
        for kept in [_is_finite(frame)]
    }


def _is_finite(frame: ScoredBoxes) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(frame.boxes).all(axis=1) & np.isfinite(frame.scores), np.bool_)


def _same_boxes(frame: ScoredBoxes, other: ScoredBoxes) -> bool:
    """Whether each box has its like in the other frame; their order may differ, as equal scores may rank either way."""
    if frame.boxes.shape != other.boxes.shape:
        return False
    apart = np.abs(frame.boxes[:, None, :3] - other.boxes[None, :, :3]).max(axis=2)
    return bool((apart.min(axis=1) < SAME).all())
