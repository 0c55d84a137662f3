"""Scores of any choice of scenes, a scene chosen w times counting w times, from kept evidence."""

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.evaluation.evidence import DetectionEvidence, Evidence, MapEvidence
from pipeline.evaluation.map_segmentation import HALF

RECALLS = 101  # points of the devkit's precision curve, recall 0 … 1
METRICS = {"detection": ("mAP_present",), "map": ("mIoU_best", "mIoU_calibrated", "mIoU_at_half")}


def scores(evidence: Evidence, weights: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """The headline metrics of a cell, but for NDS (errors of true positives are no part of the evidence).

    Args:
        evidence: of the cell.
        weights: int64 [R, S], how often each of the evidence's scenes was drawn.

    Returns:
        metric -> float64 [R], named and defined as in metrics.json; NaN where a choice holds no object or no true cell,
        or where no threshold was calibrated.
    """
    if weights.ndim != 2 or weights.shape[1] != len(evidence.scenes):
        raise ValueError(f"weights {weights.shape} do not fit {len(evidence.scenes)} scenes")
    return _map_scores(evidence, weights) if isinstance(evidence, MapEvidence) else _box_scores(evidence, weights)


def average_precisions(evidence: DetectionEvidence, weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """AP as the devkit's `accumulate` and `calc_ap` define it: precision at 101 recalls, linear in between.

    A scene of weight w is w scenes with the same boxes, each copy ranked right behind the other.

    Args:
        evidence: of one cell.
        weights: int64 [R, S].

    Returns:
        float64 [R, C, T]; NaN for a class without a true box, which the devkit calls 0.
    """
    bits = np.packbits(evidence.hits, axis=1, bitorder="little")[:, 0] if len(evidence.hits) else np.zeros(0, np.uint8)
    return _average_precisions(
        evidence.scene, bits, evidence.starts, weights, weights @ evidence.truth.T, len(evidence.thresholds),
        np.linspace(0, 1, RECALLS), round((RECALLS - 1) * evidence.min_recall) + 1, evidence.min_precision,
    )  # fmt: skip


def _box_scores(evidence: DetectionEvidence, weights: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    by_class = average_precisions(evidence, weights).mean(axis=2)
    return {"mAP_present": _mean(by_class), "mAP": np.nan_to_num(by_class).mean(axis=1)}


def _map_scores(evidence: MapEvidence, weights: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    shape = (len(weights), *evidence.intersection.shape[1:])
    intersection, predicted = (
        (weights @ counts.reshape(len(counts), -1)).reshape(shape)
        for counts in (evidence.intersection, evidence.predicted)
    )
    truth = weights @ evidence.truth
    union = (truth > 0)[:, :, None] * (predicted + truth[:, :, None] - intersection)  # 0 leaves an absent class out
    iou = np.divide(intersection, union, out=np.full(shape, np.nan), where=union > 0)
    half = int(np.flatnonzero(evidence.thresholds == HALF)[0])
    found = {"mIoU_best": iou[:, :, evidence.choices].max(axis=2), "mIoU_at_half": iou[:, :, half]}
    if len(evidence.calibrated):
        chosen = np.abs(evidence.thresholds - np.nan_to_num(evidence.calibrated, nan=HALF)[:, None]).argmin(axis=1)
        found["mIoU_calibrated"] = iou[:, np.arange(len(chosen)), chosen]
    return {name: _mean(values) for name, values in found.items()}


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the last axis of what is not NaN; NaN where all is."""
    known = np.isfinite(values)
    count = known.sum(axis=-1)
    total = np.where(known, values, 0.0).sum(axis=-1)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


@compiled
def _average_precisions(
    scene: NDArray[np.int32],
    bits: NDArray[np.uint8],
    starts: NDArray[np.int64],
    weights: NDArray[np.int64],
    positives: NDArray[np.int64],
    thresholds: int,
    recalls: NDArray[np.float64],
    first: int,
    floor: float,
) -> NDArray[np.float64]:
    """float64 [R, C, T]: `np.interp` of precision over recall, without the curve.

    Only true positives move the recall, so between two of them it is enough to count predictions. `bits`: bit t of a
    prediction is set where it is a true positive at threshold t.
    """
    rounds, classes = positives.shape
    result = np.full((rounds, classes, thresholds), np.nan)
    true, grid, area = np.zeros(thresholds, np.int64), np.zeros(thresholds, np.int64), np.zeros(thresholds)
    for r in range(rounds):
        weight = weights[r]
        for c in range(classes):
            total = float(positives[r, c])
            if total == 0:
                continue
            true[:], grid[:], area[:] = 0, 0, 0.0
            ranked = 0  # predictions so far
            for i in range(starts[c], starts[c + 1]):
                copies = weight[scene[i]]
                if bits[i] == 0:
                    ranked += copies
                    continue
                for _ in range(copies):
                    for t in range(thresholds):
                        if not (bits[i] >> t) & 1:
                            continue
                        high = (true[t] + 1) / total
                        if grid[t] < len(recalls) and recalls[grid[t]] < high:
                            low, after = true[t] / total, (true[t] + 1) / (ranked + 1)
                            # Left of the first point, where the best prediction is true, np.interp repeats that point.
                            before = true[t] / ranked if ranked > 0 else after
                            slope = (after - before) / (high - low)
                            while grid[t] < len(recalls) and recalls[grid[t]] < high:
                                precision = slope * (recalls[grid[t]] - low) + before
                                if grid[t] >= first and precision > floor:
                                    area[t] += precision - floor
                                grid[t] += 1
                        true[t] += 1
                    ranked += 1
            for t in range(thresholds):
                # The last point; beyond it precision is 0.
                if true[t] > 0 and grid[t] < len(recalls) and recalls[grid[t]] == true[t] / total:
                    precision = true[t] / ranked
                    if grid[t] >= first and precision > floor:
                        area[t] += precision - floor
                result[r, c, t] = area[t] / (len(recalls) - first) / (1 - floor)
    return result
