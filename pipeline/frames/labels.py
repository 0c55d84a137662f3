"""Boxes of the key frames in their LiDAR frame, and the token lists of the label fractions."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import feather

from pipeline.errors import UserError
from pipeline.frames.index import Frame, FrameIndex
from pipeline.frames.splits import fraction_scenes
from pipeline.frames.tables import DOWNLOAD, Row, by_token, read_table
from pipeline.geometry.boxes import BOX_FIELDS
from pipeline.geometry.transforms import inverse, matrix_from_pose, yaw_of
from pipeline.params import Dataset, Prepare

# The order of the devkit's DETECTION_NAMES.
DETECTION_CLASSES = (
    "car", "truck", "bus", "trailer", "construction_vehicle",
    "pedestrian", "motorcycle", "bicycle", "traffic_cone", "barrier",
)  # fmt: skip

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

MAX_GAP = 1.5  # seconds between neighbours for a velocity, as in the devkit's box_velocity


def build_labels(dataset: Dataset, prepare: Prepare, index: FrameIndex, out: Path) -> None:
    """Writes the labels of every frame and one token list per fraction.

    Args:
        dataset: root, table directory and the training split that the fractions are shares of.
        prepare: `fractions`.
        index: the frames.
        out: an existing directory; holds frames.feather, boxes.feather and fraction-<f>.json afterwards.

    Raises:
        UserError: an annotation table is missing or broken, or a fraction is impossible.
    """
    scenes = index.split_scenes(dataset.train_split)
    kept = {fraction: set(fraction_scenes(scenes, fraction)) for fraction in prepare.fractions}
    root = Path(dataset.root)
    rows = _detection_rows(root, dataset.version)
    boxes: list[NDArray[np.float64]] = []
    classes: list[int] = []
    points: list[int] = []
    attributes: list[str] = []
    ends: list[int] = []
    for position in range(len(index)):
        frame = index[position]
        for row in rows.get(frame.token, []):
            boxes.append(_box_in_lidar(row, frame))
            classes.append(DETECTION_CLASSES.index(row["class"]))
            points.append(row["num_lidar_pts"])
            attributes.append(row["attribute"])
        ends.append(len(boxes))
    flat = np.array(boxes, np.float32).reshape(-1)
    table = pa.table(
        {
            "box": pa.FixedSizeListArray.from_arrays(pa.array(flat), len(BOX_FIELDS)),
            "class": pa.array(classes, pa.int64()),
            "points": pa.array(points, pa.int64()),
            "attribute": pa.array(attributes, pa.string()),
        }
    )
    frames = pa.table({"token": pa.array(index.tokens, pa.string()), "last_box": pa.array(ends, pa.int64())})
    for name, content in (("boxes", table), ("frames", frames)):
        path = out / f"{name}.feather"
        feather.write_feather(content, path, compression="uncompressed", chunksize=max(1, content.num_rows))
    for fraction, names in kept.items():
        tokens = [token for token, scene in zip(index.tokens, index.scenes, strict=True) if scene in names]
        (out / _fraction_file(fraction)).write_text(json.dumps(tokens, indent=1) + "\n", encoding="utf-8")


class Labels:
    """Boxes by sample token, memory-mapped."""

    def __init__(self, path: Path) -> None:
        """See `open`."""
        self.path = path
        if not (path / "boxes.feather").is_file():
            raise UserError("there are no labels", where=str(path), remedy="run `dvc repro prepare`")
        frames = feather.read_table(path / "frames.feather", memory_map=True)
        table = feather.read_table(path / "boxes.feather", memory_map=True)
        ends = frames.column("last_box").to_pylist()
        spans = zip([0, *ends[:-1]], ends, strict=True)
        self._spans = dict(zip(frames.column("token").to_pylist(), spans, strict=True))
        flat = table.column("box").combine_chunks().flatten().to_numpy()
        self._boxes: NDArray[np.float32] = flat.reshape(-1, len(BOX_FIELDS))
        self._classes: NDArray[np.int64] = table.column("class").to_numpy()
        self._points: NDArray[np.int64] = table.column("points").to_numpy()

    @classmethod
    def open(cls, path: Path) -> "Labels":
        """Opens the directory that `build_labels` wrote.

        Raises:
            UserError: there is none.
        """
        return cls(path)

    def __reduce__(self) -> tuple[type["Labels"], tuple[Path]]:
        """A worker process opens the files itself instead of receiving a copy of them."""
        return Labels, (self.path,)

    def boxes(self, token: str) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
        """The annotated objects of one frame that belong to a detection class.

        Args:
            token: sample token.

        Returns:
            boxes: float32 [K, 9] in `BOX_FIELDS` order, LiDAR frame; an unknown velocity is zero.
            classes: int64 [K], index into `DETECTION_CLASSES`.
            points: int64 [K], LiDAR points inside, as annotated.
        """
        first, last = self._spans[token]
        return np.nan_to_num(self._boxes[first:last]), self._classes[first:last], self._points[first:last]

    def fraction(self, fraction: float) -> list[str]:
        """Sample tokens whose labels this fraction may use, in frame order.

        Raises:
            UserError: no list was written for this fraction.
        """
        path = self.path / _fraction_file(fraction)
        if not path.is_file():
            known = sorted(p.stem.removeprefix("fraction-") for p in self.path.glob("fraction-*.json"))
            raise UserError(
                f"there is no token list for the fraction {fraction:g}",
                where=str(path),
                remedy=f"add it to prepare.fractions, or use one of {', '.join(known)}",
            )
        return list(json.loads(path.read_bytes()))


def _fraction_file(fraction: float) -> str:
    return f"fraction-{fraction:g}.json"


def _detection_rows(root: Path, version: str) -> dict[str, list[Row]]:
    """Annotations of the detection classes by sample token, joined with class, attribute and global velocity."""
    annotations = read_table(root, version, "sample_annotation")
    instances = by_token(read_table(root, version, "instance"))
    categories = by_token(read_table(root, version, "category"))
    attributes = by_token(read_table(root, version, "attribute"))
    seconds = {row["token"]: row["timestamp"] * 1e-6 for row in read_table(root, version, "sample")}
    by_annotation = by_token(annotations)
    rows: dict[str, list[Row]] = {}
    try:
        for row in annotations:
            category = categories[instances[row["instance_token"]]["category_token"]]["name"]
            name = DETECTION_CLASS_OF.get(category)
            if name is None:
                continue
            attribute = attributes[row["attribute_tokens"][0]]["name"] if row["attribute_tokens"] else ""
            velocity = _velocity(row, by_annotation, seconds)
            joined = {**row, "class": name, "attribute": attribute, "velocity": velocity}
            rows.setdefault(row["sample_token"], []).append(joined)
    except KeyError as error:
        raise UserError(
            f"the annotation tables do not belong together: nothing has the token {error}",
            where=str(root / version / "sample_annotation.json"),
            remedy=DOWNLOAD,
        ) from error
    return rows


def _velocity(row: Row, annotations: dict[str, Row], seconds: dict[str, float]) -> NDArray[np.float64]:
    """Global velocity, float64 [3] in m/s, NaN where unknown: the devkit's NuScenes.box_velocity."""
    first = annotations[row["prev"]] if row["prev"] else row
    last = annotations[row["next"]] if row["next"] else row
    elapsed = seconds[last["sample_token"]] - seconds[first["sample_token"]]
    limit = 2 * MAX_GAP if row["prev"] and row["next"] else MAX_GAP
    if first is last or not 0 < elapsed <= limit:
        return np.full(3, np.nan)
    moved = np.asarray(last["translation"], np.float64) - np.asarray(first["translation"], np.float64)
    return np.asarray(moved / elapsed)


def _box_in_lidar(row: Row, frame: Frame) -> NDArray[np.float64]:
    """float64 [9] in `BOX_FIELDS` order."""
    lidar_from_global = inverse(frame.global_from_lidar)
    lidar_from_box = lidar_from_global @ matrix_from_pose(row["rotation"], row["translation"])
    width, length, height = row["size"]
    velocity = lidar_from_global[:3, :3] @ row["velocity"]
    return np.array([*lidar_from_box[:3, 3], length, width, height, yaw_of(lidar_from_box), *velocity[:2]])
