"""Detection head: decode(encode(boxes)), suppression, overfitting."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.geometry.grid import BevGrid
from pipeline.networks.heads.centerpoint import CLASSES, REGRESSION, CenterPointHead
from pipeline.networks.heads.decoding import NMS_RADII, Detections, circle_nms, decode
from pipeline.networks.heads.targets import DetectionTargets, detection_targets
from pipeline.objectives.detection import detection_loss
from pipeline.params import Networks
from tests.reference import networks as twins

GRID = BevGrid(16.0, 0.8)


def scene(seed: int, count: int = 8) -> tuple[Tensor, Tensor]:
    """Boxes spread over the grid, at least 4 m apart, one class after the other."""
    generator = torch.Generator().manual_seed(seed)
    places = torch.cartesian_prod(torch.arange(-12.0, 13, 6), torch.arange(-12.0, 13, 6))
    places = places[torch.randperm(len(places), generator=generator)[:count]]
    boxes = torch.rand(count, 9, generator=generator) * 2 + 0.5
    boxes[:, :2] = places + torch.rand(count, 2, generator=generator)
    boxes[:, 6] = (torch.rand(count, generator=generator) - 0.5) * 6
    return boxes, torch.arange(count) % CLASSES


def as_outputs(targets: DetectionTargets, grid: BevGrid) -> dict[str, Tensor]:
    """Maps of a head that says exactly what the targets ask for."""
    frames = len(targets.heatmap)
    maps = {"heatmap": torch.logit(targets.heatmap.clamp(1e-4, 1 - 1e-4))}
    for name, channels in REGRESSION.items():
        flat = torch.zeros(frames * grid.size**2, channels)
        flat[targets.cells] = getattr(targets, name)
        maps[name] = flat.view(frames, grid.size, grid.size, channels).permute(0, 3, 1, 2)
    return maps


def assert_found(boxes: Sequence[Tensor], classes: Sequence[Tensor], found: list[Detections], tolerance: float) -> None:
    for wanted, labels, detections in zip(boxes, classes, found, strict=True):
        assert len(detections.boxes) == len(wanted)
        for box, label in zip(wanted, labels, strict=True):
            nearest = (detections.boxes[:, :2] - box[:2]).norm(dim=1).argmin()
            assert detections.classes[nearest] == label
            difference = detections.boxes[nearest] - box
            difference[6] = torch.atan2(difference[6].sin(), difference[6].cos())
            assert difference.abs().max() < tolerance


def test_decode_of_encode_finds_the_boxes() -> None:
    (first, first_classes), (second, second_classes) = scene(0), scene(1, count=5)
    boxes, classes = [first, torch.zeros(0, 9), second], [first_classes, first_classes[:0], second_classes]
    targets = detection_targets(boxes, classes, GRID, CLASSES)
    found = decode(as_outputs(targets, GRID), GRID, max_boxes=20, min_score=0.5, radius_scale=1.0)
    assert_found(boxes, classes, found, 1e-4)


def test_decode_limits() -> None:
    boxes, classes = scene(0)
    outputs = as_outputs(detection_targets([boxes], [classes], GRID, CLASSES), GRID)
    outputs["heatmap"] = outputs["heatmap"] - torch.linspace(0, 8, CLASSES)[None, :, None, None]
    everything = decode(outputs, GRID, max_boxes=20, min_score=0.5, radius_scale=1.0)[0]
    assert (everything.scores.diff() <= 0).all()
    best = decode(outputs, GRID, max_boxes=3, min_score=0.5, radius_scale=1.0)[0]
    torch.testing.assert_close(best.scores, everything.scores[:3])
    assert len(decode(outputs, GRID, max_boxes=20, min_score=0.99995, radius_scale=1.0)[0].boxes) == 0


def test_circle_nms_equals_the_loop() -> None:
    generator = np.random.default_rng(0)
    centres, classes = generator.uniform(-8, 8, (120, 2)), generator.integers(0, CLASSES, 120)
    kept = circle_nms(centres, classes, np.asarray(NMS_RADII), 120)
    assert kept.tolist() == twins.circle_nms(centres, classes, np.asarray(NMS_RADII))
    assert 20 < len(kept) < 120
    assert circle_nms(centres, classes, np.asarray(NMS_RADII), 7).tolist() == kept[:7].tolist()


def test_first_scores_are_the_prior(networks: Networks) -> None:
    torch.manual_seed(0)
    head = CenterPointHead(16, networks.heads, GRID)
    heat = head(torch.randn(1, 16, 40, 40))["heatmap"].sigmoid()
    assert heat.mean().item() == pytest.approx(0.05, abs=0.01)


def test_overfits_two_frames(networks: Networks) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    head = CenterPointHead(16, dataclasses.replace(networks.heads, detection_channels=32), GRID)
    (first, first_classes), (second, second_classes) = scene(2), scene(3)
    boxes, classes = [first, second], [first_classes, second_classes]
    targets, bev = head.targets(boxes, classes), torch.randn(2, 16, 40, 40)
    optimiser = torch.optim.Adam(head.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-2, total_steps=300)
    losses = []
    for _ in range(300):
        optimiser.zero_grad()
        loss = detection_loss(head(bev), targets)["loss"]
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    assert losses[-1] < 0.02 * losses[0]
    assert_found(boxes, classes, head.decode(head(bev)), 0.3)
