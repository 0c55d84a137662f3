"""Labelled boxes for the tests of the detection heads, and the training that they all have to pass."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.geometry.grid import BevGrid
from pipeline.networks.heads.centerpoint import CenterPointHead
from pipeline.networks.heads.decoding import Detections
from pipeline.networks.heads.transfusion import TransFusionHead
from pipeline.objectives.detection import detection_loss
from pipeline.params.classes import DETECTION_CLASSES

GRID = BevGrid(16.0, 0.8)
COARSE = BevGrid(16.0, 1.6)  # a quarter of the cells, for training
CLASSES = len(DETECTION_CLASSES)


def scene(seed: int, count: int = 8) -> tuple[Tensor, Tensor]:
    """Boxes spread over the grid, at least 4 m apart, one class after the other."""
    generator = torch.Generator().manual_seed(seed)
    places = torch.cartesian_prod(torch.arange(-12.0, 13, 6), torch.arange(-12.0, 13, 6))
    places = places[torch.randperm(len(places), generator=generator)[:count]]
    boxes = torch.rand(count, 9, generator=generator) * 2 + 0.5
    boxes[:, :2] = places + torch.rand(count, 2, generator=generator)
    boxes[:, 6] = (torch.rand(count, generator=generator) - 0.5) * 6
    return boxes, (torch.arange(count) + seed) % CLASSES


def assert_found(
    boxes: Sequence[Tensor],
    classes: Sequence[Tensor],
    found: Sequence[Detections],
    *,
    metres: float = 0.5,
    degrees: float = 10.0,
) -> None:
    """As many detections as boxes; each box within `metres` (centre, size) and `degrees` of one of its class."""
    for wanted, labels, detections in zip(boxes, classes, found, strict=True):
        assert sorted(detections.classes.tolist()) == sorted(labels.tolist())
        for box, label in zip(wanted, labels, strict=True):
            difference = detections.boxes[detections.classes == label] - box
            nearest = difference[difference[:, :2].norm(dim=1).argmin()]
            turn = math.degrees(math.atan2(math.sin(nearest[6]), math.cos(nearest[6])))
            nearest[6] = 0
            assert nearest[:3].norm() < metres
            assert nearest.abs().max() < metres
            assert abs(turn) < degrees


def overfit(
    head: CenterPointHead | TransFusionHead, inputs: int, boxes: list[Tensor], classes: list[Tensor], steps: int
) -> tuple[list[float], list[Detections]]:
    """Trains the head alone on fixed random maps of these frames.

    Returns:
        The loss of every step, and what the head finds afterwards in evaluation mode.
    """
    torch.set_num_threads(1)
    bev = torch.randn(len(boxes), inputs, head.grid.size, head.grid.size)
    targets = head.targets(boxes, classes)
    optimiser = torch.optim.Adam(head.parameters(), fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=steps)
    losses = []
    for _ in range(steps):
        optimiser.zero_grad()
        loss = detection_loss(head(bev), targets)["loss"]
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    with torch.no_grad():
        return losses, head.decode(head.eval()(bev))
