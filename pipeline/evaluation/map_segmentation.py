"""Intersection over union of BEV map segmentation, counted in whole cells."""

from collections.abc import Mapping, Sequence
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

    def best_thresholds(self, allowed: Sequence[float]) -> NDArray[np.float64]:
        """float64 [C]: of the thresholds `allowed` the one with the best IoU on these cells, of equal ones the lowest.

        NaN for a class without a true cell: nothing tells its threshold.
        """
        chosen = np.flatnonzero(np.isin(self.thresholds, allowed))
        best = self.thresholds[chosen[np.argmax(np.nan_to_num(self.iou()[:, chosen]), axis=1)]]
        return np.where(self.truth > 0, best, np.nan)


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

    @staticmethod
    def of(maps: Mapping[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]) -> "MapPictures":
        """From (predicted, truth), bool [C, S, S] each, by sample token; there may be none."""
        nothing = np.zeros((0, len(MAP_CLASSES), 0, 0), np.bool_)
        predicted, truth = (np.stack([of[which] for of in maps.values()]) if maps else nothing for which in (0, 1))
        return MapPictures(tuple(maps), predicted, truth)

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
    probabilities: NDArray[np.floating[Any]], truth: NDArray[np.generic], thresholds: Sequence[float]
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


def map_metrics(
    scenes: Mapping[str, MapCounts], thresholds: Sequence[float], calibrated: NDArray[np.float64] | None = None
) -> dict[str, Any]:
    """IoU of every class that occurs in the truth, over the cells of all scenes, and their means.

    Three numbers, never to be mixed up. `iou_best` takes for each class the threshold that is best on these very
    frames: an oracle, which the BEV literature (BEVFusion and what follows it) publishes. `iou_calibrated` takes the
    one that was best on labelled training frames, so nothing was chosen on validation. `iou_at_half` takes 0.5.

    Args:
        scenes: scene name -> its counts; the whole split.
        thresholds: the choices of the oracle and of the calibration.
        calibrated: float64 [C], `MapCounts.best_thresholds` of training frames; where it is NaN, 0.5 is taken. None
            leaves the calibrated numbers out.

    Returns:
        mIoU_best, mIoU_calibrated and mIoU_at_half; iou_best, iou_calibrated, iou_at_half, best_threshold and
        calibrated_threshold by class; iou by class and threshold; `absent`, the classes without a true cell, which are
        left out of all of these; `degenerate`, see `maps_degeneracy`. Means are None if no class occurs.
    """
    counts = total_counts(scenes)
    iou = counts.iou()
    present = [index for index in range(len(MAP_CLASSES)) if counts.truth[index] > 0]
    choices = {"best": counts.best_thresholds(thresholds), "at_half": np.full(len(MAP_CLASSES), HALF)}
    if calibrated is not None:
        choices["calibrated"] = np.where(np.isnan(calibrated), HALF, calibrated)
    metrics: dict[str, Any] = {}
    for choice, edges in choices.items():
        columns = {index: int(np.abs(counts.thresholds - edges[index]).argmin()) for index in present}
        chosen = {MAP_CLASSES[index]: float(iou[index, column]) for index, column in columns.items()}
        metrics[f"iou_{choice}"] = chosen
        metrics[f"mIoU_{choice}"] = float(np.mean(list(chosen.values()))) if present else None
        if choice != "at_half":
            metrics[f"{choice}_threshold"] = {MAP_CLASSES[index]: float(edges[index]) for index in present}
    every = [t for t, edge in enumerate(counts.thresholds) if edge in thresholds]
    return metrics | {
        "iou": {
            MAP_CLASSES[index]: {f"{counts.thresholds[t]:g}": float(iou[index, t]) for t in every} for index in present
        },
        "absent": [MAP_CLASSES[index] for index in range(len(MAP_CLASSES)) if index not in present],
        "degenerate": maps_degeneracy(scenes),
    }


def total_counts(scenes: Mapping[str, MapCounts]) -> MapCounts:
    """The counts over all scenes; there must be one."""
    first, *rest = scenes.values()
    return sum(rest, first)


def maps_degeneracy(scenes: Mapping[str, MapCounts]) -> str | None:
    """Why the maps carry nothing; None where they may carry something.

    The first that holds: every class predicted in all cells or in none at every threshold (what is not finite counts as
    not predicted); in each of several scenes the same share of cells of every class at every threshold, which maps
    have in common only if all of them are the same.
    """
    counts = total_counts(scenes)
    if ((counts.predicted == 0) | (counts.predicted == counts.cells)).all():
        return "every class is predicted everywhere or nowhere"
    same = all((of.predicted * counts.cells == counts.predicted * of.cells).all() for of in scenes.values())
    return "the map is the same in every scene, seen from the sensor" if same and len(scenes) > 1 else None
