"""Pillar encoding against a per-point twin."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.geometry.grid import BevGrid
from pipeline.networks.pillars import PillarEncoder, PointLayer
from pipeline.networks.segments import segment_max
from tests.reference.networks import pillar_features

GRID = BevGrid(8.0, 1.0)


def cloud(count: int, seed: int, spread: float = 9.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    points = (torch.rand(count, 5, generator=generator) - 0.5) * 2 * spread
    points[:, 2] = (torch.rand(count, generator=generator) - 0.5) * 10
    return points


def twin(encoder: PillarEncoder, points: Tensor, offsets: list[int], linear: nn.Linear, norm: nn.BatchNorm1d) -> Tensor:
    """One-layer encoder from the per-point features and torch's own linear layer and batch norm."""
    size = encoder.grid.size
    keys, rows = [], []
    for b in range(len(offsets) - 1):
        frame = points[offsets[b] : offsets[b + 1]].double().numpy()
        for (row, column), features in pillar_features(frame, encoder.grid, encoder.z_min, encoder.z_max).items():
            keys.append((b, row, column, len(features)))
            rows.append(torch.from_numpy(features).float())
    encoded = torch.relu(norm(linear(torch.cat(rows))))
    bev = torch.zeros(len(offsets) - 1, encoder.out_channels, size, size)
    start = 0
    for b, row, column, count in keys:
        bev[b, :, row, column] = encoded[start : start + count].max(0).values
        start += count
    return bev


@pytest.mark.parametrize("training", [True, False])
def test_encoder_equals_the_twin_in_value_and_gradient(training: bool) -> None:
    torch.manual_seed(0)
    encoder = PillarEncoder([6], GRID, -3.0, 3.0).train(training)
    layer = encoder.layers[0]
    assert isinstance(layer, PointLayer)
    nn.init.uniform_(layer.norm.weight, -1, 1)  # a negative weight turns maxima into minima of the linear map
    linear, norm = nn.Linear(10, 6, bias=False), nn.BatchNorm1d(6, eps=1e-3, momentum=0.1).train(training)
    linear.load_state_dict(layer.linear.state_dict())
    norm.load_state_dict(layer.norm.state_dict())
    points, offsets = cloud(300, 1), [0, 180, 180, 300]
    ours = encoder(points, torch.tensor(offsets))
    wanted = twin(encoder, points, offsets, linear, norm)
    torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-5)
    weights = torch.randn(ours.shape, generator=torch.Generator().manual_seed(2))
    torch.autograd.backward((ours * weights).sum())
    torch.autograd.backward((wanted * weights).sum())
    torch.testing.assert_close(layer.linear.weight.grad, linear.weight.grad, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(layer.norm.weight.grad, norm.weight.grad, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(layer.norm.bias.grad, norm.bias.grad, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(layer.norm.running_mean, norm.running_mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer.norm.running_var, norm.running_var, rtol=1e-4, atol=1e-5)
    assert layer.norm.num_batches_tracked == norm.num_batches_tracked


def test_one_point_lands_in_its_cell() -> None:
    encoder = PillarEncoder([4], GRID, -3.0, 3.0).eval()
    layer = encoder.layers[0]
    assert isinstance(layer, PointLayer)
    nn.init.constant_(layer.norm.bias, 5.0)
    bev = encoder(torch.tensor([[2.3, -6.8, 0.0, 0.5, 0.0]]), torch.tensor([0, 0, 1]))
    hit = bev.abs().sum(1).nonzero().tolist()
    assert hit == [[1, 1, 10]]  # frame 1, row of y = -6.8, column of x = 2.3
    assert np.allclose(GRID.centres()[1, 10], [2.5, -6.5])


@pytest.mark.parametrize("channels", [[8], [8, 8]])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_points_pass_forward_and_backward(channels: list[int], count: int) -> None:
    encoder = PillarEncoder(channels, GRID, -3.0, 3.0).train()
    bev = encoder(torch.zeros(count, 5), torch.tensor([0, 0, count]))
    assert bev.shape == (2, 8, 16, 16)
    assert torch.isfinite(bev).all()
    torch.autograd.backward(bev.sum())
    for parameter in encoder.parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()


def test_points_off_the_grid_and_broken_ones_are_ignored() -> None:
    encoder = PillarEncoder([4], GRID, -3.0, 3.0).eval()
    points = cloud(50, 3, spread=7.0).clamp(-7, 7)
    points[:, 2] = 0
    bad = torch.tensor([[8.0, 0, 0, 0, 0], [0, -8.01, 0, 0, 0], [0, 0, 3.0, 0, 0], [torch.nan, 0, 0, 0, 0]])
    alone = encoder(points, torch.tensor([0, 50]))
    mixed = encoder(torch.cat([bad, points]), torch.tensor([0, 54]))
    assert torch.equal(alone, mixed)


def test_two_layers_reach_every_parameter() -> None:
    torch.manual_seed(0)
    encoder = PillarEncoder([8, 12], GRID, -3.0, 3.0)
    bev = encoder(cloud(200, 4), torch.tensor([0, 200]))
    assert bev.shape == (1, 12, 16, 16)
    torch.autograd.backward((bev**2).sum())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


def test_segment_max_shares_the_gradient_of_ties() -> None:
    values = torch.tensor([[1.0], [3.0], [3.0], [2.0]], requires_grad=True)
    result = segment_max(values, torch.tensor([0, 0, 0, 2]), 3)
    assert result.flatten().tolist() == [3.0, -torch.inf, 2.0]
    torch.autograd.backward(result[[0, 2]].sum())
    assert values.grad is not None
    assert values.grad.flatten().tolist() == [0, 0.5, 0.5, 1.0]


def test_segment_max_gradient_equals_autograd() -> None:
    generator = torch.Generator().manual_seed(5)
    segments = torch.randint(0, 7, (60,), generator=generator)
    values = torch.randn(60, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: segment_max(x, segments, 7), values)


def test_point_gradient_exists_for_attacks() -> None:
    points = cloud(40, 6).requires_grad_()
    torch.autograd.backward((PillarEncoder([4], GRID, -3.0, 3.0).eval()(points, torch.tensor([0, 40])) ** 2).sum())
    assert points.grad is not None
    assert torch.isfinite(points.grad).all()
    assert points.grad.abs().sum() > 0
