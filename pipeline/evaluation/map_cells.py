"""Map IoU of every map model of an arm: at the oracle's thresholds, and at those that training frames chose."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.evaluation.evaluated_arm import EvaluatedArm, cells_of
from pipeline.evaluation.evidence import EVIDENCE, MapEvidence
from pipeline.evaluation.map_segmentation import map_metrics, total_counts
from pipeline.evaluation.record import KEPT_FRAMES, MAPS, parse_cell, spread
from pipeline.frames.labels import Labels


def score_maps(arm: EvaluatedArm, labels: Labels, out: Path) -> dict[str, dict[str, Any]]:
    """Counts and scores.

    A model's calibrated thresholds come from labelled training frames of its own fraction, so that a number at 5 % of
    the labels has used no more of them.

    Args:
        arm: the models and frames.
        labels: token lists of the fractions.
        out: folder of the arm's results; gets evidence and the maps of a few frames a cell. Rank 0 writes.

    Returns:
        Cell -> numbers (see `map_metrics`); nothing but on rank 0.

    Raises:
        UserError: a checkpoint is missing or does not fit, or there is no token list for its fraction.
    """
    cells = cells_of(arm.params, "map")
    if not cells:
        return {}
    models, thresholds = arm.open_models(cells, "map"), arm.params.evaluate.map_thresholds
    calibrated = {}
    for fraction in arm.params.finetune.fractions("map"):
        own = {cell: model for cell, model in models.items() if parse_cell(cell)[1] == fraction}
        positions = [arm.index.position(token) for token in calibration_tokens(arm, labels, fraction)]
        for cell, (scenes, _) in arm.count_maps(f"calibration-{fraction}", own, positions).items():
            calibrated[cell] = total_counts(scenes).best_thresholds(thresholds)
    keep = spread([arm.index[position].token for position in arm.positions], KEPT_FRAMES)
    metrics = {}
    for cell, (scenes, pictures) in arm.count_maps("maps", models, arm.positions, keep).items():
        (out / cell).mkdir()
        pictures.save(out / cell / MAPS)
        MapEvidence.of(scenes, thresholds, calibrated[cell]).save(out / cell / EVIDENCE)
        metrics[cell] = map_metrics(scenes, thresholds, calibrated[cell])
    return metrics


def calibration_tokens(arm: EvaluatedArm, labels: Labels, fraction: float) -> Sequence[str]:
    """Sample tokens of the training frames that choose the thresholds of a fraction's models."""
    return spread(labels.fraction(fraction), arm.params.evaluate.calibration_frames)
