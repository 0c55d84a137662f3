"""CenterPoint's head: decode(encode(boxes)), groups, overfitting."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.geometry.grid import BevGrid
from pipeline.networks.heads.centerpoint import REGRESSION, CenterPointHead
from pipeline.networks.heads.decoding import decode_maps
from pipeline.networks.heads.targets import DetectionTargets, detection_targets
from pipeline.params import Heads
from pipeline.params.classes import DETECTION_CLASSES
from tests.networks.heads.scenes import CLASSES, COARSE, GRID, assert_found, overfit, scene
from tests.small_heads import ONE_GROUP, SIX_GROUPS, small_heads

BOTH = pytest.mark.parametrize("heads", [small_heads(), small_heads(groups=SIX_GROUPS, branches="separate")])


def as_outputs(targets: DetectionTargets, grid: BevGrid, groups: int) -> dict[str, Tensor]:
    """Maps of a head that says exactly what the targets ask for."""
    frames = len(targets.heatmap)
    maps = {"heatmap": torch.logit(targets.heatmap.clamp(1e-4, 1 - 1e-4))}
    for name, channels in REGRESSION.items():
        flat = torch.zeros(frames * groups * grid.size**2, channels)
        flat[targets.cells] = getattr(targets, name)
        maps[name] = flat.view(frames, groups, grid.size, grid.size, channels).permute(0, 1, 4, 2, 3)
    return maps


@BOTH
def test_decode_of_encode_finds_the_boxes(heads: Heads) -> None:
    (first, first_classes), (second, second_classes) = scene(0), scene(1, count=5)
    boxes, classes = [first, torch.zeros(0, 9), second], [first_classes, first_classes[:0], second_classes]
    targets = detection_targets(boxes, classes, GRID, torch.tensor(heads.group_of))
    found = decode_maps(as_outputs(targets, GRID, len(heads.groups)), GRID, heads)
    assert_found(boxes, classes, found, metres=1e-4, degrees=1e-2)


def test_decode_limits() -> None:
    boxes, classes = scene(0)
    outputs = as_outputs(detection_targets([boxes], [classes], GRID, torch.zeros(10, dtype=torch.int64)), GRID, 1)
    outputs["heatmap"] = outputs["heatmap"] - torch.linspace(0, 8, CLASSES)[None, :, None, None]
    everything = decode_maps(outputs, GRID, small_heads(min_score=0.5))[0]
    assert (everything.scores.diff() <= 0).all()
    best = decode_maps(outputs, GRID, small_heads(min_score=0.5, max_boxes=3))[0]
    torch.testing.assert_close(best.scores, everything.scores[:3])
    assert len(decode_maps(outputs, GRID, small_heads(min_score=0.99995))[0].boxes) == 0


@BOTH
def test_first_scores_are_the_prior(heads: Heads) -> None:
    torch.manual_seed(0)
    head = CenterPointHead(16, heads, GRID)
    heat = head(torch.randn(1, 16, 40, 40))["heatmap"].sigmoid()
    assert heat.mean().item() == pytest.approx(0.05, abs=0.015)


def test_groups_give_heat_maps_in_the_order_of_the_classes() -> None:
    """With every group's bias telling its classes, heat map k belongs to class k."""
    heads = small_heads(groups=SIX_GROUPS)
    head = CenterPointHead(4, heads, GRID).eval()
    for group, names in zip(head.groups, SIX_GROUPS, strict=True):
        last = group.get_submodule("parts.heatmap.1")
        assert isinstance(last, torch.nn.Conv2d)
        assert last.bias is not None
        torch.nn.init.zeros_(last.weight)
        last.bias.data = torch.tensor([float(DETECTION_CLASSES.index(name)) for name in names])
    outputs = head(torch.randn(1, 4, 40, 40))
    assert outputs["heatmap"][0, :, 3, 7].tolist() == list(range(CLASSES))
    assert {name: tuple(outputs[name].shape) for name in REGRESSION} == {
        name: (1, 6, channels, 40, 40) for name, channels in REGRESSION.items()
    }


def test_paper_head_is_upstreams() -> None:
    """Shared convolution 64; per group six branches of a hidden and an output convolution (SeparateHead)."""
    head = CenterPointHead(384, small_heads(detection_channels=64, groups=SIX_GROUPS, branches="separate"), GRID)
    assert {name for name, _ in head.groups[1].get_submodule("parts").named_children()} == {"heatmap", *REGRESSION}
    hidden, trunk = 64 * 64 * 9 + 2 * 64, 384 * 64 * 9 + 2 * 64
    outputs = sum((len(group) + 10) * (64 * 9 + 1) for group in SIX_GROUPS)
    assert sum(np.prod(p.shape) for p in head.parameters()) == trunk + 36 * hidden + outputs


@pytest.mark.parametrize(("groups", "branches"), [(ONE_GROUP, "joint"), (SIX_GROUPS, "separate")])
def test_overfits_two_frames(groups: list[list[str]], branches: str) -> None:
    torch.manual_seed(0)
    channels = 24 if branches == "joint" else 16
    head = CenterPointHead(16, small_heads(detection_channels=channels, groups=groups, branches=branches), COARSE)
    (first, first_classes), (second, second_classes) = scene(2), scene(3)
    boxes, classes = [first, second], [first_classes, second_classes]
    losses, found = overfit(head, 16, boxes, classes, 150)
    assert losses[-1] < 0.01 * losses[0]
    assert_found(boxes, classes, found)
