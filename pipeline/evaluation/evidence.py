"""What a score was counted from, scene by scene, so that it can be counted again on any choice of scenes.

Stage `evaluate` writes one file beside each cell; the bootstrap and the report read it. Arrays only, no pickle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.evaluation.map_segmentation import MapCounts

EVIDENCE = "evidence.npz"  # beside the metrics of a cell
DETECTION, MAP = "detection", "map"


@dataclass(frozen=True)
class DetectionEvidence:
    """Predictions in the devkit's ranking and which of them are true positives, class after class.

    Attributes:
        scenes: S scene names of the split, sorted.
        thresholds: float64 [T], metres between centres below which a prediction is a true positive.
        truth: int64 [C, S], true boxes by class (order of `DETECTION_CLASSES`) and scene, after the devkit's filters.
        starts: int64 [C + 1], where the predictions of each class start among the N.
        scene: int32 [N], position in `scenes`.
        score: float32 [N], descending within a class.
        hits: bool [N, T].
        min_recall: below it the devkit does not count precision.
        min_precision: what the devkit subtracts.
    """

    scenes: tuple[str, ...]
    thresholds: NDArray[np.float64]
    truth: NDArray[np.int64]
    starts: NDArray[np.int64]
    scene: NDArray[np.int32]
    score: NDArray[np.float32]
    hits: NDArray[np.bool_]
    min_recall: float
    min_precision: float

    def save(self, path: Path) -> None:
        """Writes a compressed .npz; equal evidence gives equal bytes."""
        _save(path, DETECTION, {**vars(self), "hits": np.packbits(self.hits, axis=1)})


@dataclass(frozen=True)
class MapEvidence:
    """Cells of BEV maps counted scene by scene.

    Attributes:
        scenes: S scene names of the split, sorted.
        thresholds: float64 [T], probabilities, ascending.
        choices: bool [T], those that the oracle number may choose from.
        calibrated: float64 [C], the threshold of each class that training frames chose, NaN (it stands for 0.5) where
            they could not; float64 [0] where nothing was calibrated.
        intersection: int64 [S, C, T], cells predicted and true.
        predicted: int64 [S, C, T].
        truth: int64 [S, C].
    """

    scenes: tuple[str, ...]
    thresholds: NDArray[np.float64]
    choices: NDArray[np.bool_]
    calibrated: NDArray[np.float64]
    intersection: NDArray[np.int64]
    predicted: NDArray[np.int64]
    truth: NDArray[np.int64]

    @staticmethod
    def of(
        counts: Mapping[str, MapCounts], choices: Sequence[float], calibrated: NDArray[np.float64] | None = None
    ) -> "MapEvidence":
        """From the counts of every scene by its name; all at the same thresholds.

        Args:
            counts: scene name -> counts over its frames.
            choices: thresholds that the oracle number may choose from.
            calibrated: float64 [C], see above; None where nothing was calibrated.
        """
        scenes = tuple(sorted(counts))
        rows = [counts[name] for name in scenes]
        thresholds = rows[0].thresholds
        if any(not np.array_equal(row.thresholds, thresholds) for row in rows):
            raise ValueError("counts at different thresholds cannot be joined")
        return MapEvidence(
            scenes,
            thresholds,
            np.isin(thresholds, choices),
            np.zeros(0) if calibrated is None else calibrated,
            np.stack([row.intersection for row in rows]),
            np.stack([row.predicted for row in rows]),
            np.stack([row.truth for row in rows]),
        )

    def save(self, path: Path) -> None:
        """Writes a compressed .npz; equal evidence gives equal bytes."""
        _save(path, MAP, vars(self))


Evidence = DetectionEvidence | MapEvidence


def read_evidence(path: Path) -> Evidence:
    """Reads what `save` wrote.

    Raises:
        UserError: the file is missing or not of that form.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            values: dict[str, Any] = {name: archive[name] for name in archive.files}
        kind = str(values.pop("kind"))
        values["scenes"] = tuple(str(name) for name in values["scenes"])
        if kind == MAP:
            return MapEvidence(**values)
        count = len(values["thresholds"])
        values["hits"] = np.unpackbits(values["hits"], axis=1, count=count).astype(np.bool_)
        values |= {name: float(values[name]) for name in ("min_recall", "min_precision")}
        return DetectionEvidence(**values)
    except (OSError, ValueError, KeyError, TypeError, IndexError, BadZipFile) as error:
        remedy = "run `dvc repro` to evaluate again"
        raise UserError(f"the evidence of a score cannot be read: {error}", where=str(path), remedy=remedy) from error


def _save(path: Path, kind: str, values: Mapping[str, Any]) -> None:
    np.savez_compressed(path, kind=np.array(kind), **{name: np.array(value) for name, value in values.items()})
