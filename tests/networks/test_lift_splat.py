"""Lift-splat against the volume, and its geometry."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.geometry.grid import BevGrid
from pipeline.networks.lift_splat import PLANS_KEPT, LiftSplat, depth_bins, feature_pixels, frustum_cells
from tests.reference import networks as twins

GRID = BevGrid(16.0, 0.8)


def rig(count: int) -> Tensor:
    """Cameras 1.5 m above the LiDAR looking around; bev_from_image [count, 4, 4] for 176 x 64 pixels."""
    intrinsics = torch.tensor([[140.0, 0, 87.5], [0, 140.0, 31.5], [0, 0, 1]])
    matrices = torch.eye(4).repeat(count, 1, 1)
    for n in range(count):
        angle = 2 * math.pi * n / count + 0.1  # no ray along a cell border
        cos, sin = math.cos(angle), math.sin(angle)
        bev_from_camera = torch.tensor([[sin, 0, cos], [-cos, 0, sin], [0, -1.0, 0]])
        matrices[n, :3, :3] = bev_from_camera @ torch.linalg.inv(intrinsics)
        matrices[n, :3, 3] = torch.tensor([0.37 * cos, 0.37 * sin, 1.5])
    return matrices


def test_frustum_cells_equal_one_pixel_at_a_time() -> None:
    matrices, frame = rig(3), torch.tensor([0, 0, 1])
    pixels, depths = feature_pixels((4, 11), (64, 176)), depth_bins(1.0, 24.0, 1.5)
    cells = frustum_cells(matrices, frame, pixels, depths, GRID)
    assert (cells >= 0).any()
    assert (cells < 0).any()
    for m in range(3):
        for i in range(4):
            for j in range(11):
                for k, depth in enumerate(depths.tolist()):
                    u, v = j * 16 + 7.5, i * 16 + 7.5  # the centre of pixels 16 j ... 16 j + 15
                    hit = twins.frustum_cell(matrices[m].double().numpy(), u, v, depth, GRID)
                    wanted = -1 if hit is None else (int(frame[m]) * GRID.size + hit[0]) * GRID.size + hit[1]
                    assert int(cells[m, i, j, k]) == wanted


def test_flat_cells_stay_exact_beyond_float32() -> None:
    grid = BevGrid(51.2, 0.05)  # 2048 x 2048 cells: frame 3 starts at 12.6 million, frame 4 at 16.8 million = 2**24
    cells = frustum_cells(
        torch.eye(4)[None], torch.tensor([4]), torch.tensor([[[0.11, 0.0, 1.0]]]), torch.ones(1), grid
    )
    assert int(cells) == (4 * 2048 + 1024) * 2048 + 1026


def test_peaked_depth_lights_the_expected_cell() -> None:
    module = LiftSplat(5, 2, (1.0, 20.0, 1.0), (8, 22), (64, 176), GRID)
    torch.nn.init.zeros_(module.project.weight)
    assert module.project.bias is not None
    torch.nn.init.zeros_(module.project.bias)
    weight = module.project.weight.data
    weight[9, 0] = 100.0  # channel 0 shouts "bin 9", which is 10 m
    weight[19, 1] = 1.0  # channel 1 is the context
    features = torch.zeros(2, 5, 8, 22)
    features[1, :2, 4, 15] = 1.0
    bev, logits = module(features, rig(4)[[0, 1]], torch.tensor([0, 1]), 3)
    assert logits[1, 4, 15].argmax() == 9
    assert bev.shape == (3, 2, GRID.size, GRID.size)
    hits = (bev[:, 0] > 0.5).nonzero()
    u, v = 15 * 8 + 3.5, 4 * 8 + 3.5
    place = rig(4)[1].double().numpy() @ np.array([u * 10, v * 10, 10, 1.0])
    assert len(hits) == 1
    frame, row, column = hits[0].tolist()
    assert frame == 1
    assert np.abs(GRID.centres()[row, column] - place[:2]).max() <= GRID.cell / 2 + 1e-5


def test_own_coordinates_come_back_within_half_a_cell() -> None:
    """Trap 9.1 for the camera: what a pixel splats is read back where the pixel's ray is at that depth."""
    grid = BevGrid(16.0, 0.4)
    depths, pixels, matrices = depth_bins(2.0, 14.0, 1.0), feature_pixels((8, 22), (64, 176)), rig(6)
    cells = frustum_cells(matrices, torch.zeros(6, dtype=torch.int64), pixels, depths, grid)
    rays = torch.einsum("mij,hwj->mhwi", matrices[:, :3, :3], pixels)
    places = rays[..., None, :] * depths[:, None] + matrices[:, None, None, None, :3, 3]
    kept = cells >= 0
    assert kept.float().mean() > 0.8
    centres = torch.from_numpy(grid.centres()).view(-1, 2)[cells[kept].long()]
    assert (centres - places[kept][:, :2]).abs().max() <= grid.cell / 2 + 1e-5


@pytest.mark.parametrize(("depth", "count"), [((1.0, 60.0, 0.5), 118), ((1.0, 45.0, 1.0), 44)])
def test_depth_bins_of_the_paper(depth: tuple[float, float, float], count: int) -> None:
    assert len(depth_bins(*depth)) == count


def test_plans_of_a_fixed_rig_are_kept_at_test_time() -> None:
    torch.manual_seed(0)
    module = LiftSplat(5, 3, (1.0, 20.0, 1.0), (8, 22), (64, 176), GRID).eval()
    features, frame = torch.randn(2, 5, 8, 22), torch.tensor([0, 1])
    with torch.no_grad():
        first = module(features, rig(4)[:2], frame, 2)[0]
        (kept,) = module.plans.values()
        assert torch.equal(module(features, rig(4)[:2], frame, 2)[0], first)
        assert list(module.plans.values()) == [kept]
        # Another geometry, another order of frames and another batch are no old plan.
        for matrices, frames, count in (
            (rig(4)[1:3], frame, 2),
            (rig(4)[:2], frame.flip(0), 2),
            (rig(4)[:2], frame, 3),
        ):
            ours = module(features, matrices, frames, count)[0]
            module.train()
            assert torch.equal(ours, module(features, matrices, frames, count)[0])
            assert not module.plans
            module.eval()
        for angle in range(5):
            module(features, rig(6)[angle : angle + 1].expand(2, 4, 4), frame, 2)
    assert len(module.plans) == PLANS_KEPT
    assert not [name for name in module.state_dict() if "plan" in name]
