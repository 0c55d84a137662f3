"""Detection loss against element-wise twins and closed forms."""

import math

import pytest
import torch
from torch import Tensor

from pipeline.geometry.grid import BevGrid
from pipeline.networks.heads.targets import detection_targets
from pipeline.objectives.detection import detection_loss, heatmap_focal_loss
from tests.reference import networks as twins

GRID = BevGrid(4.0, 1.0)
CHANNELS = {"offset": 2, "height": 1, "size": 3, "rotation": 2, "velocity": 2}


def random_outputs(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(1, c, 8, 8, generator=generator) for name, c in {"heatmap": 10, **CHANNELS}.items()}


def test_focal_equals_the_loop_and_survives_extreme_logits() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 2, 4, 4, generator=generator) * 3
    heat = torch.rand(2, 2, 4, 4, generator=generator)
    heat[0, 0, 1, 1] = heat[1, 1, 2, 3] = 1
    wanted = twins.heatmap_focal(logits.numpy(), heat.numpy())
    assert heatmap_focal_loss(logits, heat).item() == pytest.approx(wanted, rel=1e-5)
    steep = (logits * 100).requires_grad_()
    loss = heatmap_focal_loss(steep, heat)
    torch.autograd.backward(loss)
    assert steep.grad is not None
    assert torch.isfinite(steep.grad).all()
    assert torch.isfinite(loss)


def test_prior_closed_form() -> None:
    """All scores 1/2, one centre, zeros elsewhere: (n - 1 + 1) / 4 log 2."""
    heat = torch.zeros(1, 1, 5, 5)
    heat[0, 0, 2, 2] = 1
    assert heatmap_focal_loss(torch.zeros(1, 1, 5, 5), heat).item() == pytest.approx(25 / 4 * math.log(2), rel=1e-6)


def test_l1_terms_by_hand() -> None:
    outputs = random_outputs(1)
    boxes = torch.tensor(
        [[0.3, -1.2, 0.5, 4.0, 2.0, 1.5, 0.4, 1.0, -2.0], [2.6, 3.1, -0.5, 0.6, 0.7, 1.7, -2.0, 5.0, math.nan]]
    )
    terms = detection_loss(outputs, detection_targets([boxes], [torch.tensor([0, 5])], GRID, 10))
    total = dict.fromkeys(CHANNELS, 0.0)
    for box in boxes.tolist():
        column, row = math.floor(box[0] + 4), math.floor(box[1] + 4)
        wanted = {
            "offset": [box[0] + 4 - column - 0.5, box[1] + 4 - row - 0.5],
            "height": [box[2]],
            "size": [math.log(value) for value in box[3:6]],
            "rotation": [math.sin(box[6]), math.cos(box[6])],
            "velocity": box[7:9],
        }
        for name, values in wanted.items():
            for channel, value in enumerate(values):
                if not math.isnan(value):
                    total[name] += abs(outputs[name][0, channel, row, column].item() - value)
    for name, value in total.items():
        weight = 0.05 if name == "velocity" else 0.25
        assert terms[name].item() == pytest.approx(weight * value / 2, rel=1e-4)
    assert terms["loss"].item() == pytest.approx(sum(terms[n].item() for n in ["heatmap", *CHANNELS]), rel=1e-5)


def test_unknown_velocity_gives_no_gradient_and_no_nan() -> None:
    outputs = {name: value.requires_grad_() for name, value in random_outputs(2).items()}
    box = torch.tensor([[0.3, 0.2, 0, 1, 1, 1, 0, math.nan, math.nan]])
    torch.autograd.backward(detection_loss(outputs, detection_targets([box], [torch.tensor([1])], GRID, 10))["loss"])
    assert outputs["velocity"].grad is not None
    assert outputs["velocity"].grad.abs().sum() == 0
    assert outputs["offset"].grad is not None
    assert outputs["offset"].grad.abs().sum() > 0


def test_no_box() -> None:
    targets = detection_targets([torch.zeros(0, 9)], [torch.zeros(0, dtype=torch.int64)], GRID, 10)
    terms = detection_loss({n: v.requires_grad_() for n, v in random_outputs(3).items()}, targets)
    assert terms["loss"].item() == pytest.approx(terms["heatmap"].item())
    assert terms["size"].item() == 0
    torch.autograd.backward(terms["loss"])
