"""Moving objects that the LiDAR loses, or sees twice."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.frames.augmentation import generator
from pipeline.frames.disturbance import Disturbance
from pipeline.frames.frame import Frame
from pipeline.frames.reader import LabelSource
from pipeline.geometry.transforms import Matrix, inverse, transform_points
from pipeline.robustness.corruption import check_severity

Kind = Literal["dropout", "overlap"]

MOVING = 0.5  # m/s and more [ours]
DROPOUT = (1 / 3, 2 / 3, 1.0)  # share of the moving objects that are lost, rounded up [ours]
OVERLAP = (0.1, 0.25, 0.5)  # seconds that the ghost lags behind [ours]: two, five and ten turns of the sensor


@dataclass(frozen=True)
class MovingObjects(Disturbance):
    """Strikes the returns within the annotated boxes of moving objects; cameras see what they saw.

    `dropout`: some of the objects, chosen at random, lose all their returns in all sweeps of a frame. `overlap`: a late
    copy of the scan is mixed in, so every moving object has a ghost where it was before: its returns appear once more,
    behind their sweep's points, moved by -velocity x lag.
    A frame without moving objects stays as it is. An object is taken to keep its velocity through a frame's sweeps.

    Attributes:
        kind: of the two.
        severity: 1, 2 or 3.
        seed: of the choice.
        labels: where boxes and velocities come from.
    """

    kind: Kind
    severity: int
    seed: int
    labels: LabelSource

    def __post_init__(self) -> None:
        check_severity(self.severity)
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind is dropout or overlap, not {self.kind!r}")

    def sweep(self, frame: Frame, lag: float, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Disturbance.sweep`."""
        boxes = self.labels.boxes(frame.token)[0]
        boxes = boxes[np.hypot(boxes[:, 7], boxes[:, 8]) > MOVING]
        if not len(boxes):
            return points
        lidar_from_sweep = _lidar_from_sweep(frame, lag)
        placed = transform_points(lidar_from_sweep, points)
        then = boxes.copy()
        then[:, :2] -= boxes[:, 7:9] * np.float32(lag)
        owner = find_owners(placed, then)
        if self.kind == "dropout":
            return np.asarray(points[~np.isin(owner, self._lost(frame, len(then)))])
        inside = np.flatnonzero(owner >= 0)
        ghost = placed[inside]
        ghost[:, :2] -= boxes[owner[inside], 7:9] * np.float32(OVERLAP[self.severity - 1])
        return np.concatenate([points, transform_points(inverse(lidar_from_sweep), ghost)])

    def _lost(self, frame: Frame, objects: int) -> NDArray[np.int64]:
        """Which of the objects; the same in every sweep of the frame, and a heavier severity adds to them."""
        rng = generator(self.seed, 0, frame.token, "moving objects")
        return rng.permutation(objects)[: int(np.ceil(DROPOUT[self.severity - 1] * objects))]


@compiled
def find_owners(points: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.int64]:
    """int64 [N], the first of `boxes` [K, 9] that each of `points` [N, >= 3] lies in, borders included, or -1."""
    owners = np.full(len(points), -1)
    for k in range(len(boxes) - 1, -1, -1):
        x, y, z, length, width, height, yaw = boxes[k, :7]
        cos, sin = np.cos(yaw), np.sin(yaw)
        reach = length + width
        for i in range(len(points)):
            right, ahead = points[i, 0] - x, points[i, 1] - y
            if abs(right) > reach or abs(ahead) > reach or abs(points[i, 2] - z) > height / 2:
                continue
            if abs(right * cos + ahead * sin) <= length / 2 and abs(ahead * cos - right * sin) <= width / 2:
                owners[i] = k
    return owners


def _lidar_from_sweep(frame: Frame, lag: float) -> Matrix:
    """float64 [4, 4], from the sweep that lies `lag` seconds before the key frame into the key frame's LiDAR frame."""
    if lag == 0:
        return np.eye(4)
    return next(sweep.lidar_from_sweep for sweep in frame.sweeps if sweep.lag == lag)
