"""BEV map segmentation head."""

import torch
from torch import Tensor, nn

from pipeline.geometry.grid import BevGrid
from pipeline.networks.layers import conv_block, start_at_prior, to_channels_last
from pipeline.params import Heads

MAP_CLASSES = 6  # drivable_area, ped_crossing, walkway, stop_line, carpark_area, divider
PRIOR = 0.1  # share of a class assumed before training


def resampling_matrix(source: BevGrid, target: BevGrid) -> Tensor:
    """Linear interpolation from one axis of `source` to one of `target`, cell centre to cell centre.

    Both grids are square and axis-parallel, so bilinear resampling is this matrix on rows and on columns.

    Returns:
        float32 [target.size, source.size]; target cells off the source grid are zero rows, and within half a cell of
        its edge the outermost value holds on (as in `sample_bev`).
    """
    centres = (torch.arange(target.size, dtype=torch.float64) + 0.5) * target.cell - target.reach
    index = (centres + source.reach) / source.cell - 0.5
    inside = (index >= -0.5) & (index <= source.size - 0.5)
    distance = (index.clamp(0, source.size - 1)[:, None] - torch.arange(source.size, dtype=torch.float64)).abs()
    return ((1 - distance).clamp(min=0) * inside[:, None]).float()


class MapHead(nn.Module):
    """Resampling to the map grid, two convolutions, one logit per class (BEVFusion's BEVSegmentationHead).

    Args:
        inputs: channels of the fused map.
        heads: width and map grid.
        grid: grid of the fused map.

    Attributes:
        map_grid: grid of the logits.
    """

    resample: Tensor

    def __init__(self, inputs: int, heads: Heads, grid: BevGrid) -> None:
        super().__init__()
        self.map_grid = BevGrid(heads.map_reach, heads.map_cell)
        self.register_buffer("resample", resampling_matrix(grid, self.map_grid), persistent=False)
        self.layers = nn.Sequential(
            conv_block(inputs, heads.map_channels),
            conv_block(heads.map_channels, heads.map_channels),
            nn.Conv2d(heads.map_channels, MAP_CLASSES, 1),
        )
        last = self.layers[-1]
        assert isinstance(last, nn.Conv2d)
        start_at_prior(last, PRIOR)
        to_channels_last(self)

    def forward(self, bev: Tensor) -> Tensor:
        """[B, inputs, S, S] to logits [B, 6, T, T] on `map_grid`."""
        resample = self.resample.to(bev.dtype)
        resampled = torch.einsum("yr,bcrs,xs->bcyx", resample, bev, resample)
        logits: Tensor = self.layers(resampled.contiguous(memory_format=torch.channels_last))
        return logits
