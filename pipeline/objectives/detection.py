"""Detection loss of CenterPoint."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.networks.heads.targets import DetectionTargets

REGRESSION_WEIGHT = 0.25  # L1 terms against the heat map (CenterPoint, BEVFusion)
VELOCITY_WEIGHT = 0.2  # velocity against the other L1 terms


def heatmap_focal_loss(logits: Tensor, heatmap: Tensor) -> Tensor:
    """Penalty-reduced focal loss (Law and Deng, CornerNet, arXiv 1808.01244, equation 1; alpha 2, beta 4).

    Args:
        logits: [B, classes, S, S].
        heatmap: float32 [B, classes, S, S] in [0, 1], exactly 1 at centres.

    Returns:
        Scalar: the sum over all cells divided by the number of centres (at least 1).
    """
    logits = logits.float()
    score = logits.sigmoid()
    centre = heatmap == 1
    hits = functional.logsigmoid(logits) * (1 - score) ** 2
    misses = functional.logsigmoid(-logits) * score**2 * (1 - heatmap) ** 4
    return -torch.where(centre, hits, misses).sum() / centre.sum().clamp(min=1)


def detection_loss(outputs: Mapping[str, Tensor], targets: DetectionTargets) -> dict[str, Tensor]:
    """Focal loss on heat maps plus L1 at box centres.

    Args:
        outputs: maps of `CenterPointHead`.
        targets: of the same frames.

    Returns:
        Scalars by name: heatmap, offset, height, size, rotation, velocity (each the mean over boxes of the sum over
        fields, as it enters the total), and their sum `loss`. With no box on the grid the L1 terms are zero.
    """
    terms = {"heatmap": heatmap_focal_loss(outputs["heatmap"], targets.heatmap)}
    count = max(len(targets.cells), 1)
    for name in ("offset", "height", "size", "rotation", "velocity"):
        wanted = getattr(targets, name)
        predicted = outputs[name].float().permute(0, 2, 3, 1).flatten(0, 2).index_select(0, targets.cells)
        known = torch.isfinite(wanted)
        error = (predicted - torch.where(known, wanted, 0)).abs() * known
        weight = REGRESSION_WEIGHT * (VELOCITY_WEIGHT if name == "velocity" else 1.0)
        terms[name] = weight * error.sum() / count
    return {**terms, "loss": torch.stack(list(terms.values())).sum()}
