"""The LiDAR branch: points to a BEV feature map."""

import itertools
import operator
from typing import TYPE_CHECKING

from torch import Tensor, nn

from pipeline.errors import UserError
from pipeline.networks.capped_pillars import CappedPillarEncoder
from pipeline.networks.layers import to_channels_last
from pipeline.networks.pillars import PillarEncoder
from pipeline.networks.second import Second, SecondFpn
from pipeline.params import Grid, LidarNetwork

if TYPE_CHECKING:
    from pipeline.networks.voxels import VoxelEncoder


class LidarBranch(nn.Module):
    """Pillar or voxel encoder, SECOND and SECONDFPN with BEVFusion's layouts; sizes by params.

    Args:
        network: the encoder, channels, layers and strides.
        grid: BEV area, cell size of the encoder and the stride of the output map.

    Attributes:
        out_channels: channels of the output map.
        out_grid: its grid, `grid.stride` cells of the encoder a cell.

    Raises:
        ValueError: sizes that do not fit together.
        UserError: voxels without spconv.
    """

    def __init__(self, network: LidarNetwork, grid: Grid) -> None:
        super().__init__()
        encoder = _build_encoder(network, grid)
        # Weights are named `pillars.…` or `voxels.…`.
        self.add_module(network.encoder, encoder)
        self._encoder = network.encoder
        cells, strides = grid.pillar_grid.size, list(itertools.accumulate(network.block_strides, operator.mul))
        strides = [encoder.stride * stride for stride in strides]
        if cells % max([*strides, grid.stride]):
            raise ValueError(f"{cells} pillars or voxels a side cannot be divided by the strides {strides}")
        self.backbone = Second(
            encoder.out_channels, network.block_channels, network.block_layers, network.block_strides
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
        bev: Tensor = self.neck(self.backbone(self.get_submodule(self._encoder)(points, offsets)))
        return bev


def _build_encoder(network: LidarNetwork, grid: Grid) -> "PillarEncoder | CappedPillarEncoder | VoxelEncoder":
    cells, z_min, z_max = grid.pillar_grid, grid.z_min, grid.z_max
    if network.encoder == "voxels":
        try:
            from pipeline.networks.voxels import VoxelEncoder  # imports spconv, which pillars can do without
        except ImportError as error:
            raise UserError(
                f"spconv cannot be imported: {error}",
                where="networks.lidar.encoder: voxels",
                remedy="install spconv for this Python and CUDA, or set networks.lidar.encoder: pillars",
            ) from error
        return VoxelEncoder(network.voxel_channels, cells, z_min, z_max, network.voxel_height)
    if network.max_points_per_pillar is None:
        return PillarEncoder(network.pillar_channels, cells, z_min, z_max)
    return CappedPillarEncoder(
        network.pillar_channels, cells, z_min, z_max, network.max_points_per_pillar, network.max_pillars
    )
