"""Suppression against the greedy twin with shapely's IoU."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.networks.heads.suppression import suppress
from pipeline.params.classes import DETECTION_CLASSES
from tests.reference import heads as twins
from tests.small_heads import SIX_GROUPS, small_heads

GROUP_OF = np.array([next(g for g, group in enumerate(SIX_GROUPS) if name in group) for name in DETECTION_CLASSES])


def crowd(seed: int, count: int = 150) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(count, 9, generator=generator)
    boxes[:, :2] = (boxes[:, :2] - 0.5) * 16
    boxes[:, 3:6] = boxes[:, 3:6] * 4 + 0.5
    boxes[:, 6] *= 6
    return boxes, torch.randint(0, 10, (count,), generator=generator)


@pytest.mark.parametrize("within", ["class", "group"])
def test_circle_nms_equals_the_loop(within: str) -> None:
    boxes, classes = crowd(0)
    heads = small_heads(groups=SIX_GROUPS, nms="circle", nms_within=within, max_boxes=1000)
    radii = [heads.nms_radii[DETECTION_CLASSES[k]] for k in classes]
    kinds = classes.numpy() if within == "class" else GROUP_OF[classes]
    places = boxes.double()
    wanted = twins.suppression(
        boxes.numpy(), kinds, lambda better, i: math.dist(places[better, :2], places[i, :2]) <= radii[better]
    )
    assert suppress(boxes, classes, heads).tolist() == wanted
    assert 20 < len(wanted) < 140


@pytest.mark.parametrize("within", ["class", "group"])
def test_rotated_nms_equals_shapelys_loop(within: str) -> None:
    boxes, classes = crowd(1)
    limits = {name: 0.05 + 0.03 * k for k, name in enumerate(DETECTION_CLASSES)}
    heads = small_heads(groups=SIX_GROUPS, nms="rotated", nms_within=within, max_boxes=1000, nms_ious=limits)
    kinds = classes.numpy() if within == "class" else GROUP_OF[classes]
    rows = boxes.double().numpy()
    wanted = twins.suppression(
        rows, kinds, lambda better, i: twins.bev_iou(rows[better], rows[i]) > limits[DETECTION_CLASSES[classes[better]]]
    )
    assert suppress(boxes, classes, heads).tolist() == wanted
    assert 20 < len(wanted) < 140


def test_class_and_group_differ_for_a_truck_on_a_construction_vehicle() -> None:
    boxes, classes = crowd(2, count=1).__getitem__(0).repeat(3, 1), torch.tensor([1, 4, 0])  # truck, vehicle, car
    for nms in ("circle", "rotated"):
        choice: dict[str, Any] = {"groups": SIX_GROUPS, "nms": nms}
        assert suppress(boxes, classes, small_heads(nms_within="class", **choice)).tolist() == [0, 1, 2]
        assert suppress(boxes, classes, small_heads(nms_within="group", **choice)).tolist() == [0, 2]


@pytest.mark.parametrize("nms", ["none", "circle", "rotated"])
def test_limit_keeps_the_best(nms: str) -> None:
    boxes, classes = crowd(3)
    everything = suppress(boxes, classes, small_heads(nms=nms, max_boxes=1000))
    assert suppress(boxes, classes, small_heads(nms=nms, max_boxes=7)).tolist() == everything[:7].tolist()
    assert (len(everything) == len(boxes)) == (nms == "none")


@pytest.mark.parametrize("nms", ["none", "circle", "rotated"])
def test_no_boxes(nms: str) -> None:
    kept = suppress(torch.zeros(0, 9), torch.zeros(0, dtype=torch.int64), small_heads(nms=nms))
    assert kept.dtype == torch.int64 and kept.tolist() == []


def test_equal_boxes_leave_one() -> None:
    boxes, classes = crowd(4, count=1)
    for nms in ("circle", "rotated"):
        assert suppress(boxes.repeat(9, 1), classes.repeat(9), small_heads(nms=nms)).tolist() == [0]
