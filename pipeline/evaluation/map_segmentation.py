"""Intersection over union of BEV map segmentation, counted in whole cells."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.frames.maps import MAP_CLASSES

HALF = 0.5


@dataclass(frozen=True)
class MapCounts:
    """Cells counted over any number of frames; add two of them to join their frames.

    Counts are int64: a float32 sum stops growing at 2^24 cells, about 400 frames of 200 x 200.

    Attributes:
        thresholds: float64 [T], ascending.
        intersection: int64 [C, T], cells predicted (probability >= threshold) and true.
        predicted: int64 [C, T].
        truth: int64 [C].
        cells: cells seen, of one class.
    """

    thresholds: NDArray[np.float64]
    intersection: NDArray[np.int64]
    predicted: NDArray[np.int64]
    truth: NDArray[np.int64]
    cells: int

    def __add__(self, other: "MapCounts") -> "MapCounts":
        if not np.array_equal(self.thresholds, other.thresholds):
            raise ValueError("counts at different thresholds cannot be added")
        return MapCounts(
            self.thresholds,
            self.intersection + other.intersection,
            self.predicted + other.predicted,
            self.truth + other.truth,
            self.cells + other.cells,
        )

    def iou(self) -> NDArray[np.float64]:
        """float64 [C, T]; NaN where a class is neither predicted nor true."""
        union = self.predicted + self.truth[:, None] - self.intersection
        with np.errstate(invalid="ignore"):
            return np.asarray(self.intersection / union, np.float64)


@dataclass(frozen=True)
class MapPictures:
    """Maps of a few frames, kept for figures.

    Attributes:
        tokens: sample tokens, F of them.
        predicted: bool [F, C, S, S], probability at least 0.5; rows y, columns x, LiDAR frame.
        truth: bool [F, C, S, S].
    """

    tokens: tuple[str, ...]
    predicted: NDArray[np.bool_]
    truth: NDArray[np.bool_]

    def save(self, path: Path) -> None:
        """Writes bits to a compressed .npz; equal maps give equal bytes."""
        np.savez_compressed(
            path,
            tokens=np.array(self.tokens),
            predicted=np.packbits(self.predicted, axis=-1),
            truth=np.packbits(self.truth, axis=-1),
            width=np.array(self.truth.shape[-1]),
        )

    @staticmethod
    def load(path: Path) -> "MapPictures":
        """Reads what `save` wrote.

        Raises:
            UserError: the file is missing or no such archive.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                width = int(archive["width"])
                return MapPictures(
                    tuple(str(token) for token in archive["tokens"]),
                    np.unpackbits(archive["predicted"], axis=-1, count=width).astype(np.bool_),
                    np.unpackbits(archive["truth"], axis=-1, count=width).astype(np.bool_),
                )
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise UserError(
                f"the kept maps cannot be read: {error}", where=str(path), remedy="run `dvc repro` to evaluate again"
            ) from error


def count_cells(
    probabilities: NDArray[np.floating[Any]], truth: NDArray[np.generic], thresholds: list[float]
) -> MapCounts:
    """Counts one batch.

    Args:
        probabilities: [B, C, S, S] in 0..1.
        truth: [B, C, S, S], zero or not.
        thresholds: any order; 0.5 is added where it is missing, because `iou_at_half` needs it.
    """
    edges = np.unique([*thresholds, HALF])
    if probabilities.shape != truth.shape or probabilities.ndim != 4:
        raise ValueError(f"probabilities {probabilities.shape} and truth {truth.shape} must both be [B, C, S, S]")
    true = np.asarray(truth != 0)
    axes = (0, 2, 3)
    masks = [probabilities >= edge for edge in edges]
    return MapCounts(
        edges,
        np.stack([np.count_nonzero(mask & true, axis=axes) for mask in masks], axis=1).astype(np.int64),
        np.stack([np.count_nonzero(mask, axis=axes) for mask in masks], axis=1).astype(np.int64),
        np.asarray(np.count_nonzero(true, axis=axes), np.int64),
        true.size // true.shape[1],
    )


def map_metrics(counts: MapCounts, thresholds: list[float]) -> dict[str, Any]:
    """IoU of every class that occurs in the truth, and their means.

    Two numbers, never to be mixed up: `iou_at_half` uses the threshold 0.5 chosen before looking; `iou_best` takes for
    each class the threshold that is best on these very frames, an oracle that the BEV literature (BEVFusion and what
    follows it) publishes.

    Args:
        counts: of the whole split.
        thresholds: the oracle's choices.

    Returns:
        mIoU_best, mIoU_at_half, iou_best, best_threshold and iou_at_half by class, iou by class and threshold;
        `absent`, the classes without a true cell, which are left out of all of these; `degenerate`, true where every
        class is predicted in all cells or in none at every threshold. Means are None if no class occurs.
    """
    iou = counts.iou()
    half = int(np.flatnonzero(counts.thresholds == HALF)[0])
    chosen = [index for index, edge in enumerate(counts.thresholds) if edge in thresholds]
    present = [index for index in range(len(MAP_CLASSES)) if counts.truth[index] > 0]
    best = {index: chosen[int(np.argmax(iou[index, chosen]))] for index in present}
    constant = (counts.predicted == 0) | (counts.predicted == counts.cells)
    return {
        "mIoU_best": float(np.mean([iou[index, best[index]] for index in present])) if present else None,
        "mIoU_at_half": float(np.mean([iou[index, half] for index in present])) if present else None,
        "iou_best": {MAP_CLASSES[index]: float(iou[index, best[index]]) for index in present},
        "best_threshold": {MAP_CLASSES[index]: float(counts.thresholds[best[index]]) for index in present},
        "iou_at_half": {MAP_CLASSES[index]: float(iou[index, half]) for index in present},
        "iou": {
            MAP_CLASSES[index]: {f"{counts.thresholds[t]:g}": float(iou[index, t]) for t in chosen} for index in present
        },
        "absent": [MAP_CLASSES[index] for index in range(len(MAP_CLASSES)) if index not in present],
        "degenerate": bool(constant.all()),
    }
