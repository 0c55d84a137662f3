"""Rotated IoU against shapely."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.networks.heads.rotated_iou import bev_iou, intersection_areas, volume_iou
from tests.reference import heads as twins


def random_boxes(count: int, seed: int, spread: float = 4.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(count, 9, generator=generator, dtype=torch.float64)
    boxes[:, :3] = (boxes[:, :3] - 0.5) * spread
    boxes[:, 3:6] = boxes[:, 3:6] * 5 + 0.05
    boxes[:, 6] = (boxes[:, 6] - 0.5) * 20
    return boxes


def rectangle(x: float, y: float, length: float, width: float, degrees: float = 0.0) -> Tensor:
    return torch.tensor([[x, y, length, width, math.radians(degrees)]], dtype=torch.float64)


def test_equals_shapely() -> None:
    first, second = random_boxes(40, 0), random_boxes(50, 1)
    ours, volumes = bev_iou(first, second), volume_iou(first, second)
    for i, a in enumerate(first.numpy()):
        for j, b in enumerate(second.numpy()):
            assert ours[i, j].item() == pytest.approx(twins.bev_iou(a, b), abs=1e-12)
            assert volumes[i, j].item() == pytest.approx(twins.volume_iou(a, b), abs=1e-12)
    assert 0.3 < (ours > 0).float().mean() < 0.99


def test_float_boxes_far_from_the_origin_lose_nothing_more_than_their_rounding() -> None:
    boxes = random_boxes(60, 2)
    boxes[:, :2] += torch.tensor([48.0, -51.0])
    rounded = boxes.float()
    ours = bev_iou(rounded, rounded)
    for i, a in enumerate(rounded.double().numpy()):
        for j, b in enumerate(rounded.double().numpy()):
            assert ours[i, j].item() == pytest.approx(twins.bev_iou(a, b), abs=1e-12)


@pytest.mark.parametrize("degrees", [0.0, 30.0, 45.0, 90.0, 123.4])
@pytest.mark.parametrize(
    ("other", "area"),
    [
        ((0, 0, 4, 2, 0), 8.0),  # identical
        ((0, 0, 4, 2, 180), 8.0),  # the same footprint, turned round
        ((0, 0, 2, 4, 90), 8.0),  # the same footprint, sides exchanged
        ((0, 0, 4, 2, 90), 4.0),  # a cross
        ((4, 0, 4, 2, 0), 0.0),  # a common side
        ((4, 2, 4, 2, 0), 0.0),  # a common corner
        ((3, 0, 4, 2, 0), 2.0),  # one slid along the other: sides on one line
        ((0.5, 0.2, 1, 1, 0), 1.0),  # contained
        ((0.5, 0.2, 1, 1, 40), 1.0),  # contained, turned
        ((1, 0.5, 2, 1, 0), 2.0),  # contained, two sides in common
        ((0, 0, 40, 20, 10), 8.0),  # containing
        ((9, 9, 1, 1, 0), 0.0),  # apart
        ((0, 0, 4, 0, 20), 0.0),  # a line
        ((0, 0, 0, 0, 0), 0.0),  # a point
        ((1, 0, 4, 1e-9, 0), 3e-9),  # next to a line
    ],
)
def test_special_positions(degrees: float, other: tuple[float, ...], area: float) -> None:
    """The pair as a whole is turned, so that no side stays parallel to an axis."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y, length, width, turn = other
    first = rectangle(7, -3, 4, 2, degrees)
    second = rectangle(7 + cos * x - sin * y, -3 + sin * x + cos * y, length, width, degrees + turn)
    for a, b in ((first, second), (second, first)):
        assert intersection_areas(a, b).item() == pytest.approx(area, abs=1e-12)
        assert intersection_areas(a.float(), b.float()).item() == pytest.approx(area, abs=2e-5)


def test_nearly_identical_boxes_do_not_jump() -> None:
    first = rectangle(50, -50, 4, 2, 33).repeat(1000, 1)
    noise = torch.randn(1000, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for scale in (1e-3, 1e-7, 1e-12, 1e-16):
        assert (intersection_areas(first, first + scale * noise) - 8).abs().max() < 100 * scale + 1e-12


def test_boxes_without_an_area_have_no_iou() -> None:
    boxes = torch.zeros(2, 9)
    boxes[1, 3:6] = 1
    assert torch.equal(bev_iou(boxes, boxes), torch.tensor([[0.0, 0.0], [0.0, 1.0]], dtype=torch.float64))
    assert torch.equal(volume_iou(boxes, boxes), torch.tensor([[0.0, 0.0], [0.0, 1.0]], dtype=torch.float64))


def test_no_boxes() -> None:
    assert bev_iou(torch.zeros(0, 9), torch.ones(3, 9)).shape == (0, 3)
    assert volume_iou(torch.ones(3, 9), torch.zeros(0, 9)).shape == (3, 0)


def test_only_the_wanted_pairs() -> None:
    boxes = random_boxes(20, 3, spread=1.0)
    wanted = torch.ones(20, 20, dtype=torch.bool).triu(1)
    np.testing.assert_array_equal(bev_iou(boxes, boxes, wanted), bev_iou(boxes, boxes).triu(1))
