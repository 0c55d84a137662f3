"""Every annotated box of the key frames, whatever its category, for audits of what was made without labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.frames.frame import Frame
from pipeline.frames.tables import DOWNLOAD, Row, by_token, read_table
from pipeline.geometry.transforms import Matrix, inverse, matrix_from_pose


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
    rows: dict[str, list[Row]] = {frame.token: [] for frame in frames}
    try:
        categories = by_token(read_table(root, version, "category"))
        instances = by_token(read_table(root, version, "instance"))
        names = {token: categories[row["category_token"]]["name"] for token, row in instances.items()}
        for row in read_table(root, version, "sample_annotation"):
            if row["sample_token"] in rows:
                rows[row["sample_token"]].append({**row, "category": names[row["instance_token"]]})
        return [_in_lidar(rows[frame.token], inverse(frame.global_from_lidar)) for frame in frames]
    except KeyError as error:
        raise UserError(
            f"the annotation tables do not belong together: nothing has the token or key {error}",
            where=str(root / version / "sample_annotation.json"),
            remedy=DOWNLOAD,
        ) from error


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


def _in_lidar(rows: list[Row], lidar_from_global: Matrix) -> BoxLabels:
    matrices = [lidar_from_global @ matrix_from_pose(row["rotation"], row["translation"]) for row in rows]
    sizes = [(row["size"][1], row["size"][0], row["size"][2]) for row in rows]  # the tables say width first
    return BoxLabels(
        tuple(row["category"] for row in rows),
        np.array(matrices, np.float64).reshape(-1, 4, 4),
        np.array(sizes, np.float64).reshape(-1, 3),
    )
