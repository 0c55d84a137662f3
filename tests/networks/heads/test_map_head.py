"""Map head: resampling and overfitting."""

import pytest
import torch

from pipeline.geometry.grid import BevGrid
from pipeline.networks.heads.map import MapHead, resampling_matrix
from pipeline.networks.sampling import sample_bev
from pipeline.objectives.map_segmentation import map_loss
from pipeline.params import Networks


@pytest.mark.parametrize("target", [BevGrid(6.0, 0.5), BevGrid(8.0, 0.5), BevGrid(10.0, 1.0)])
def test_resampling_equals_point_sampling(target: BevGrid) -> None:
    source = BevGrid(8.0, 0.8)
    bev = torch.randn(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    matrix = resampling_matrix(source, target)
    ours = torch.einsum("yr,bcrs,xs->bcyx", matrix, bev, matrix)
    centres = torch.from_numpy(target.centres()).view(-1, 2)
    wanted = sample_bev(bev, centres, torch.zeros(len(centres), dtype=torch.int64), source)
    torch.testing.assert_close(ours[0].flatten(1).T, wanted, rtol=1e-4, atol=1e-5)


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
    assert ((head(bev) > 0).float() == masks).float().mean() > 0.99
