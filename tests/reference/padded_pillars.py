"""Hard voxelisation, PillarFeatureNet (legacy=False) and PointPillarsScatter as mmdetection3d 1.4 computes them."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[Any]


def hard_voxelize(
    points: Array, low: Array, cell: Array, grid: Array, max_points: int, max_voxels: int
) -> tuple[Array, Array, Array]:
    """One frame, point by point as mmcv's CPU kernel; plain loops that numba can compile.

    Args:
        points: float32 [N, C], x, y, z first.
        low: float32 [3], lowest x, y, z.
        cell: float32 [3], sides of a voxel.
        grid: int64 [3], voxels along x, y, z.
        max_points: slots of a voxel.
        max_voxels: how many voxels to keep.

    Returns:
        voxels float32 [V, max_points, C], zero where no point is; coordinates int64 [V, 3] as z, y, x; points of each.
    """
    found = np.full((grid[2], grid[1], grid[0]), -1)
    voxels = np.zeros((max_voxels, max_points, points.shape[1]), np.float32)
    coordinates = np.zeros((max_voxels, 3), np.int64)
    counts = np.zeros(max_voxels, np.int64)
    total = 0
    for i in range(len(points)):
        place = np.floor((points[i, :3] - low) / cell)
        if not (place >= 0).all() or not (place < grid).all():
            continue
        x, y, z = int(place[0]), int(place[1]), int(place[2])
        voxel = found[z, y, x]
        if voxel == -1:
            if total >= max_voxels:
                continue
            voxel = total
            total += 1
            found[z, y, x] = voxel
            coordinates[voxel, 0], coordinates[voxel, 1], coordinates[voxel, 2] = z, y, x
        if counts[voxel] < max_points:
            voxels[voxel, counts[voxel]] = points[i]
            counts[voxel] += 1
    return voxels[:total], coordinates[:total], counts[:total]


class PaddedPfnLayer(nn.Module):
    """Upstream's PFNLayer, mode max."""

    def __init__(self, inputs: int, outputs: int, last: bool, momentum: float) -> None:
        super().__init__()
        units = outputs if last else outputs // 2
        self.last = last
        self.norm = nn.BatchNorm1d(units, eps=1e-3, momentum=momentum)
        self.linear = nn.Linear(inputs, units, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """[V, slots, inputs] to [V, slots, outputs], or [V, 1, outputs] for the last layer."""
        x = self.linear(inputs)
        x = self.norm(x.permute(0, 2, 1).contiguous()).permute(0, 2, 1).contiguous()
        x = torch.relu(x)
        highest = torch.max(x, dim=1, keepdim=True)[0]
        return highest if self.last else torch.cat([x, highest.repeat(1, inputs.shape[1], 1)], 2)


class PaddedPillarNet(nn.Module):
    """Upstream's PillarFeatureNet without distance, with cluster and voxel centre.

    Args:
        channels: feat_channels.
        low: lowest x, y, z of the range, metres.
        cell: sides of a pillar, metres.
        momentum: of the batch norm; upstream 0.01.
    """

    def __init__(self, channels: list[int], low: Array, cell: Array, momentum: float) -> None:
        super().__init__()
        widths = [5 + 3 + 3, *channels]
        last = len(channels) - 1
        self.layers = nn.ModuleList(
            PaddedPfnLayer(widths[i], widths[i + 1], i == last, momentum) for i in range(len(channels))
        )
        self.cell = [float(side) for side in cell]
        self.first = [float(start + side / 2) for start, side in zip(low, cell, strict=True)]

    def forward(self, voxels: Tensor, coordinates: Tensor, counts: Tensor) -> Tensor:
        """[V, slots, 5], [V, 3] as z, y, x and [V] to [V, channels[-1]]."""
        mean = voxels[:, :, :3].sum(1, keepdim=True) / counts.type_as(voxels).view(-1, 1, 1)
        centre = torch.zeros_like(voxels[:, :, :3])
        for axis in range(3):
            middle = coordinates[:, 2 - axis].type_as(voxels)[:, None] * self.cell[axis] + self.first[axis]
            centre[:, :, axis] = voxels[:, :, axis] - middle
        features = torch.cat([voxels, voxels[:, :, :3] - mean, centre], -1)
        used = counts[:, None] > torch.arange(voxels.shape[1])
        features *= used[:, :, None].type_as(features)
        for layer in self.layers:
            features = layer(features)
        return features.squeeze(1)


def scatter(encoded: Tensor, coordinates: Tensor, frame: Tensor, frames: int, size: int) -> Tensor:
    """Upstream's PointPillarsScatter: [V, C] to [frames, C, size, size], frame after frame."""
    maps = []
    for b in range(frames):
        canvas = torch.zeros(encoded.shape[1], size * size, dtype=encoded.dtype)
        own = coordinates[frame == b]
        canvas[:, own[:, 1] * size + own[:, 2]] = encoded[frame == b].t()
        maps.append(canvas)
    return torch.stack(maps, 0).view(frames, encoded.shape[1], size, size)
