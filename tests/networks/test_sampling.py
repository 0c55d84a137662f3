"""Bilinear BEV sampling."""

import pytest
import torch

from pipeline.geometry.grid import BevGrid
from pipeline.networks.projector import Projector
from pipeline.networks.sampling import sample_bev
from tests.reference import networks as twins

GRID = BevGrid(4.0, 0.8)


def test_equals_torch_grid_sample_in_value_and_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    positions = (torch.rand(60, 2, generator=generator) - 0.5) * 10  # some off the grid
    frame = torch.randint(0, 2, (60,), generator=generator)
    weights = torch.randn(60, 3, generator=generator)
    bev = torch.randn(2, 3, 10, 10, generator=generator)
    results = []
    for function in (sample_bev, twins.sample_bev):
        own = bev.clone().requires_grad_()
        sampled = function(own, positions, frame, GRID)
        torch.autograd.backward((sampled * weights).sum())
        results.append((sampled, own.grad))
    for ours, wanted in zip(*results, strict=True):
        assert ours is not None
        torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels_last", [False, True])
def test_coordinate_map_returns_own_position(channels_last: bool) -> None:
    """Trap 9.1: within half a cell everywhere, exact away from the edge."""
    bev = torch.from_numpy(GRID.centres()).permute(2, 0, 1)[None].repeat(2, 1, 1, 1)
    if channels_last:
        bev = bev.contiguous(memory_format=torch.channels_last)
    positions = (torch.rand(500, 2, generator=torch.Generator().manual_seed(1)) - 0.5) * 2 * GRID.reach
    read = sample_bev(bev, positions, torch.arange(500) % 2, GRID)
    assert (read - positions).abs().max() <= GRID.cell / 2 + 1e-5
    inner = positions.abs().max(1).values < GRID.reach - GRID.cell / 2
    torch.testing.assert_close(read[inner], positions[inner], rtol=0, atol=1e-5)


def test_off_the_grid_is_zero_and_no_points_is_fine() -> None:
    bev = torch.ones(1, 2, 10, 10)
    positions = torch.tensor([[4.0, 0.0], [-4.0, 0.0], [0.0, -4.1], [3.999, 3.999]])
    read = sample_bev(bev, positions, torch.zeros(4, dtype=torch.int64), GRID)
    assert read[:, 0].tolist() == pytest.approx([0, 1, 0, 1])
    empty = sample_bev(bev.requires_grad_(), torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), GRID)
    assert empty.shape == (0, 2)
    torch.autograd.backward(empty.sum())


def test_projector_gives_unit_vectors() -> None:
    projector = Projector(6, 16)
    for count in (0, 1, 5):
        embedded = projector(torch.randn(count, 6))
        torch.testing.assert_close(embedded.norm(dim=1), torch.ones(count))
    assert torch.isfinite(projector(torch.zeros(1, 6))).all()
