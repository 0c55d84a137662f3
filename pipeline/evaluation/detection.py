"""Predicted boxes as a nuScenes detection submission."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.frames.labels import DETECTION_CLASSES
from pipeline.geometry.boxes import transform_boxes
from pipeline.geometry.transforms import Matrix, inverse

MAX_BOXES = 500  # a sample; the devkit and the official server refuse more

SMALLEST = 0.001  # metres; the devkit fails on a box without extent, and lengths are rounded to this
MOVING_SPEED = 0.2  # m/s; the rule of mmdetection3d, BEVFusion and most published submissions
MOVING = {
    "car": "vehicle.moving",
    "truck": "vehicle.moving",
    "bus": "vehicle.moving",
    "trailer": "vehicle.moving",
    "construction_vehicle": "vehicle.moving",
    "pedestrian": "pedestrian.moving",
    "motorcycle": "cycle.with_rider",
    "bicycle": "cycle.with_rider",
    "traffic_cone": "",
    "barrier": "",
}
STANDING = {
    "car": "vehicle.parked",
    "truck": "vehicle.parked",
    "bus": "vehicle.stopped",
    "trailer": "vehicle.parked",
    "construction_vehicle": "vehicle.parked",
    "pedestrian": "pedestrian.standing",
    "motorcycle": "cycle.without_rider",
    "bicycle": "cycle.without_rider",
    "traffic_cone": "",
    "barrier": "",
}


@dataclass(frozen=True)
class ScoredBoxes:
    """The predictions of one frame.

    Attributes:
        boxes: float32 [K, 9] in `BOX_FIELDS` order, LiDAR frame.
        classes: int64 [K], index into `DETECTION_CLASSES`.
        scores: float32 [K].
    """

    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    scores: NDArray[np.float32]


class Posed(Protocol):
    """What is needed of a `pipeline.frames.index.Frame`."""

    @property
    def token(self) -> str:
        """The sample token."""

    @property
    def global_from_lidar(self) -> Matrix:
        """float64 [4, 4]."""


def build_submission(
    frames: Sequence[Posed], predictions: Mapping[str, ScoredBoxes], *, camera: bool
) -> dict[str, Any]:
    """A detection submission in the format of nuscenes.org/object-detection.

    Boxes are written in the global frame with a rotation about the vertical axis, the only one that the devkit scores.
    Of more than `MAX_BOXES` boxes the best are kept.

    Args:
        frames: every frame of the split, in the order of the file. A frame without predictions gets an empty list.
        predictions: sample token -> boxes in the LiDAR frame.
        camera: whether the model saw images; declared in the submission.

    Returns:
        {"meta": ..., "results": {sample token: [box, ...]}}, ready for JSON; lengths are rounded to millimetres.

    Raises:
        ValueError: a prediction is of none of `frames`, or not finite.
    """
    strays = set(predictions) - {frame.token for frame in frames}
    if strays:
        raise ValueError(f"predictions of {len(strays)} samples outside the split, e.g. {min(strays)}")
    meta = {"use_camera": camera, "use_lidar": True, "use_radar": False, "use_map": False, "use_external": False}
    results = {frame.token: _sample_results(frame, predictions.get(frame.token)) for frame in frames}
    return {"meta": meta, "results": results}


def read_submission(submission: Mapping[str, Any], frame: Posed) -> ScoredBoxes:
    """The boxes of one frame, back in its LiDAR frame; the inverse of `build_submission` up to its rounding."""
    rows = submission["results"].get(frame.token, [])
    boxes = np.zeros((len(rows), 9), np.float32)
    for box, row in zip(boxes, rows, strict=True):
        (width, length, height), (w, _, _, z) = row["size"], row["rotation"]
        box[:] = [*row["translation"], length, width, height, 2 * np.arctan2(z, w), *row["velocity"]]
    return ScoredBoxes(
        transform_boxes(inverse(frame.global_from_lidar), boxes),
        np.array([DETECTION_CLASSES.index(row["detection_name"]) for row in rows], np.int64),
        np.array([row["detection_score"] for row in rows], np.float32),
    )


def attribute_of(name: str, speed: float) -> str:
    """The attribute that the velocity rule gives to a box of class `name` moving at `speed` m/s; may be empty."""
    return (MOVING if speed > MOVING_SPEED else STANDING)[name]


def _sample_results(frame: Posed, predicted: ScoredBoxes | None) -> list[dict[str, Any]]:
    if predicted is None:
        return []
    if not (np.isfinite(predicted.boxes).all() and np.isfinite(predicted.scores).all()):
        raise ValueError(f"the predictions of sample {frame.token} are not finite")
    order = np.argsort(-predicted.scores, kind="stable")[:MAX_BOXES]
    boxes = transform_boxes(frame.global_from_lidar, predicted.boxes[order]).astype(np.float64)
    rows = []
    for box, label, score in zip(boxes, predicted.classes[order], predicted.scores[order], strict=True):
        name = DETECTION_CLASSES[int(label)]
        x, y, z, length, width, height, yaw, vx, vy = (float(value) for value in box)
        rows.append(
            {
                "sample_token": frame.token,
                "translation": [round(x, 3), round(y, 3), round(z, 3)],
                "size": [max(round(side, 3), SMALLEST) for side in (width, length, height)],
                "rotation": [round(float(np.cos(yaw / 2)), 6), 0.0, 0.0, round(float(np.sin(yaw / 2)), 6)],
                "velocity": [round(vx, 3), round(vy, 3)],
                "detection_name": name,
                "detection_score": round(float(score), 5),
                "attribute_name": attribute_of(name, float(np.hypot(vx, vy))),
            }
        )
    return rows
