"""The LiDAR branch: points to a BEV feature map."""

import itertools
import operator

from torch import Tensor, nn

from pipeline.networks.layers import to_channels_last
from pipeline.networks.pillars import PillarEncoder
from pipeline.networks.second import Second, SecondFpn
from pipeline.params import Grid, LidarNetwork


class LidarBranch(nn.Module):
    """PointPillars, SECOND and SECONDFPN with BEVFusion's layout; sizes by params.

    Args:
        network: channels, layers and strides.
        grid: BEV area, pillar size and the stride of the output map.

    Attributes:
        out_channels: channels of the output map.
        out_grid: its grid, `grid.stride` pillars a cell.

    Raises:
        ValueError: sizes that do not fit together.
    """

    def __init__(self, network: LidarNetwork, grid: Grid) -> None:
        super().__init__()
        pillars = grid.pillar_grid
        strides = list(itertools.accumulate(network.block_strides, operator.mul))
        if pillars.size % max([*strides, grid.stride]):
            raise ValueError(f"{pillars.size} pillars a side cannot be divided by the strides {strides}")
        self.pillars = PillarEncoder(network.pillar_channels, pillars, grid.z_min, grid.z_max)
        self.backbone = Second(
            self.pillars.out_channels, network.block_channels, network.block_layers, network.block_strides
        )
        self.neck = SecondFpn(network.block_channels, strides, network.neck_channels, grid.stride)
        self.out_channels = self.neck.out_channels
        self.out_grid = grid.feature_grid
        to_channels_last(self)

    def forward(self, points: Tensor, offsets: Tensor) -> Tensor:
        """Encodes a batch of clouds.

        Args:
            points: float32 [ΣN, 5]: x, y, z (m, BEV frame), intensity (0..1), time lag (s).
            offsets: int64 [B + 1], start of each frame in `points`.

        Returns:
            [B, out_channels, S, S] on `out_grid`.
        """
        bev: Tensor = self.neck(self.backbone(self.pillars(points, offsets)))
        return bev
