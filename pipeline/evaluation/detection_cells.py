"""Boxes of every detection model of an arm: submissions, their scores, and precision over recall."""

import json
from pathlib import Path
from typing import Any

from pipeline.evaluation.degeneracy import boxes_degeneracy, finite_boxes
from pipeline.evaluation.detection import build_submission
from pipeline.evaluation.devkit import DevkitScorer
from pipeline.evaluation.evaluated_arm import EvaluatedArm, cells_of
from pipeline.evaluation.evidence import EVIDENCE
from pipeline.evaluation.precision_recall import CURVES
from pipeline.evaluation.record import SUBMISSION, name_cell
from pipeline.evaluation.submission_check import check_submission
from pipeline.frames.annotation_labels import has_annotations


def score_detection(arm: EvaluatedArm, out: Path) -> dict[str, dict[str, Any]]:
    """Predicts and scores; where the tables hold no annotation (the official test set) only submissions are written.

    Args:
        arm: the models and frames.
        out: folder of the arm's results; gets a submission a cell and, where there are scores, evidence a cell and
            `CURVES`. Rank 0 writes.

    Returns:
        Cell -> numbers (see `DevkitScorer.score`), and `degenerate` (see `boxes_degeneracy`); nothing but on rank 0.

    Raises:
        UserError: a checkpoint is missing or does not fit; the devkit does not know the split; a submission is not one
            that the official server takes.
    """
    params, cells = arm.params, cells_of(arm.params, "detection")
    if not cells:
        return {}
    scorer = None  # opened before the work: it checks the split
    if arm.team.rank == 0 and has_annotations(params.dataset):
        scorer = DevkitScorer(params.dataset, params.evaluate, arm.team.folder)
    predicted = arm.find_boxes(arm.open_models(cells, "detection"))
    frames = [arm.index[position] for position in arm.positions]
    drawn = name_cell("detection", max(params.finetune.fractions("detection")), params.finetune.seeds[0])
    metrics: dict[str, dict[str, Any]] = {}
    for cell, boxes in predicted.items():
        submission = build_submission(frames, finite_boxes(boxes), camera=arm.modality == "LC")
        check_submission(submission, [frame.token for frame in frames])
        (out / cell).mkdir()
        (out / cell / SUBMISSION).write_text(json.dumps(submission, separators=(",", ":")))
        metrics[cell] = {"degenerate": boxes_degeneracy(list(boxes.values()))}
        if scorer:
            metrics[cell] |= scorer.score(
                submission, evidence=out / cell / EVIDENCE, curves=out / CURVES if cell == drawn else None
            )
    return metrics
