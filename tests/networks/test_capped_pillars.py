"""The capped encoder against mmdetection3d's padded layout."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.frames.points import read_points
from pipeline.geometry.grid import BevGrid
from pipeline.networks.capped_pillars import FEATURES, CappedPillarEncoder
from pipeline.networks.layers import NORM_MOMENTUM
from pipeline.networks.pillars import PointLayer
from pipeline.networks.slots import slot_expand, slot_max, slot_sum
from tests.reference.padded_pillars import PaddedPillarNet, hard_voxelize, scatter

GRID = BevGrid(4.0, 0.5)
LOW, CELL = np.array([-4.0, -4.0, -5.0], np.float32), np.array([0.5, 0.5, 8.0], np.float32)
ROOT = Path(os.environ.get("CALICO_REAL_DATA", Path(__file__).parents[3] / "shared" / "data" / "nuscenes"))
SIZES = [5, 3, 3, 1]


def cloud(count: int, seed: int) -> Tensor:
    """Crowded in the middle: pillars with one point and with many."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(count, 5, generator=generator) * 1.5
    points[:, 3:] = torch.rand(count, 2, generator=generator)
    return points


def build(channels: list[int], max_points: int, max_pillars: tuple[int, int] | None = None) -> CappedPillarEncoder:
    torch.manual_seed(0)
    encoder = CappedPillarEncoder(channels, GRID, -5.0, 3.0, max_points, max_pillars)
    for layer in encoder.layers:
        assert isinstance(layer, PointLayer)
        nn.init.uniform_(layer.norm.weight, -1, 1)  # a negative weight turns maxima into minima of the linear map
        nn.init.uniform_(layer.norm.bias, -1, 1)  # unused slots become more than zero
    return encoder


def upstream(encoder: CappedPillarEncoder, channels: list[int]) -> PaddedPillarNet:
    """The padded network with the same weights; upstream's features are not scaled, so its first weights are."""
    net = PaddedPillarNet(channels, LOW, CELL, NORM_MOMENTUM)
    state = encoder.state_dict()
    state["layers.0.linear.weight"] = state["layers.0.linear.weight"] * torch.tensor(encoder._scale)
    net.load_state_dict(state)
    return net.train(encoder.training)


def run_upstream(net: PaddedPillarNet, points: Tensor, offsets: list[int], max_points: int, max_pillars: int) -> Tensor:
    parts = []
    for b in range(len(offsets) - 1):
        own = points[offsets[b] : offsets[b + 1]].numpy()
        found = hard_voxelize(own, LOW, CELL, np.array([16, 16, 1]), max_points, max_pillars)
        parts.append([*map(torch.from_numpy, found), torch.full((len(found[0]),), b)])
    voxels, coordinates, counts, frame = (torch.cat(part) for part in zip(*parts, strict=True))
    return scatter(net(voxels, coordinates, counts), coordinates, frame, len(offsets) - 1, 16)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("channels", "max_points", "max_pillars"),
    [([6], 4, None), ([8, 6], 4, None), ([8, 8, 6], 3, None), ([8, 6], 20, None), ([8, 6], 4, (40, 60))],
)
def test_it_equals_upstream_in_value_and_gradient(
    channels: list[int], max_points: int, max_pillars: tuple[int, int] | None, training: bool
) -> None:
    encoder = build(channels, max_points, max_pillars).train(training)
    net = upstream(encoder, channels)
    points, offsets = cloud(700, 1), [0, 400, 400, 700]
    ours = encoder(points, torch.tensor(offsets))
    limit = 256 if max_pillars is None else max_pillars[0 if training else 1]
    wanted = run_upstream(net, points, offsets, max_points, limit)
    torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-4)
    assert wanted[0].any(0).sum() <= limit
    weights = torch.randn(ours.shape, generator=torch.Generator().manual_seed(2))
    torch.autograd.backward((ours * weights).sum())
    torch.autograd.backward((wanted * weights).sum())
    others = dict(net.named_parameters())
    for name, own in encoder.named_parameters():
        theirs = others[name].grad
        assert own.grad is not None and theirs is not None
        theirs = theirs * torch.tensor(encoder._scale) if name == "layers.0.linear.weight" else theirs
        torch.testing.assert_close(own.grad, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))
    buffers = dict(net.named_buffers())
    for name, value in encoder.named_buffers():
        torch.testing.assert_close(value, buffers[name], rtol=1e-4, atol=1e-5)


@pytest.mark.real_data
@pytest.mark.skipif(not ROOT.is_dir(), reason=f"no recorded data at {ROOT}; set CALICO_REAL_DATA")
@pytest.mark.parametrize("training", [True, False])
def test_it_equals_upstream_on_a_recorded_sweep_at_paper_size(training: bool) -> None:
    points = torch.from_numpy(read_points(next((ROOT / "samples" / "LIDAR_TOP").glob("*.pcd.bin"))))
    torch.manual_seed(0)
    encoder = CappedPillarEncoder([64, 64], BevGrid(51.2, 0.2), -5.0, 3.0, 20, [30_000, 60_000]).train(training)
    low, cell = np.array([-51.2, -51.2, -5.0], np.float32), np.array([0.2, 0.2, 8.0], np.float32)
    net = PaddedPillarNet([64, 64], low, cell, NORM_MOMENTUM).train(training)
    state = encoder.state_dict()
    state["layers.0.linear.weight"] = state["layers.0.linear.weight"] * torch.tensor(encoder._scale)
    net.load_state_dict(state)
    found = hard_voxelize(points.numpy(), low, cell, np.array([512, 512, 1]), 20, 30_000)
    voxels, coordinates, counts = map(torch.from_numpy, found)
    with torch.no_grad():
        encoded = net(voxels, coordinates, counts)
        bev = encoder(points, torch.tensor([0, len(points)]))
    assert len(encoded) > 5000 and counts.max() == 20
    # Normalised by this sweep's own statistics values reach 20, and both sides are 1e-4 from their double precision.
    size = float(encoded.max()) if training else 1
    torch.testing.assert_close(bev[0, :, coordinates[:, 1], coordinates[:, 2]].T, encoded, rtol=1e-4, atol=1e-4 * size)
    assert bev.any(1).sum() <= len(encoded)


def test_only_the_first_points_and_pillars_count() -> None:
    encoder = build([8, 6], 2, (1, 2)).eval()
    crowd = torch.tensor([[0.1, 0.1, 0, 0.5, 0], [0.3, 0.2, 1, 0.1, 0], [0.4, 0.4, 2, 0.9, 0]])
    other, late = torch.tensor([[2.1, 2.1, 0, 0.5, 0]]), torch.tensor([[-2.1, 2.1, 0, 0.5, 0]])
    with torch.no_grad():
        few = encoder(torch.cat([crowd[:2], other]), torch.tensor([0, 3]))
        all_of_them = encoder(torch.cat([crowd[:2], other, late, crowd[2:]]), torch.tensor([0, 5]))
        turned = encoder(torch.cat([crowd.flip(0), other]), torch.tensor([0, 4]))
    assert torch.equal(few, all_of_them)
    assert not torch.equal(few, turned)
    assert encoder.train()(torch.cat([crowd, other]), torch.tensor([0, 4])).any(1).sum() == 1


@pytest.mark.parametrize("channels", [[8], [8, 8]])
@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("max_points", [1, 20])
def test_few_points_pass_forward_and_backward(channels: list[int], count: int, max_points: int) -> None:
    encoder = build(channels, max_points, (5, 5)).train()
    bev = encoder(torch.zeros(count, 5), torch.tensor([0, 0, count]))
    assert bev.shape == (2, 8, 16, 16)
    assert torch.isfinite(bev).all()
    torch.autograd.backward(bev.sum())
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in encoder.parameters())


def test_points_off_the_grid_and_broken_ones_are_ignored() -> None:
    encoder = build([4], 3, (9, 9)).eval()
    points = cloud(50, 3).clamp(-3.9, 2.9)
    bad = torch.tensor([[4.0, 0, 0, 0, 0], [0, -4.01, 0, 0, 0], [0, 0, 3.0, 0, 0], [torch.nan, 0, 0, 0, 0]])
    alone = encoder(points, torch.tensor([0, 50]))
    assert torch.equal(alone, encoder(torch.cat([bad, points]), torch.tensor([0, 54])))


def test_gradient_reaches_every_parameter_and_the_points() -> None:
    encoder, points = build([8, 12], 5), cloud(200, 4).requires_grad_()
    bev = encoder(points, torch.tensor([0, 200]))
    torch.autograd.backward((bev**2).sum())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in [points, *encoder.parameters()])
    assert FEATURES == 11


@pytest.mark.parametrize("reduce", [slot_max, slot_sum, slot_expand])
def test_slot_gradients_equal_numerical_ones(reduce: object) -> None:
    rows = torch.randn(SIZES[0] if reduce is slot_expand else sum(SIZES), 3, dtype=torch.float64, requires_grad=True)
    assert callable(reduce)
    assert torch.autograd.gradcheck(lambda x: reduce(x, SIZES), rows)


def test_slots_by_hand() -> None:
    rows = torch.tensor([[1.0], [2.0], [3.0], [3.0]], requires_grad=True)  # groups: (1, 3, 3) and (2,)
    highest = slot_max(rows, [2, 1, 1])
    assert highest.flatten().tolist() == [3, 2]
    assert slot_sum(rows, [2, 1, 1]).flatten().tolist() == [7, 2]
    assert slot_expand(highest, [2, 1, 1]).flatten().tolist() == [3, 2, 3, 3]
    torch.autograd.backward(highest.sum())
    assert rows.grad is not None
    assert rows.grad.flatten().tolist() == [0, 1, 0.5, 0.5]
