"""Every annotated box of the key frames, whatever its category, for audits of what was made without labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.frames.frame import Frame
from pipeline.frames.tables import DOWNLOAD, by_token, numbers, read_columns, read_table
from pipeline.geometry.transforms import inverse, matrix_from_pose

_BOX = pa.schema(
    [(name, pa.string()) for name in ("sample_token", "instance_token")]
    + [(name, pa.list_(pa.float64(), size)) for name, size in (("translation", 3), ("size", 3), ("rotation", 4))]
)


@dataclass(frozen=True)
class BoxLabels:
    """The annotated objects of one frame.

    Attributes:
        categories: [K] names, e.g. vehicle.car.
        lidar_from_box: float64 [K, 4, 4]; the box frame is x ahead, y left, z up, its origin the centre.
        size: float64 [K, 3], metres: length, width, height.
    """

    categories: tuple[str, ...]
    lidar_from_box: NDArray[np.float64]
    size: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.categories)


def read_box_labels(root: Path, version: str, frames: Sequence[Frame]) -> list[BoxLabels]:
    """The annotated objects of each of `frames`; reads the annotation tables once for all of them.

    Boxes keep their roll and pitch against the sensor: `pipeline.frames.labels` has yaw only, and detection classes.

    Raises:
        UserError: a table is missing or broken.
    """
    categories = by_token(read_table(root, version, "category", "token", "name"))
    instances = by_token(read_table(root, version, "instance", "token", "category_token"))
    position_of = {frame.token: position for position, frame in enumerate(frames)}
    rows = read_columns(root, version, "sample_annotation", _BOX, keep=lambda row: row["sample_token"] in position_of)
    try:
        names = {token: categories[row["category_token"]]["name"] for token, row in instances.items()}
        named = [names[token] for token in rows["instance_token"].to_pylist()]
    except KeyError as error:
        raise UserError(
            f"the annotation tables do not belong together: nothing has the token {error}",
            where=str(root / version / "sample_annotation.json"),
            remedy=DOWNLOAD,
        ) from error
    global_from_box = matrix_from_pose(numbers(rows["rotation"]), numbers(rows["translation"]))
    size = numbers(rows["size"])[:, [1, 0, 2]]  # the tables say width first
    rows_of: list[list[int]] = [[] for _ in frames]
    for row, sample in enumerate(rows["sample_token"].to_pylist()):
        rows_of[position_of[sample]].append(row)
    return [
        BoxLabels(tuple(named[row] for row in own), inverse(frame.global_from_lidar) @ global_from_box[own], size[own])
        for frame, own in zip(frames, rows_of, strict=True)
    ]


def box_members(points: NDArray[np.float32], boxes: BoxLabels) -> list[NDArray[np.int64]]:
    """Which points lie inside each box, borders included.

    Args:
        points: [N, >= 3], metres, LiDAR frame.
        boxes: K boxes.

    Returns:
        K ascending arrays of rows of `points`.
    """
    xyz = points[:, :3].astype(np.float64)
    order = np.argsort(xyz[:, 0], kind="stable")
    sorted_x = xyz[order, 0]
    members = []
    for matrix, size in zip(boxes.lidar_from_box, boxes.size, strict=True):
        # Only points as near in x as the box's corner can be are looked at.
        reach = float(np.linalg.norm(size)) / 2 + 1e-6
        first, last = np.searchsorted(sorted_x, [matrix[0, 3] - reach, matrix[0, 3] + reach])
        near = order[first:last]
        near = near[np.abs(xyz[near, 1] - matrix[1, 3]) <= reach]
        local = (xyz[near] - matrix[:3, 3]) @ matrix[:3, :3]
        members.append(np.sort(near[(np.abs(local) <= size / 2).all(axis=1)]))
    return members
