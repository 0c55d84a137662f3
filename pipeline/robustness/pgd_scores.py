"""What is left of a model's predictions under PGD."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.engine import progress_bar
from pipeline.evaluation.detection import ScoredBoxes
from pipeline.evaluation.map_segmentation import HALF, MapCounts, count_cells
from pipeline.frames.dataset import FrameLoader
from pipeline.networks.heads.decoding import Detections
from pipeline.networks.heads.map import MapHead
from pipeline.networks.model import BevModel
from pipeline.params.attacks import Pgd
from pipeline.robustness.pgd import Attacked, attack_images, attack_points, task_losses

Target = Literal["points", "images"]


@dataclass(frozen=True)
class PgdOutcome:
    """One model under one attack.

    Attributes:
        boxes: sample token -> boxes in the LiDAR frame; empty for a map model.
        counts: cells counted as for clean maps; None for a detection model.
        losses: float64 [steps + 2], the fine-tuning loss, mean over frames: clean, at the random start (noise within
            the budget), after each step.
        loss: mean over frames of the highest loss of each, which the predictions are of.
    """

    boxes: dict[str, ScoredBoxes]
    counts: MapCounts | None
    losses: NDArray[np.float64]
    loss: float


def attacks_on(pgd: Pgd, modality: str) -> list[tuple[Target, float]]:
    """What is attacked by how much: metres of points, and for modality LC units of 255 of pixels."""
    points: list[tuple[Target, float]] = [("points", budget) for budget in pgd.points]
    return points + [("images", float(budget)) for budget in pgd.pixels if modality == "LC"]


def predict_under_pgd(
    model: BevModel,
    loader: FrameLoader,
    positions: Sequence[int],
    pgd: Pgd,
    target: Target,
    budget: float,
    *,
    seed: int,
    batch: int,
    device: torch.device,
    thresholds: Sequence[float] = (HALF,),
) -> PgdOutcome:
    """Attacks every frame and predicts.

    Args:
        model: in evaluation mode, on `device`.
        loader: gives the frames without augmentation, with the labels that the task's loss needs.
        positions: validation frames, at least one.
        pgd: steps.
        target: which sensor.
        budget: metres, or whole units of 255.
        seed: of the random starts.
        batch: frames at a time; memory grows with it, results do not change.
        device: where the model is.
        thresholds: probabilities from which a cell counts, for map models.

    Raises:
        ValueError: images of a loader that gives none.
    """
    boxes: dict[str, ScoredBoxes] = {}
    counts: MapCounts | None = None
    paths, reached = [], []
    with progress_bar() as bar:
        for start in bar.track(range(0, len(positions), batch), description=f"pgd {target} {budget:g}"):
            frames = loader.load(list(positions[start : start + batch])).to(device)
            attacked: Attacked
            if target == "points":
                attacked = attack_points(model, frames, task_losses, pgd, budget, seed)
            else:
                attacked = attack_images(model, frames, task_losses, pgd, int(budget), seed)
            paths.append(torch.cat([attacked.clean[None], attacked.path]).double().cpu().numpy())
            reached.append(attacked.reached.double().cpu().numpy())
            with torch.no_grad():
                outputs = model(attacked.batch)
            if isinstance(model.head, MapHead):
                assert isinstance(outputs, Tensor)
                assert frames.map_masks is not None
                probabilities, truth = torch.sigmoid(outputs.float()).cpu().numpy(), frames.map_masks.cpu().numpy()
                counted = count_cells(probabilities, truth > HALF, list(thresholds))
                counts = counts + counted if counts is not None else counted
            else:
                decoded = model.head.decode(outputs)
                boxes |= {token: _arrays(found) for token, found in zip(frames.tokens, decoded, strict=True)}
    losses = np.concatenate(paths, axis=1).mean(axis=1)
    return PgdOutcome(boxes, counts, losses, float(np.concatenate(reached).mean()))


def _arrays(found: Detections) -> ScoredBoxes:
    return ScoredBoxes(
        found.boxes.float().cpu().numpy(), found.classes.cpu().numpy(), found.scores.float().cpu().numpy()
    )
