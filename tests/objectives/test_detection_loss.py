"""CenterPoint's loss against element-wise twins and closed forms."""

import math

import pytest
import torch
from torch import Tensor

from pipeline.geometry.grid import BevGrid
from pipeline.networks.heads.targets import detection_targets
from pipeline.objectives.detection import detection_loss, heatmap_focal_loss
from tests.reference import heads as twins

GRID = BevGrid(4.0, 1.0)
ONE = torch.zeros(10, dtype=torch.int64)
CHANNELS = {"offset": 2, "height": 1, "size": 3, "rotation": 2, "velocity": 2}


def random_outputs(seed: int, groups: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    heat = torch.randn(1, 10, 8, 8, generator=generator)
    return {
        "heatmap": heat, **{name: torch.randn(1, groups, c, 8, 8, generator=generator) for name, c in CHANNELS.items()}
    }  # fmt: skip


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
    terms = detection_loss(outputs, detection_targets([boxes], [torch.tensor([0, 5])], GRID, ONE))
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
                    total[name] += abs(outputs[name][0, 0, channel, row, column].item() - value)
    for name, value in total.items():
        weight = 0.05 if name == "velocity" else 0.25
        assert terms[name].item() == pytest.approx(weight * value / 2, rel=1e-4)
    assert terms["loss"].item() == pytest.approx(sum(terms[n].item() for n in ["heatmap", *CHANNELS]), rel=1e-5)


def test_unknown_velocity_gives_no_gradient_and_no_nan() -> None:
    outputs = {name: value.requires_grad_() for name, value in random_outputs(2).items()}
    box = torch.tensor([[0.3, 0.2, 0, 1, 1, 1, 0, math.nan, math.nan]])
    torch.autograd.backward(detection_loss(outputs, detection_targets([box], [torch.tensor([1])], GRID, ONE))["loss"])
    assert outputs["velocity"].grad is not None
    assert outputs["velocity"].grad.abs().sum() == 0
    assert outputs["offset"].grad is not None
    assert outputs["offset"].grad.abs().sum() > 0


def test_no_box() -> None:
    targets = detection_targets([torch.zeros(0, 9)], [torch.zeros(0, dtype=torch.int64)], GRID, ONE)
    terms = detection_loss({n: v.requires_grad_() for n, v in random_outputs(3).items()}, targets)
    assert terms["loss"].item() == pytest.approx(terms["heatmap"].item())
    assert terms["size"].item() == 0
    torch.autograd.backward(terms["loss"])


def test_groups_are_losses_of_their_own() -> None:
    """The loss of two groups is the sum of the losses of two heads, each with its classes and its boxes."""
    group_of = torch.tensor([0, 1, 1, 0, 0, 1, 1, 1, 0, 0])
    outputs = random_outputs(4, groups=2)
    boxes = torch.rand(5, 9, generator=torch.Generator().manual_seed(0)) * 3 + 0.1
    classes = torch.tensor([0, 1, 5, 7, 2])  # one box of the first group, four of the second
    together = detection_loss(outputs, detection_targets([boxes], [classes], GRID, group_of))
    total = dict.fromkeys(together, 0.0)
    by_loops = 0.0
    for group in (0, 1):
        members = torch.nonzero(group_of == group)[:, 0]
        own = group_of[classes] == group
        maps = {name: outputs[name][:, group : group + 1] for name in CHANNELS}
        labels = torch.tensor([members.tolist().index(k) for k in classes[own].tolist()])
        targets = detection_targets([boxes[own]], [labels], GRID, torch.zeros(len(members), dtype=torch.int64))
        for name, value in detection_loss({"heatmap": outputs["heatmap"][:, members], **maps}, targets).items():
            total[name] += value.item()
        by_loops += twins.heatmap_focal(outputs["heatmap"][:, members].numpy(), targets.heatmap.numpy())
    assert {name: value.item() for name, value in together.items()} == pytest.approx(total, rel=1e-5)
    assert together["heatmap"].item() == pytest.approx(by_loops, rel=1e-5)
