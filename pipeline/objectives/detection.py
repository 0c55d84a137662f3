"""Detection losses of CenterPoint and TransFusion."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.networks.heads.encoding import CODE, decode_boxes
from pipeline.networks.heads.targets import DetectionTargets, ProposalTargets
from pipeline.objectives.assignment import ALPHA, GAMMA, assign, matching_costs
from pipeline.objectives.map_segmentation import sigmoid_focal_loss

REGRESSION_WEIGHT = 0.25  # L1 terms against the heat map (CenterPoint, TransFusion, BEVFusion)
VELOCITY_WEIGHT = 0.2  # velocity against the other L1 terms


def detection_loss(outputs: Mapping[str, Tensor], targets: DetectionTargets | ProposalTargets) -> dict[str, Tensor]:
    """The loss of the head that `targets` are of: `centerpoint_loss` or `transfusion_loss`."""
    if isinstance(targets, ProposalTargets):
        return transfusion_loss(outputs, targets)
    return centerpoint_loss(outputs, targets)


def heatmap_focal_loss(logits: Tensor, heatmap: Tensor, group_of: Tensor | None = None) -> Tensor:
    """Penalty-reduced focal loss (Law and Deng, CornerNet, arXiv 1808.01244, equation 1; alpha 2, beta 4).

    Args:
        logits: [B, classes, S, S].
        heatmap: float32 [B, classes, S, S] in [0, 1], exactly 1 at centres.
        group_of: int64 [classes], the group of each class; by default all are one group.

    Returns:
        Scalar: per group the sum over all its cells divided by the number of its centres (at least 1), summed.
    """
    logits = logits.float()
    score = logits.sigmoid()
    centre = heatmap == 1
    hits = functional.logsigmoid(logits) * (1 - score) ** 2
    misses = functional.logsigmoid(-logits) * score**2 * (1 - heatmap) ** 4
    sums, centres = -torch.where(centre, hits, misses).sum((0, 2, 3)), centre.sum((0, 2, 3))
    if group_of is None:
        return sums.sum() / centres.sum().clamp(min=1)
    per_group = torch.zeros_like(centres).index_add(0, group_of, centres).clamp(min=1)
    return (sums / per_group[group_of]).sum()


def centerpoint_loss(outputs: Mapping[str, Tensor], targets: DetectionTargets) -> dict[str, Tensor]:
    """Focal loss on heat maps plus L1 at box centres, each group's by its own number of boxes.

    Args:
        outputs: maps of `CenterPointHead`.
        targets: of the same frames.

    Returns:
        Scalars by name: heatmap, offset, height, size, rotation, velocity (per group the mean over boxes of the sum
        over fields, as it enters the total), and their sum `loss`. With no box on the grid the L1 terms are zero.
    """
    terms = {"heatmap": heatmap_focal_loss(outputs["heatmap"], targets.heatmap, targets.group_of)}
    count = torch.bincount(targets.groups, minlength=1)[targets.groups, None]
    for name in ("offset", "height", "size", "rotation", "velocity"):
        maps = outputs[name].float().permute(0, 1, 3, 4, 2).flatten(0, 3)
        error = _absolute_error(maps.index_select(0, targets.cells), getattr(targets, name))
        weight = REGRESSION_WEIGHT * (VELOCITY_WEIGHT if name == "velocity" else 1.0)
        terms[name] = weight * (error / count).sum()
    return {**terms, "loss": torch.stack(list(terms.values())).sum()}


def transfusion_loss(outputs: Mapping[str, Tensor], targets: ProposalTargets) -> dict[str, Tensor]:
    """Focal loss on the heat map; and per frame each labelled box to one proposal, focal loss on the classes of all
    proposals (the others are background), L1 on the codes of the assigned ones.

    Args:
        outputs: of `TransFusionHead`.
        targets: of the same frames.

    Returns:
        Scalars by name: heatmap, classes, position, height, size, rotation, velocity (as they enter the total, sums
        divided by the number of assigned proposals), and their sum `loss`. With no box the L1 terms are zero.
    """
    logits, codes, labelled = outputs["classes"].float(), outputs["codes"].float(), targets.labelled
    predicted = decode_boxes(codes.detach(), targets.grid)
    wanted = torch.zeros_like(logits)
    frames, queries, boxes = [], [], []
    for b in range(labelled.frames):
        own = torch.nonzero(labelled.frame == b)[:, 0]
        costs = matching_costs(
            logits[b].detach(), predicted[b], labelled.boxes[own], labelled.classes[own], targets.grid
        )
        query, box = assign(costs)
        frames.append(torch.full_like(query, b))
        queries.append(query)
        boxes.append(own[box])
    frame, query, box = torch.cat(frames), torch.cat(queries), torch.cat(boxes)
    wanted[frame, query, labelled.classes[box]] = 1
    count = max(len(box), 1)
    terms = {
        "heatmap": heatmap_focal_loss(outputs["heatmap"], targets.heatmap),
        "classes": sigmoid_focal_loss(logits, wanted, GAMMA, ALPHA).sum() / count,
    }
    error = _absolute_error(codes[frame, query], targets.codes[box])
    for name, part in zip(CODE, error.split(list(CODE.values()), 1), strict=True):
        weight = REGRESSION_WEIGHT * (VELOCITY_WEIGHT if name == "velocity" else 1.0)
        terms[name] = weight * part.sum() / count
    return {**terms, "loss": torch.stack(list(terms.values())).sum()}


def _absolute_error(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Element by element; 0 and without gradient where the wanted value is NaN, i.e. unknown."""
    known = torch.isfinite(wanted)
    return (predicted - torch.where(known, wanted, 0)).abs() * known
