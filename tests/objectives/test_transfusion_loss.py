"""TransFusion's loss by hand and by loops."""

import math

import pytest
import torch
from torch import Tensor

from pipeline.geometry.grid import BevGrid
from pipeline.networks.heads.encoding import encode_boxes
from pipeline.networks.heads.targets import ProposalTargets, proposal_targets
from pipeline.objectives.detection import detection_loss
from tests.reference import heads as twins

GRID = BevGrid(4.0, 1.0)
NAMES = {"heatmap", "classes", "position", "height", "size", "rotation", "velocity", "loss"}
BOXES = torch.tensor(
    [[0.3, -1.2, 0.5, 4.0, 2.0, 1.5, 0.4, 1.0, -2.0], [2.6, 3.1, -0.5, 0.6, 0.7, 1.7, -2.0, 5.0, math.nan]]
)
CLASSES = torch.tensor([0, 5])
ERROR = torch.tensor([0.1, -0.2, 0.3, 0.01, -0.02, 0.03, 0.05, 0.06, 0.5, 0.7])


def targets() -> ProposalTargets:
    """The second of three frames has two boxes, the last the second of them again."""
    nothing = torch.zeros(0, dtype=torch.int64)
    return proposal_targets([torch.zeros(0, 9), BOXES, BOXES[1:]], [nothing, CLASSES, CLASSES[1:]], GRID, 10)


def outputs() -> dict[str, Tensor]:
    """Four proposals a frame: those of the boxes stand near them, in the reverse order, the others far off."""
    codes = torch.zeros(3, 4, 10)
    codes[..., :2] = torch.tensor([0.5, 7.5])
    known = encode_boxes(BOXES, GRID).nan_to_num(3.0)
    codes[1, 3], codes[1, 1], codes[2, 2] = known[0] + ERROR, known[1] + ERROR, known[1] + ERROR
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 10, generator=generator)
    return {"heatmap": torch.randn(3, 10, 8, 8, generator=generator), "classes": logits, "codes": codes}


def test_terms_by_hand() -> None:
    given = outputs()
    terms = detection_loss(given, targets())
    assert set(terms) == NAMES
    owners = {(1, 3): 0, (1, 1): 5, (2, 2): 5}
    classification = sum(
        twins.sigmoid_focal(given["classes"][b, q, k].item(), float(owners.get((b, q)) == k), 2.0, 0.25)
        for b in range(3)
        for q in range(4)
        for k in range(10)
    )
    assert terms["classes"].item() == pytest.approx(classification / 3, rel=1e-5)
    wanted = {"position": 0.3, "height": 0.3, "size": 0.06, "rotation": 0.11}
    for name, value in wanted.items():
        assert terms[name].item() == pytest.approx(0.25 * value, rel=1e-4)
    # Velocity along y is unknown for two of the three.
    assert terms["velocity"].item() == pytest.approx(0.25 * 0.2 * (3 * 0.5 + 0.7) / 3, rel=1e-4)
    heat = twins.heatmap_focal(given["heatmap"].numpy(), targets().heatmap.numpy())
    assert terms["heatmap"].item() == pytest.approx(heat, rel=1e-5)
    assert terms["loss"].item() == pytest.approx(sum(terms[name].item() for name in NAMES - {"loss"}), rel=1e-5)


def test_gradients() -> None:
    """Classes of every proposal, codes of the assigned ones alone, nothing from an unknown velocity."""
    given = {name: value.requires_grad_() for name, value in outputs().items()}
    torch.autograd.backward(detection_loss(given, targets())["loss"])
    classes, codes = given["classes"].grad, given["codes"].grad
    assert classes is not None and codes is not None
    assert (classes != 0).all()
    assert torch.nonzero(codes.abs().sum(-1)).tolist() == [[1, 1], [1, 3], [2, 2]]
    assert codes[1, 1, 9] == 0 and codes[1, 3, 9] != 0


def test_perfect_and_sure_is_nearly_zero() -> None:
    wanted, given = targets(), outputs()
    for place, row in (((1, 3), 0), ((1, 1), 1), ((2, 2), 1)):
        given["codes"][place] = encode_boxes(BOXES[row], GRID).nan_to_num(9.0)
    given["classes"] = torch.full((3, 4, 10), -12.0)
    for place, label in (((1, 3), 0), ((1, 1), 5), ((2, 2), 5)):
        given["classes"][*place, label] = 12.0
    given["heatmap"] = torch.where(wanted.heatmap == 1, 12.0, -12.0)
    assert detection_loss(given, wanted)["loss"].item() < 1e-4


def test_no_box() -> None:
    nothing = [torch.zeros(0, 9)] * 3, [torch.zeros(0, dtype=torch.int64)] * 3
    given = {name: value.requires_grad_() for name, value in outputs().items()}
    terms = detection_loss(given, proposal_targets(*nothing, GRID, 10))
    assert terms["position"].item() == 0
    assert terms["loss"].item() == pytest.approx(terms["heatmap"].item() + terms["classes"].item())
    torch.autograd.backward(terms["loss"])


def test_more_boxes_than_proposals() -> None:
    boxes = torch.rand(9, 9, generator=torch.Generator().manual_seed(1)) * 3 + 0.1
    wanted = proposal_targets([boxes] * 3, [torch.arange(9)] * 3, GRID, 10)
    assert torch.isfinite(detection_loss(outputs(), wanted)["loss"])


def test_diverged_network_gives_a_loss_that_says_so() -> None:
    """No error from the assignment: the loop reports the step and the frames."""
    given = outputs()
    given["codes"][1] = math.nan
    given["classes"][2] = math.inf
    assert not torch.isfinite(detection_loss(given, targets())["loss"])
