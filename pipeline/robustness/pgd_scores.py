"""What is left of a model's predictions under PGD."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.engine import progress_bar
from pipeline.evaluation.detection import ScoredBoxes
from pipeline.evaluation.map_segmentation import HALF, MapCounts
from pipeline.evaluation.predict import count_frames, decode_boxes, scenes_by_token
from pipeline.frames.dataset import FrameLoader
from pipeline.networks.heads.map import MapHead
from pipeline.networks.model import BevModel
from pipeline.params.attacks import Pgd
from pipeline.robustness.bench import Bench, Scores
from pipeline.robustness.conditions import Condition
from pipeline.robustness.pgd import Attacked, attack_images, attack_points, task_losses


@dataclass(frozen=True)
class PgdOutcome:
    """One model under one attack.

    Attributes:
        boxes: sample token -> boxes in the LiDAR frame; empty for a map model.
        scenes: scene name -> cells counted as for clean maps; empty for a detection model.
        losses: float64 [steps + 2], the fine-tuning loss, mean over frames: clean, at the random start (noise within
            the budget), after each step.
        loss: mean over frames of the highest loss of each, which the predictions are of.
    """

    boxes: dict[str, ScoredBoxes]
    scenes: dict[str, MapCounts]
    losses: NDArray[np.float64]
    loss: float


def try_pgd(condition: Condition, bench: Bench, title: str) -> Scores:
    """Attacks every frame, against each model anew; points by `condition.severity` mm, pixels by as much of 255.

    Returns:
        cell -> scores, and `loss`: the mean fine-tuning loss clean, under noise within the budget, and reached.
    """
    own, seed = bench.params.stress.pgd, bench.params.stress.seed
    scores: Scores = {}
    for task, models in bench.models.items():
        loader = bench.loader(boxes=task == "detection", maps=task == "map")
        for cell, model in models.items():
            outcome = predict_under_pgd(
                model, loader, bench.positions, own, condition.type, condition.severity, seed=seed,
                batch=bench.params.evaluate.batch, device=bench.device,
                thresholds=bench.params.evaluate.map_thresholds, title=f"{title}: {cell}",
            )  # fmt: skip
            map_model = task == "map"
            found = bench.score_counts(cell, outcome.scenes) if map_model else bench.score_boxes(outcome.boxes)
            scores[cell] = found | {
                "loss": {"clean": outcome.losses[0], "noise": outcome.losses[1], "reached": outcome.loss}
            }
    return scores


def predict_under_pgd(
    model: BevModel,
    loader: FrameLoader,
    positions: Sequence[int],
    pgd: Pgd,
    target: str,
    budget: int,
    *,
    seed: int,
    batch: int,
    device: torch.device,
    thresholds: Sequence[float] = (HALF,),
    title: str = "pgd",
) -> PgdOutcome:
    """Attacks every frame and predicts.

    Args:
        model: in evaluation mode, on `device`.
        loader: gives the frames without augmentation, with the labels that the task's loss needs.
        positions: validation frames, at least one.
        pgd: steps.
        target: what is changed, "points" or "pixels".
        budget: millimetres, or units of 255.
        seed: of the random starts.
        batch: frames at a time; memory grows with it, results do not change.
        device: where the model is.
        thresholds: probabilities from which a cell counts, for map models.
        title: of the progress bar.

    Raises:
        ValueError: pixels of a loader that gives no images.
    """
    boxes: dict[str, ScoredBoxes] = {}
    scenes: dict[str, MapCounts] = {}
    paths, reached, scene_of = [], [], scenes_by_token(loader, positions)
    with progress_bar() as bar:
        for start in bar.track(range(0, len(positions), batch), description=title):
            frames = loader.load(positions[start : start + batch]).to(device)
            attacked: Attacked
            if target == "points":
                attacked = attack_points(model, frames, task_losses, pgd, budget / 1000, seed)
            else:
                attacked = attack_images(model, frames, task_losses, pgd, budget, seed)
            paths.append(torch.cat([attacked.clean[None], attacked.path]).double().cpu().numpy())
            reached.append(attacked.reached.double().cpu().numpy())
            with torch.no_grad():
                outputs = model(attacked.batch)
            if isinstance(model.head, MapHead):
                assert isinstance(outputs, Tensor)
                count_frames(scenes, scene_of, outputs, frames, thresholds)
            else:
                boxes |= decode_boxes(model, outputs, frames)
    losses = np.concatenate(paths, axis=1).mean(axis=1)
    return PgdOutcome(boxes, scenes, losses, float(np.concatenate(reached).mean()))
