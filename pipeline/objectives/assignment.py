"""Which proposal answers for which labelled box."""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

from pipeline.geometry.grid import BevGrid
from pipeline.networks.heads.rotated_iou import volume_iou

# Weights and focal constants of TransFusion's and BEVFusion's nuScenes configurations.
CLASS_COST = 0.15
CENTRE_COST = 0.25
IOU_COST = 0.25
ALPHA = 0.25
GAMMA = 2.0
HOPELESS = 1e4  # instead of a cost that is not finite


@torch.no_grad()
def matching_costs(logits: Tensor, predicted: Tensor, boxes: Tensor, classes: Tensor, grid: BevGrid) -> Tensor:
    """Cost of giving each labelled box to each proposal of a frame.

    Focal classification cost, plus the L1 distance of centres in shares of the grid, minus the IoU (of volumes, as
    upstream), each with its weight.

    Args:
        logits: [P, classes].
        predicted: float [P, 9] in `BOX_FIELDS` order, BEV frame.
        boxes: float [M, 9].
        classes: int64 [M].
        grid: the head's grid.

    Returns:
        float64 [P, M].
    """
    logits = logits.double()
    score = logits.sigmoid()
    true = -functional.logsigmoid(logits) * ALPHA * (1 - score) ** GAMMA
    false = -functional.logsigmoid(-logits) * (1 - ALPHA) * score**GAMMA
    distance = torch.cdist(predicted[:, :2].double(), boxes[:, :2].double(), p=1) / (2 * grid.reach)
    return CLASS_COST * (true - false)[:, classes] + CENTRE_COST * distance - IOU_COST * volume_iou(predicted, boxes)


def assign(costs: Tensor) -> tuple[Tensor, Tensor]:
    """The one-to-one assignment of least total cost (Hungarian method).

    Args:
        costs: float [P, M].

    Returns:
        Rows and columns of the pairs, int64 [min(P, M)], on the device of `costs`.
    """
    finite = costs.nan_to_num(HOPELESS, HOPELESS, -HOPELESS)  # a diverged network is reported by its loss, not here
    rows, columns = linear_sum_assignment(finite.cpu().numpy())
    return torch.from_numpy(rows).to(costs.device), torch.from_numpy(columns).to(costs.device)
