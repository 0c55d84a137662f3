"""Depth targets against one point at a time, and their loss."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.geometry.grid import BevGrid
from pipeline.networks.lift_splat import depth_bins, feature_pixels, frustum_cells
from pipeline.objectives.depth import NO_TARGET, depth_loss, depth_targets
from tests.reference import networks as twins

FEATURES, SIZE, DEPTHS = (4, 11), (64, 176), depth_bins(1.0, 20.0, 1.0)


def rig() -> Tensor:
    """Two frames of six cameras that look around, the second frame turned and enlarged; bev_from_image [2, 6, 4, 4]."""
    intrinsics = torch.tensor([[140.0, 0, 87.5], [0, 140.0, 31.5], [0, 0, 1]])
    matrices = torch.eye(4).repeat(2, 6, 1, 1)
    for frame, scale in enumerate((1.0, 1.07)):
        for n in range(6):
            angle = math.pi * n / 3 + 0.2 * frame
            cos, sin = math.cos(angle), math.sin(angle)
            turned = torch.tensor([[sin, 0, cos], [-cos, 0, sin], [0, -1.0, 0]])
            matrices[frame, n, :3, :3] = scale * turned @ torch.linalg.inv(intrinsics)
            matrices[frame, n, :3, 3] = scale * torch.tensor([0.4 * cos, 0.4 * sin, 1.2])
    return matrices


def cloud() -> Tensor:
    points = torch.rand(900, 5, generator=torch.Generator().manual_seed(0))
    points[:, :2] = (points[:, :2] - 0.5) * 50
    points[:, 2] = points[:, 2] * 4 - 1
    points[:, 4] = (points[:, 4] > 0.8) * 0.05  # every fifth is of an earlier sweep
    return points


def targets(points: Tensor, offsets: Tensor, matrices: Tensor, present: Tensor) -> Tensor:
    return depth_targets(
        points, offsets, matrices, present, feature_size=FEATURES, image_size=SIZE, depths=DEPTHS
    )  # fmt: skip


def test_targets_equal_one_point_at_a_time() -> None:
    points, matrices = cloud(), rig()
    present = torch.ones(2, 6, dtype=torch.bool)
    present[0, 2] = present[1, 0] = False
    ours = targets(points, torch.tensor([0, 500, 900]), matrices, present)
    assert ours.shape == (10, *FEATURES)
    assert (ours >= 0).sum() > 100
    for image, (frame, camera) in enumerate(present.nonzero().tolist()):
        own = points[:500] if frame == 0 else points[500:]
        inverse = np.linalg.inv(matrices[frame, camera].double().numpy())
        wanted = twins.depth_target(own.double().numpy(), inverse, FEATURES, SIZE, DEPTHS.double().numpy())
        np.testing.assert_array_equal(ours[image].numpy(), wanted)


def test_the_target_bin_splats_where_the_point_lies() -> None:
    """One convention for both: a pixel that believes its target lights the cell of the point that gave it."""
    grid, matrices = BevGrid(24.0, 1.5), rig()[:1, :1]
    pixels = feature_pixels(FEATURES, SIZE)
    place = matrices[0, 0] @ torch.cat([pixels[2, 7] * 9.0, torch.ones(1)])
    point = torch.tensor([[*place[:3].tolist(), 0.5, 0.0]])
    target = targets(point, torch.tensor([0, 1]), matrices, torch.ones(1, 1, dtype=torch.bool))
    ((_, row, column),) = (target >= 0).nonzero().tolist()
    assert (row, column) == (2, 7)
    cells = frustum_cells(matrices[0], torch.zeros(1, dtype=torch.int64), pixels, DEPTHS, grid)
    flat = int(cells[0, row, column, target[0, row, column]])
    wanted_row, wanted_column = (math.floor((float(value) + 24.0) / 1.5) for value in (place[1], place[0]))
    assert divmod(flat, grid.size) == (wanted_row, wanted_column)


def test_loss_is_the_cross_entropy_where_there_are_targets() -> None:
    logits = torch.randn(2, 2, 3, 5, generator=torch.Generator().manual_seed(1), requires_grad=True)
    target = torch.full((2, 2, 3), NO_TARGET)
    target[0, 1, 2], target[1, 0, 0] = 4, 1
    loss = depth_loss(logits, target)
    by_hand = [-float(logits.detach()[i].log_softmax(-1)[t]) for i, t in (((0, 1, 2), 4), ((1, 0, 0), 1))]
    assert float(loss.detach()) == pytest.approx(sum(by_hand) / 2, rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.equal(gradient.any(-1), target >= 0)


@pytest.mark.parametrize("images", [0, 2])
def test_no_target_is_no_loss(images: int) -> None:
    logits = torch.randn(images, 2, 3, 5, requires_grad=True)
    loss = depth_loss(logits, torch.full((images, 2, 3), NO_TARGET))
    torch.autograd.backward(loss)
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_a_uniform_distribution_costs_the_log_of_the_bins() -> None:
    points, present = cloud(), torch.ones(2, 6, dtype=torch.bool)
    target = targets(points, torch.tensor([0, 500, 900]), rig(), present)
    logits = torch.zeros(*target.shape, len(DEPTHS))
    assert float(depth_loss(logits, target)) == pytest.approx(math.log(len(DEPTHS)), rel=1e-5)
