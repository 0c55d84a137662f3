"""The class of every point of a key-frame sweep, for audits of what was made without labels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.frames.tables import read_table

UNLABELLED = 0  # the class of points that nobody labelled: noise, in nuScenes
PER_CATEGORY = 1000  # nuScenes-panoptic: category * 1000 + instance
GROUND_PREFIX = "flat."  # of the categories one can stand on: driveable surface, sidewalk, terrain, other

# The 16 classes of the lidarseg challenge, in their order.
CHALLENGE_CLASSES = (
    "noise", "barrier", "bicycle", "bus", "car", "construction_vehicle", "motorcycle", "pedestrian", "traffic_cone",
    "trailer", "truck", "flat.driveable_surface", "flat.other", "flat.sidewalk", "flat.terrain", "manmade",
    "vegetation",
)  # fmt: skip
REMEDY = "unpack that part of nuScenes into the root, or `calico configure region_quality.point_labels=null`"


@dataclass(frozen=True)
class PointClasses:
    """The truth about the points of one sweep.

    Attributes:
        classes: int64 [N], index into the names of its `PointLabels`; `UNLABELLED` where nobody knows.
        instances: int64 [N], equal where class and object are equal; None where the table tells no objects.
    """

    classes: NDArray[np.int64]
    instances: NDArray[np.int64] | None


@dataclass(frozen=True)
class PointLabels:
    """Which sweeps of a dataset are labelled point by point.

    Attributes:
        kind: panoptic (npz, `data` uint16 category * 1000 + instance), lidarseg (uint8 category) or lidarseg16 (uint8
            class of `CHALLENGE_CLASSES`).
        names: by class.
        files: label file by sample_data token of the sweep.
    """

    kind: str
    names: tuple[str, ...]
    files: dict[str, Path]

    @staticmethod
    def open(root: Path, version: str, kind: str) -> "PointLabels":
        """Reads the table `<root>/<version>/<kind>.json`.

        Raises:
            UserError: the table is missing or broken, or the categories carry no index.
        """
        path = root / version / f"{kind}.json"
        if (root / version).is_dir() and not path.is_file():
            raise UserError(f"the dataset has no table {kind}", where=str(path), remedy=REMEDY)
        rows = read_table(root, version, kind)
        names = CHALLENGE_CLASSES if kind == "lidarseg16" else _category_names(root, version)
        try:
            files = {row["sample_data_token"]: root / row["filename"] for row in rows}
        except KeyError as error:
            raise UserError(f"a row of the table {kind} lacks {error}", where=str(path), remedy=REMEDY) from None
        return PointLabels(kind, names, files)

    @property
    def ground(self) -> NDArray[np.bool_]:
        """bool [classes], which ones are ground."""
        return np.array([name.startswith(GROUND_PREFIX) for name in self.names])


def read_point_classes(path: Path, kind: str, points: int, classes: int) -> PointClasses:
    """The labels of one sweep.

    Args:
        path: the label file.
        kind: as in `PointLabels`.
        points: points of the sweep.
        classes: how many classes the table knows.

    Raises:
        UserError: the file is missing, broken, of another length, or names a class that the table does not know.
    """
    try:
        stored = np.load(path)["data"] if kind == "panoptic" else np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise UserError("the point labels are missing", where=str(path), remedy=REMEDY) from None
    except Exception as error:  # numpy, zipfile and zlib raise what they like about a broken archive
        raise UserError(
            f"the point labels cannot be read: {error}", where=str(path), remedy="copy this file from the archive again"
        ) from None
    if stored.shape != (points,):
        raise UserError(
            f"{' x '.join(map(str, stored.shape))} labels for {points} points",
            where=str(path),
            remedy="the labels belong to another sweep: copy this file and the sweep from the archive again",
        )
    numbers: NDArray[np.int64] = stored.astype(np.int64)
    found = numbers // PER_CATEGORY if kind == "panoptic" else numbers
    if points and not 0 <= found.min() <= found.max() < classes:
        raise UserError(
            f"class {int(found.max())} is beyond the {classes} that the dataset knows",
            where=str(path),
            remedy="set region_quality.point_labels to the table that this file belongs to",
        )
    return PointClasses(found, numbers if kind == "panoptic" else None)


def _category_names(root: Path, version: str) -> tuple[str, ...]:
    """Names of the categories by their index in the label files."""
    rows = read_table(root, version, "category")
    try:
        names = {int(row["index"]): str(row["name"]) for row in rows}
    except (KeyError, TypeError, ValueError):
        raise UserError(
            "the categories carry no index, so the point labels cannot be read",
            where=str(root / version / "category.json"),
            remedy="take the category table of nuScenes-lidarseg, or region_quality.point_labels=null",
        ) from None
    return tuple(names.get(index, f"category {index}") for index in range(max(names, default=0) + 1))
