"""Boxes of the key frames in their LiDAR frame, and the token lists of the label fractions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import feather

from pipeline.errors import UserError
from pipeline.frames.annotation_labels import (
    DETECTION_CLASS_OF,
    Annotations,
    has_annotations,
    no_annotations,
    read_annotations,
)
from pipeline.frames.index import FrameIndex
from pipeline.frames.label_lists import check_lists, committed_lists, ledger
from pipeline.frames.splits import fraction_scenes
from pipeline.geometry.boxes import BOX_FIELDS
from pipeline.geometry.transforms import inverse, matrix_from_pose
from pipeline.params import Dataset, Prepare
from pipeline.params.classes import DETECTION_CLASSES

__all__ = ["DETECTION_CLASSES", "DETECTION_CLASS_OF", "Labels", "build_labels"]

LEDGER = "fractions.json"  # scenes, frames and digests of every token list
_SLICE = 1 << 16  # boxes that are moved at once


def build_labels(dataset: Dataset, prepare: Prepare, index: FrameIndex, out: Path) -> None:
    """Writes the labels of every frame and one token list per fraction; of Argoverse 2 no labels are read.

    Tables without a single annotation, those of the official test set, give labels without boxes and no token list.

    Args:
        dataset: root, table directory and the training split that the fractions are shares of.
        prepare: `fractions`.
        index: the frames.
        out: an existing directory; holds frames.feather, boxes.feather, fraction-<f>.json and `LEDGER` afterwards.

    Raises:
        UserError: an annotation table is missing or broken, or a fraction is impossible; or a fraction is asked of a
            dataset whose labels are not read; or the scenes of a fraction are not those committed for this dataset.
    """
    if dataset.format != "nuscenes" and prepare.fractions:
        raise UserError(
            f"the labels of {dataset.format} are not read, so no fraction of them can be chosen",
            where="prepare.fractions",
            remedy="run `calico configure prepare.fractions=[] finetune.trials=[]`: pre-training needs no label",
        )
    annotated = has_annotations(dataset)
    scenes = index.split_scenes(dataset.train_split) if annotated else []
    kept = {fraction: set(fraction_scenes(scenes, fraction)) for fraction in prepare.fractions if annotated}
    if annotated and (committed := committed_lists(dataset)):
        check_lists(committed, dataset.train_split, scenes, kept)
    rows = read_annotations(dataset, index) if dataset.format == "nuscenes" else no_annotations()
    order = np.argsort(rows.frames, kind="stable")  # frame by frame, as the table has them within one
    slices = [order[first : first + _SLICE] for first in range(0, len(order), _SLICE)]
    boxes = [_boxes_in_lidar(rows, part, index).astype(np.float32).reshape(-1) for part in slices]
    table = pa.table(
        {
            "box": pa.FixedSizeListArray.from_arrays(
                pa.array(np.concatenate([np.empty(0, np.float32), *boxes])), len(BOX_FIELDS)
            ),
            "class": pa.array(rows.classes[order]),
            "points": pa.array(rows.points[order]),
            "attribute": rows.attributes.take(pa.array(order)),
        }
    )
    ends = np.cumsum(np.bincount(rows.frames, minlength=len(index)))
    frames = pa.table({"token": pa.array(index.tokens, pa.string()), "last_box": pa.array(ends, pa.int64())})
    for name, content in (("boxes", table), ("frames", frames)):
        path = out / f"{name}.feather"
        feather.write_feather(content, path, compression="uncompressed", chunksize=max(1, content.num_rows))
    frames_of = list(zip(index.tokens, index.scenes, strict=True))
    tokens = {fraction: [token for token, scene in frames_of if scene in names] for fraction, names in kept.items()}
    for fraction, own in tokens.items():
        (out / _fraction_file(fraction)).write_text(json.dumps(own, indent=1) + "\n", encoding="utf-8")
    (out / LEDGER).write_text(json.dumps(ledger(kept, tokens), indent=1) + "\n", encoding="utf-8")


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

    def ledger(self) -> dict[str, dict[str, Any]]:
        """What each fraction may use, see `pipeline.frames.label_lists.ledger`.

        Raises:
            UserError: the file is missing or broken.
        """
        path = self.path / LEDGER
        try:
            return dict(json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            problem = f"the ledger of the label fractions cannot be read: {error}"
            raise UserError(problem, where=str(path), remedy="run `dvc repro prepare`") from error

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


def _boxes_in_lidar(rows: Annotations, part: NDArray[np.int64], index: FrameIndex) -> NDArray[np.float64]:
    """float64 [len(part), 9] in `BOX_FIELDS` order."""
    lidar_from_global = inverse(index.global_from_lidar[rows.frames[part]])
    lidar_from_box = lidar_from_global @ matrix_from_pose(rows.rotation[part], rows.translation[part])
    yaw = np.arctan2(lidar_from_box[:, 1, 0], lidar_from_box[:, 0, 0])
    velocity = (lidar_from_global[:, :3, :3] @ rows.velocity[part, :, None])[:, :2, 0]
    return np.concatenate([lidar_from_box[:, :3, 3], rows.size[part][:, [1, 0, 2]], yaw[:, None], velocity], axis=1)
