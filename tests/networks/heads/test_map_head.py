"""Map head: resampling and overfitting."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from pipeline.geometry.grid import BevGrid
from pipeline.networks.heads.map import MapHead, resampling_matrix
from pipeline.networks.sampling import sample_bev
from pipeline.objectives.map_segmentation import map_loss
from pipeline.params import Networks
from tests.small_heads import small_heads


@pytest.mark.parametrize("target", [BevGrid(6.0, 0.5), BevGrid(8.0, 0.5), BevGrid(10.0, 1.0)])
def test_resampling_equals_point_sampling(target: BevGrid) -> None:
    source = BevGrid(8.0, 0.8)
    bev = torch.randn(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    matrix = resampling_matrix(source, target)
    ours = torch.einsum("yr,bcrs,xs->bcyx", matrix, bev, matrix)
    centres = torch.from_numpy(target.centres()).view(-1, 2)
    wanted = sample_bev(bev, centres, torch.zeros(len(centres), dtype=torch.int64), source)
    torch.testing.assert_close(ours[0].flatten(1).T, wanted, rtol=1e-4, atol=1e-5)


def test_paper_grid_is_upstreams_grid_sample() -> None:
    """BEVFusion's BEVGridTransform from +-51.2 m at 0.8 m to +-50 m at 0.5 m, and a head of two convolutions."""
    source, target = BevGrid(51.2, 0.8), BevGrid(50.0, 0.5)
    assert (source.size, target.size) == (128, 200)
    bev = torch.randn(1, 2, 128, 128, generator=torch.Generator().manual_seed(0))
    axis = torch.arange(-50 + 0.25, 50, 0.5) / 51.2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    wanted = functional.grid_sample(bev, torch.stack([x, y], -1)[None], mode="bilinear", align_corners=False)
    matrix = resampling_matrix(source, target)
    torch.testing.assert_close(torch.einsum("yr,bcrs,xs->bcyx", matrix, bev, matrix), wanted, rtol=1e-4, atol=1e-5)
    head = MapHead(384, small_heads(map_channels=256, map_reach=50.0, map_cell=0.5), source)
    kernels = [tuple(m.weight.shape) for m in head.modules() if isinstance(m, nn.Conv2d)]
    assert kernels == [(256, 384, 3, 3), (256, 256, 3, 3), (6, 256, 1, 1)]


def test_overfits_two_frames(networks: Networks) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    grid = BevGrid(12.8, 0.8)
    head = MapHead(16, networks.heads, grid)
    assert head.map_grid == BevGrid(12.0, 0.5)
    centres = torch.from_numpy(head.map_grid.centres())
    bands = torch.stack([centres[..., 0] > 3 * k - 9 for k in range(6)]).float()
    masks = torch.stack([bands, bands.transpose(1, 2)])
    bev = torch.randn(2, 16, 32, 32)
    bev[:, 0] = torch.from_numpy(grid.centres()[..., 0])
    bev[1, 0] = bev[0, 0].T
    optimiser = torch.optim.Adam(head.parameters(), 1e-2)
    losses = []
    for _ in range(150):
        optimiser.zero_grad()
        loss = map_loss(head(bev), masks)["loss"]
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.03 * losses[0]
    with torch.no_grad():
        found = head.eval()(bev) > 0
    hits, either = (found & (masks > 0)).sum((2, 3)), (found | (masks > 0)).sum((2, 3))
    assert (hits / either).min() > 0.95
