"""Reads the annotation tables into columns, joined with what their rows name."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.frames.index import FrameIndex
from pipeline.frames.tables import DOWNLOAD, Row, by_token, find_rows, numbers, read_columns, read_table
from pipeline.params import Dataset
from pipeline.params.classes import DETECTION_CLASSES

# The devkit's category_to_detection_name; written out because importing the devkit takes seconds (a test compares).
DETECTION_CLASS_OF = {
    "movable_object.barrier": "barrier",
    "movable_object.trafficcone": "traffic_cone",
    "vehicle.bicycle": "bicycle",
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.car": "car",
    "vehicle.construction": "construction_vehicle",
    "vehicle.motorcycle": "motorcycle",
    "vehicle.trailer": "trailer",
    "vehicle.truck": "truck",
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "human.pedestrian.police_officer": "pedestrian",
}

_TEXTS = ("token", "sample_token", "instance_token", "prev", "next")
_ANNOTATION = pa.schema(
    [(name, pa.string()) for name in _TEXTS]
    + [(name, pa.list_(pa.float64(), size)) for name, size in (("translation", 3), ("size", 3), ("rotation", 4))]
    + [("num_lidar_pts", pa.int64()), ("attribute_tokens", pa.list_(pa.string()))]
)
MAX_GAP = 1.5  # seconds between neighbours for a velocity, as in the devkit's box_velocity


@dataclass(frozen=True)
class Annotations:
    """The annotations of the detection classes, A of them in the order of their table, joined with what they name.

    Attributes:
        frames: int64 [A], position in the index.
        classes: int64 [A], index into `DETECTION_CLASSES`.
        points: int64 [A], LiDAR points inside.
        attributes: text [A], the first attribute or "".
        translation: float64 [A, 3], metres, global; likewise rotation [A, 4] and size [A, 3] (width, length, height).
        velocity: float64 [A, 3], m/s, global; NaN where unknown.
    """

    frames: NDArray[np.int64]
    classes: NDArray[np.int64]
    points: NDArray[np.int64]
    attributes: pa.Array
    translation: NDArray[np.float64]
    rotation: NDArray[np.float64]
    size: NDArray[np.float64]
    velocity: NDArray[np.float64]


def no_annotations() -> Annotations:
    """Those of a dataset whose labels are not read."""
    whole, rows = np.empty(0, np.int64), [np.empty((0, width)) for width in (3, 4, 3, 3)]
    return Annotations(whole, whole, whole, pa.array([], pa.string()), *rows)


def has_annotations(dataset: Dataset) -> bool:
    """Whether the tables hold an annotated object; those of the official test set do not.

    True as well where there is no such table: what opens it says what is wrong.
    """
    table = Path(dataset.root, dataset.version, "sample_annotation.json")
    if not table.is_file():
        return True
    with table.open("rb") as file:
        return b"{" in file.read(1024)


def read_annotations(dataset: Dataset, index: FrameIndex) -> Annotations:
    """The annotations of the detection classes of every frame; the table's text is never in memory as a whole.

    Raises:
        UserError: a table is missing or broken, or a link points nowhere.
    """
    root, version = Path(dataset.root), dataset.version
    where = str(root / version / "sample_annotation.json")

    def dangling(token: object) -> UserError:
        problem = f"the annotation tables do not belong together: nothing has the token {token!r}"
        return UserError(problem, where=where, remedy=DOWNLOAD)

    categories = by_token(read_table(root, version, "category", "token", "name"))
    names = {
        token: row["name"] for token, row in by_token(read_table(root, version, "attribute", "token", "name")).items()
    }
    instances = read_table(root, version, "instance", "token", "category_token")
    try:
        category_of = {row["token"]: categories[row["category_token"]]["name"] for row in instances}
    except KeyError as error:
        raise dangling(error.args[0]) from None

    def is_detection(row: Row) -> bool:
        if row["instance_token"] not in category_of:
            raise dangling(row["instance_token"])
        return category_of[row["instance_token"]] in DETECTION_CLASS_OF

    rows = read_columns(root, version, "sample_annotation", _ANNOTATION, keep=is_detection)
    frames = find_rows(rows["sample_token"], among=pa.chunked_array([index.tokens], pa.string()))
    before, after = (find_rows(rows[link], among=rows["token"]) for link in ("prev", "next"))
    for places, column, optional in ((frames, "sample_token", False), (before, "prev", True), (after, "next", True)):
        for row in np.flatnonzero(places < 0).tolist():
            if token := rows[column][row].as_py() or not optional:
                raise dangling(token)
    try:
        attributes = [names[tokens[0]] if tokens else "" for tokens in rows["attribute_tokens"].to_pylist()]
    except KeyError as error:
        raise dangling(error.args[0]) from None
    classes = {token: DETECTION_CLASSES.index(DETECTION_CLASS_OF[name]) for token, name in category_of.items()
               if name in DETECTION_CLASS_OF}  # fmt: skip
    translation = numbers(rows["translation"])
    return Annotations(
        frames=frames,
        classes=np.array([classes[token] for token in rows["instance_token"].to_pylist()], np.int64),
        points=numbers(rows["num_lidar_pts"]),
        attributes=pa.array(attributes, pa.string()),
        translation=translation,
        rotation=numbers(rows["rotation"]),
        size=numbers(rows["size"]),
        velocity=_velocities(translation, index.timestamps[frames] * 1e-6, before, after),
    )


def _velocities(
    translation: NDArray[np.float64], seconds: NDArray[np.float64], before: NDArray[np.int64], after: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Global velocities, float64 [A, 3] in m/s, NaN where unknown: the devkit's NuScenes.box_velocity.

    Args:
        before: row of the annotation before this one, -1 where there is none; likewise `after`.
    """
    own = np.arange(len(translation))
    first, last = np.where(before < 0, own, before), np.where(after < 0, own, after)
    elapsed = seconds[last] - seconds[first]
    limit = np.where((before >= 0) & (after >= 0), 2 * MAX_GAP, MAX_GAP)
    known = (first != last) & (elapsed > 0) & (elapsed <= limit)
    moved = translation[last] - translation[first]
    return np.where(known[:, None], moved / np.where(known, elapsed, 1)[:, None], np.nan)
