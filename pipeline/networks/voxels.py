"""VoxelNet's encoder: voxels' mean points through sparse 3D convolutions to a BEV map. Imports spconv."""

from collections.abc import Sequence

import spconv.pytorch as spconv
import torch
from spconv.core import ConvAlgo
from torch import Tensor, nn
from torch.nn import functional

from pipeline.geometry.grid import BevGrid
from pipeline.networks.cells import sort_by_cell
from pipeline.networks.layers import NORM_EPS, NORM_MOMENTUM, used_zero
from pipeline.networks.pillars import POINT_FEATURES, feature_scales


class VoxelEncoder(nn.Module):
    """Mean voxel features and the sparse encoder of SECOND (Yan et al., Sensors 2018) in BEVFusion's layout.

    For every width two residual blocks on the active voxels, between widths a step of stride 2, at last one along z.

    Runs in float32 whatever the autocast: spconv knows no bfloat16 on CPU, and metres need it.

    Args:
        channels: widths; the map's stride is 2 to the power of their number less one.
        grid: voxels in x and y.
        z_min: lowest point taken, metres.
        z_max: height above which points are left out, metres.
        height: of a voxel, metres; must divide z_max - z_min.

    Attributes:
        out_channels: channels of the map: the last width times the layers of z that are left.
        stride: voxels a side of a cell of the map.

    Raises:
        ValueError: the height does not fit, or no layer of z is left.
    """

    def __init__(self, channels: Sequence[int], grid: BevGrid, z_min: float, z_max: float, height: float) -> None:
        super().__init__()
        self.grid, self.z_min, self.z_max = grid, z_min, z_max
        self.layers = round((z_max - z_min) / height)
        if abs(self.layers * height - (z_max - z_min)) > 1e-6:
            raise ValueError(f"voxel_height {height} does not divide the {z_max - z_min} m from z_min to z_max")
        self.stride = 2 ** (len(channels) - 1)
        if grid.size % self.stride:
            raise ValueError(f"{grid.size} voxels a side cannot be divided by the stride {self.stride} of the encoder")
        # The last step down has no padding along z, as upstream's; nor has the step along z.
        padding = [*[1] * (len(channels) - 2), 0][: len(channels) - 1]
        depth = self.layers + 1  # upstream's spare layer on top
        for along_z in padding:
            depth = (depth + 2 * along_z - 3) // 2 + 1
        self.depth = (depth - 3) // 2 + 1
        if self.depth < 1:
            raise ValueError(f"voxel_height {height} leaves no layer of z after {len(channels)} voxel_channels")
        place, _, _ = feature_scales(grid, z_min, z_max)
        self._scale = place
        stages: list[nn.Module] = [_convolve(POINT_FEATURES, channels[0], "subm0")]
        for number, width in enumerate(channels):
            stages += [ResidualBlock(width, f"subm{number}"), ResidualBlock(width, f"subm{number}")]
            if number < len(channels) - 1:
                stages.append(_reduce(width, channels[number + 1], 3, 2, (padding[number], 1, 1), f"down{number}"))
        stages.append(_reduce(channels[-1], channels[-1], (3, 1, 1), (2, 1, 1), 0, "height"))
        self.stages = spconv.SparseSequential(*stages)
        self.out_channels = channels[-1] * self.depth

    def forward(self, points: Tensor, offsets: Tensor) -> Tensor:
        """Encodes a batch of clouds.

        Args:
            points: float32 [ΣN, 5]: x, y, z (m, BEV frame), intensity, time lag (s). Points off the grid are ignored.
            offsets: int64 [B + 1]; frame b owns points[offsets[b]:offsets[b + 1]]; a frame may be empty.

        Returns:
            float32 [B, out_channels, S, S] with S = grid.size / stride, in channels-last memory, rows = y, columns = x;
            channel c * depth + layer. Zero where no point is near.
        """
        frames, size = len(offsets) - 1, self.grid.size
        with torch.autocast(points.device.type, enabled=False):
            features, places = self._voxels(points.float(), offsets)
            side = size // self.stride
            if len(features) == 0:  # spconv refuses it
                return features.new_zeros(frames, self.out_channels, side, side) + used_zero(self)
            self._choose_algorithm(points.device)
            shape = [self.layers + 1, size, size]
            sparse = self.stages(spconv.SparseConvTensor(features, places, shape, frames))
        frame, layer, row, column = sparse.indices.long().unbind(1)
        # Not by spconv's dense(): its indexing changes its meaning in coming releases of torch.
        volume = features.new_zeros(frames, side, side, sparse.features.shape[1], self.depth)
        volume[frame, row, column, :, layer] = sparse.features
        return volume.flatten(3).permute(0, 3, 1, 2)

    def _voxels(self, points: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of the points of each voxel [V, 5], scaled; its frame, layer, row, column int32 [V, 4]."""
        cells, order = sort_by_cell(points, offsets, self.grid, self.z_min, self.z_max, self.layers)
        cells, members = torch.unique_consecutive(cells, return_counts=True)
        if len(cells) == 0:
            return points.new_zeros(0, POINT_FEATURES), cells.new_zeros(0, 4).int()
        rows = points.index_select(0, order)
        features = torch.segment_reduce(rows, "mean", lengths=members, axis=0, unsafe=True)
        places = []
        for length in (self.grid.size, self.grid.size, self.layers):
            places.append(cells % length)
            cells = torch.div(cells, length, rounding_mode="floor")
        return features * features.new_tensor(self._scale), torch.stack([cells, *places[::-1]], 1).int()

    def _choose_algorithm(self, device: torch.device) -> None:
        """Implicit GEMM exists on GPUs only; the weights are the same."""
        algorithm = ConvAlgo.Native if device.type == "cpu" else ConvAlgo.MaskImplicitGemm
        for module in self.modules():
            if isinstance(module, spconv.conv.SparseConvolution):
                module.algo = algorithm


class ResidualBlock(spconv.SparseModule):  # type: ignore[misc]
    """Two submanifold convolutions beside an identity; the active voxels stay the same.

    Args:
        channels: in and out.
        key: spconv's name for the neighbours, which all blocks on the same voxels share.
    """

    def __init__(self, channels: int, key: str) -> None:
        super().__init__()
        self.first = _convolve(channels, channels, key)
        self.second = spconv.SparseSequential(_submanifold(channels, channels, key), RowNorm(channels))

    def forward(self, voxels: spconv.SparseConvTensor) -> spconv.SparseConvTensor:
        """Sparse tensor of `channels` to another."""
        result = self.second(self.first(voxels))
        return result.replace_feature(torch.relu(result.features + voxels.features))


class RowNorm(nn.BatchNorm1d):
    """Batch norm over voxels [V, channels]; with fewer than two the running statistics stand in for the batch's."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=NORM_EPS, momentum=NORM_MOMENTUM)

    def forward(self, rows: Tensor) -> Tensor:
        """[V, channels] to the same."""
        if len(rows) > 1:
            return super().forward(rows)
        return functional.batch_norm(
            rows, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )


def _submanifold(inputs: int, outputs: int, key: str) -> nn.Module:
    convolution: nn.Module = spconv.SubMConv3d(inputs, outputs, 3, padding=1, bias=False, indice_key=key)
    return convolution


def _convolve(inputs: int, outputs: int, key: str) -> nn.Module:
    block: nn.Module = spconv.SparseSequential(_submanifold(inputs, outputs, key), RowNorm(outputs), nn.ReLU())
    return block


def _reduce(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, ...],
    stride: int | tuple[int, ...],
    padding: int | tuple[int, ...],
    key: str,
) -> nn.Module:
    convolution = spconv.SparseConv3d(inputs, outputs, kernel, stride, padding, bias=False, indice_key=key)
    block: nn.Module = spconv.SparseSequential(convolution, RowNorm(outputs), nn.ReLU())
    return block
