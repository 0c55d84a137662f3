"""VoxelNet: its sparse convolutions against dense ones."""

import dataclasses
import math
import sys

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import UserError
from pipeline.geometry.grid import BevGrid
from pipeline.networks.lidar import LidarBranch
from pipeline.networks.voxels import ResidualBlock, VoxelEncoder
from pipeline.params import Grid, LidarNetwork, Networks

GRID = BevGrid(3.2, 0.4)
CHANNELS = [4, 6, 8]


def cloud(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(count, 5, generator=generator)
    points[:, :3] = (points[:, :3] - 0.5) * torch.tensor([6.6, 6.6, 8.2]) - torch.tensor([0.0, 0.0, 1.0])
    return points


def build(seed: int = 0) -> VoxelEncoder:
    torch.manual_seed(seed)
    encoder = VoxelEncoder(CHANNELS, GRID, -5.0, 3.0, 0.5)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.bias, -0.5, 0.5)
            assert module.running_mean is not None
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
    return encoder


def dense_twin(encoder: VoxelEncoder, points: Tensor) -> Tensor:
    """One frame through dense convolutions; a mask keeps what is not active at zero."""
    layers, size = encoder.layers + 1, encoder.grid.size
    members: dict[tuple[int, int, int], list[Tensor]] = {}
    for point in points:
        x, y, z = (float(value) for value in point[:3])
        place = (math.floor((z + 5) / 0.5), math.floor((y + 3.2) / 0.4), math.floor((x + 3.2) / 0.4))
        if 0 <= place[0] < encoder.layers and 0 <= place[1] < size and 0 <= place[2] < size:
            members.setdefault(place, []).append(point)
    volume, active = torch.zeros(1, 5, layers, size, size), torch.zeros(1, 1, layers, size, size)
    for (z, y, x), rows in members.items():
        volume[0, :, z, y, x] = torch.stack(rows).mean(0) * torch.tensor(encoder._scale)
        active[0, 0, z, y, x] = 1

    def convolve(pair: nn.Module, volume: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        sparse, norm = pair[0], pair[1]  # type: ignore[index]
        stride, padding = tuple(sparse.stride), tuple(sparse.padding)
        if not sparse.subm:
            active = functional.max_pool3d(active, tuple(sparse.kernel_size), stride, padding)
        volume = functional.conv3d(volume, sparse.weight.permute(0, 4, 1, 2, 3), stride=stride, padding=padding)
        rows = volume.permute(0, 2, 3, 4, 1)[active[:, 0] > 0]
        volume = (
            torch.zeros_like(volume)
            .permute(0, 2, 3, 4, 1)
            .index_put((active[:, 0] > 0).nonzero(as_tuple=True), norm(rows))
        )
        return volume.permute(0, 4, 1, 2, 3), active

    for stage in encoder.stages:
        if isinstance(stage, ResidualBlock):
            before = volume
            volume, active = convolve(stage.first, volume, active)
            volume, active = convolve(stage.second, torch.relu(volume), active)
            volume = torch.relu(volume + before)
        else:
            volume, active = convolve(stage, volume, active)
            volume = torch.relu(volume)
    return volume.flatten(1, 2)


@pytest.mark.parametrize("training", [True, False])
def test_sparse_equals_dense_on_the_same_active_voxels(training: bool) -> None:
    encoder, twin = build().train(training), build().train(training)
    points = cloud(300, 1)
    ours, wanted = encoder(points, torch.tensor([0, 300])), dense_twin(twin, points)
    assert ours.shape == wanted.shape == (1, encoder.out_channels, 4, 4)
    torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-5)
    assert (wanted != 0).any() and (wanted == 0).any()
    weights = torch.randn(ours.shape, generator=torch.Generator().manual_seed(2))
    torch.autograd.backward((ours * weights).sum())
    torch.autograd.backward((wanted * weights).sum())
    for own, other in zip(encoder.parameters(), twin.parameters(), strict=True):
        assert own.grad is not None and other.grad is not None and own.grad.abs().sum() > 0
        torch.testing.assert_close(own.grad, other.grad, rtol=1e-3, atol=1e-4 * float(other.grad.abs().max()))
    for value, wanted in zip(encoder.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-4, atol=1e-5)


def test_points_off_the_grid_and_broken_ones_are_ignored() -> None:
    encoder, points = build().eval(), cloud(50, 3) * 0.9
    bad = torch.tensor([[3.2, 0, 0, 0, 0], [0, -3.21, 0, 0, 0], [0, 0, 3.0, 0, 0], [0, 0, torch.nan, 0, 0]])
    alone = encoder(points, torch.tensor([0, 50]))
    torch.testing.assert_close(alone, encoder(torch.cat([bad, points]), torch.tensor([0, 54])), rtol=0, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_points_pass(count: int, training: bool) -> None:
    encoder = build().train(training)
    bev = encoder(torch.zeros(count, 5), torch.tensor([0, 0, count, count]))
    assert bev.shape == (3, encoder.out_channels, 4, 4)
    assert torch.isfinite(bev).all()
    assert not bev[0].any() and not bev[2].any()
    torch.autograd.backward(bev.sum())
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in encoder.parameters())


@pytest.fixture
def voxels(networks: Networks) -> tuple[LidarNetwork, Grid]:
    network = dataclasses.replace(networks.lidar, encoder="voxels", block_strides=[1, 2], voxel_channels=[4, 8, 8])
    return network, dataclasses.replace(networks.grid, stride=4)


def test_one_point_stays_at_its_place(networks: Networks) -> None:
    cells = networks.grid.pillar_grid
    encoder = VoxelEncoder([4, 4, 4], cells, -5.0, 3.0, 0.25).eval()
    for parameter in encoder.parameters():
        if parameter.dim() > 1:
            nn.init.constant_(parameter, 0.1)
    grid = cells.coarser(encoder.stride)
    for position in ([6.3, -9.1], [-4.1, 2.9], [0.1, 0.1]):
        with torch.no_grad():
            answer = encoder(torch.tensor([[*position, 1.1, 1.0, 1.0]]), torch.tensor([0, 1])).sum(1)[0]
        middle = (torch.from_numpy(grid.centres()) * answer[..., None]).sum((0, 1)) / answer.sum()
        assert (middle - torch.tensor(position)).abs().max() <= grid.cell


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="does not divide"):
        VoxelEncoder(CHANNELS, GRID, -5.0, 3.0, 0.3)
    with pytest.raises(ValueError, match="leaves no layer of z"):
        VoxelEncoder([4, 4, 4, 4], GRID, -5.0, 3.0, 1.0)
    with pytest.raises(ValueError, match="stride 32"):
        VoxelEncoder([4] * 6, GRID, -5.0, 3.0, 0.1)


def test_the_papers_sizes() -> None:
    encoder = VoxelEncoder([16, 32, 64, 128], BevGrid(51.2, 0.1), -5.0, 3.0, 0.2)
    assert (encoder.layers + 1, encoder.out_channels, encoder.stride) == (41, 256, 8)


def test_without_spconv_the_error_says_what_to_do(
    voxels: tuple[LidarNetwork, Grid], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "pipeline.networks.voxels")
    monkeypatch.setitem(sys.modules, "spconv.pytorch", None)
    with pytest.raises(UserError) as caught:
        LidarBranch(*voxels)
    assert "networks.lidar.encoder: pillars" in caught.value.remedy
