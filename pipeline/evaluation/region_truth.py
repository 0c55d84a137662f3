"""What is known about the points of a key frame: their classes and the annotated objects. Only audits read this."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.frames.box_labels import BoxLabels, box_members, read_box_labels
from pipeline.frames.index import FrameIndex
from pipeline.frames.point_labels import PointLabels, read_point_classes
from pipeline.frames.points import read_points
from pipeline.params import Dataset


@dataclass(frozen=True)
class ObjectPoints:
    """One annotated object.

    Attributes:
        category: e.g. vehicle.car.
        distance: metres from the sensor to the box's centre on x y.
        members: int64 [n], the points inside the box.
    """

    category: str
    distance: float
    members: NDArray[np.int64]


@dataclass(frozen=True)
class Truth:
    """What is known about N points.

    Attributes:
        objects: every annotated one, also those without points.
        classes: int64 [N], 0 = unlabelled; None where the frame is not labelled.
        ground: bool [classes], which of them are ground; None without `classes`.
        instances: int64 [N], equal where class and object are equal; None where that is unknown.
    """

    objects: tuple[ObjectPoints, ...]
    classes: NDArray[np.int64] | None = None
    ground: NDArray[np.bool_] | None = None
    instances: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Case:
    """A key frame and where its truth lies; small, so that it travels to worker processes.

    Attributes:
        path: sensor file.
        points: as the index counts them.
        boxes: annotated objects.
        labels: label file of the points; None where there is none.
        kind: its table.
        ground: bool [classes] of that table.
    """

    path: Path
    points: int
    boxes: BoxLabels
    labels: Path | None = None
    kind: str | None = None
    ground: NDArray[np.bool_] | None = None

    def read_points(self) -> NDArray[np.float32]:
        """float32 [N, 5], metres, LiDAR frame.

        Raises:
            UserError: the file is missing, cut off or not the one that the index knows.
        """
        points = read_points(self.path)
        if len(points) != self.points:
            raise UserError(
                f"the sweep has {len(points)} points, the index says {self.points}",
                where=str(self.path),
                remedy="the file changed since: run `dvc repro prepare`",
            )
        return points

    def read_truth(self, points: NDArray[np.float32]) -> Truth:
        """The truth about `points`, which `read_points` gave.

        Raises:
            UserError: the label file is missing, broken or of another length.
        """
        distances = np.hypot(self.boxes.lidar_from_box[:, 0, 3], self.boxes.lidar_from_box[:, 1, 3]).tolist()
        members = box_members(points, self.boxes)
        objects = tuple(map(ObjectPoints, self.boxes.categories, distances, members))
        if self.labels is None or self.kind is None or self.ground is None:
            return Truth(objects)
        known = read_point_classes(self.labels, self.kind, len(points), len(self.ground))
        return Truth(objects, known.classes, self.ground, known.instances)


def collect_cases(
    index: FrameIndex, dataset: Dataset, point_labels: str | None, positions: Sequence[int]
) -> list[Case]:
    """The cases of some frames of an index; the tables are read once for all of them.

    Args:
        index: of the dataset.
        dataset: `root` and `version`.
        point_labels: table of the point labels (see `PointLabels`), or None.
        positions: of the frames.

    Raises:
        UserError: labels of this dataset are not read; a table is missing or broken; or the point labels know none of
            all frames.
    """
    if dataset.format != "nuscenes":
        raise UserError(
            f"the annotations of {dataset.format} are not read, so there is no truth about its regions",
            where="params.yaml: dataset.format",
            remedy="leave this stage out: `dvc repro pretrain_lidar` runs all stages that need no label",
        )
    root, frames = Path(dataset.root).absolute(), [index[position] for position in positions]
    boxes = read_box_labels(root, dataset.version, frames)
    if point_labels is None:
        return [Case(root / f.lidar_path, f.points, of_it) for f, of_it in zip(frames, boxes, strict=True)]
    labels = PointLabels.open(root, dataset.version, point_labels)
    if frames and not any(index[position].lidar_token in labels.files for position in range(len(index))):
        raise UserError(
            f"the table {point_labels} labels no key frame of the index",
            where=str(root / dataset.version / f"{point_labels}.json"),
            remedy="set region_quality.point_labels to a table of this dataset, or to null",
        )
    ground = labels.ground
    return [
        Case(root / frame.lidar_path, frame.points, of_it, labels.files.get(frame.lidar_token), point_labels, ground)
        for frame, of_it in zip(frames, boxes, strict=True)
    ]
