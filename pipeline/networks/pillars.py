"""Dynamic PointPillars: points to a dense BEV map, with no cap on points or pillars."""

import itertools

import torch
from torch import Tensor, nn

from pipeline.geometry.grid import BevGrid
from pipeline.networks.cells import cell_centres, sort_by_cell
from pipeline.networks.layers import NORM_EPS, NORM_MOMENTUM
from pipeline.networks.segments import segment_max

POINT_FEATURES = 5  # x, y, z, intensity, time lag
PILLAR_FEATURES = POINT_FEATURES + 3 + 2  # + offset to the pillar's mean (x, y, z) + offset to its centre (x, y)


class PointLayer(nn.Module):
    """Linear map and batch norm over points as one matrix product: [P, inputs] to [P, outputs].

    The batch statistics of W x follow from those of x, mean W E[x] and variance diag(W Cov[x] W^T), so the normalised
    output needs no pass over the [P, outputs] array beside the product itself. Equal to nn.Linear + nn.BatchNorm1d.
    With fewer than two points the running statistics stand in for the batch's.

    Args:
        inputs: features in.
        outputs: features out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs, eps=NORM_EPS, momentum=NORM_MOMENTUM)

    def forward(self, points: Tensor) -> Tensor:
        """float32 [P, inputs] to [P, outputs]; no non-linearity."""
        weight = self.linear.weight
        if self.training and len(points) > 1:
            centre = points.mean(0)
            offsets = points - centre
            covariance = offsets.T @ offsets / len(points)
            scale, shift = self.affine(weight @ centre, ((weight @ covariance) * weight).sum(1), len(points))
        else:
            scale, shift = self.affine()
        return torch.addmm(shift, points, (weight * scale[:, None]).T)

    def affine(
        self, mean: Tensor | None = None, variance: Tensor | None = None, count: float = 0
    ) -> tuple[Tensor, Tensor]:
        """The batch norm as scale and shift [outputs].

        Args:
            mean: of the linear map over the batch [outputs]; None = the running statistics stand in.
            variance: likewise, biased.
            count: over how many rows; the running statistics follow the batch's.
        """
        running_mean, running_variance = self.norm.running_mean, self.norm.running_var
        assert running_mean is not None
        assert running_variance is not None
        if mean is None or variance is None:
            mean, variance = running_mean, running_variance
        else:
            with torch.no_grad():
                running_mean.lerp_(mean, NORM_MOMENTUM)
                running_variance.lerp_(variance * (count / (count - 1)), NORM_MOMENTUM)
                if self.norm.num_batches_tracked is not None:
                    self.norm.num_batches_tracked.add_(1)
        scale = self.norm.weight / torch.sqrt(variance + NORM_EPS)
        return scale, self.norm.bias - mean * scale


class PillarEncoder(nn.Module):
    """Pillar feature network and scatter (Lang et al., PointPillars, arXiv 1812.05784, section 2.1).

    Every point of a pillar counts (dynamic voxelisation, Zhou et al., arXiv 1910.06528). Layers before the last put the
    pillar's maximum beside each point's own feature, as in mmdetection3d.

    Args:
        channels: output features of each layer; the ones before the last must be even.
        grid: pillar grid, metres.
        z_min: lowest point taken, metres.
        z_max: height above which points are left out, metres.
    """

    def __init__(self, channels: list[int], grid: BevGrid, z_min: float, z_max: float) -> None:
        super().__init__()
        if not channels:
            raise ValueError("a pillar encoder needs at least one layer")
        self.grid, self.z_min, self.z_max = grid, z_min, z_max
        place, mean_offset, centre_offset = feature_scales(grid, z_min, z_max)
        self._scale = [*place, *mean_offset, *centre_offset]
        last = len(channels) - 1
        self.layers = nn.ModuleList(
            PointLayer(inputs, outputs if i == last else outputs // 2)
            for i, (inputs, outputs) in enumerate(itertools.pairwise([PILLAR_FEATURES, *channels]))
        )
        self.out_channels, self.stride = channels[-1], 1

    def forward(self, points: Tensor, offsets: Tensor) -> Tensor:
        """Encodes and scatters.

        Args:
            points: float32 [ΣN, 5]: x, y, z (m, BEV frame), intensity, time lag (s). Points off the grid are ignored.
            offsets: int64 [B + 1]; frame b owns points[offsets[b]:offsets[b + 1]]; a frame may be empty.

        Returns:
            float32 [B, C, S, S] in channels-last memory, rows = y, columns = x; zero where no point is.
        """
        # Metres need float32: under autocast the offsets inside a pillar would be rounded away.
        with torch.autocast(points.device.type, enabled=False):
            features, pillars, cells = self._pillars(points.float(), offsets)
            for layer in self.layers[:-1]:
                features = layer(features)
                highest = segment_max(features, pillars, len(cells))
                features = torch.relu(torch.cat([features, highest.index_select(0, pillars)], 1))
            # ReLU is monotonic, so it may follow the maximum, where there are far fewer rows.
            encoded = torch.relu(segment_max(self.layers[-1](features), pillars, len(cells)))
        return scatter_pillars(encoded, cells, len(offsets) - 1, self.grid)

    def _pillars(self, points: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Points grouped by pillar: features [P, 10], pillar of each point [P], flat cell of each pillar."""
        flat, order = sort_by_cell(points, offsets, self.grid, self.z_min, self.z_max)
        points = points.index_select(0, order)
        cells, pillars, members = torch.unique_consecutive(flat, return_inverse=True, return_counts=True)
        if len(cells) == 0:
            return points.new_zeros(0, PILLAR_FEATURES), pillars, cells
        mean = torch.segment_reduce(points[:, :3].contiguous(), "mean", lengths=members, axis=0, unsafe=True)
        reference = torch.cat([mean, cell_centres(cells, self.grid)], 1).index_select(0, pillars)
        features = torch.cat([points, points[:, [0, 1, 2, 0, 1]] - reference], 1)
        return features * features.new_tensor(self._scale), pillars, cells


def feature_scales(grid: BevGrid, z_min: float, z_max: float) -> tuple[list[float], list[float], list[float]]:
    """Factors that bring every feature to the order of one.

    Those of the 5 point features, of the offset to the mean (x, y, z) and of the offset to the centre (x, y). Raw
    metres would drown the offsets, a hundred times smaller, for hundreds of steps. Intensity and time lag are fractions
    already; a lag spans some tenths of a second.
    """
    half = grid.cell / 2
    place, offset = [1 / grid.reach] * 2 + [2 / (z_max - z_min)], [1 / half] * 2
    return [*place, 2.0, 4.0], [*offset, 2.0], offset


def scatter_pillars(encoded: Tensor, cells: Tensor, frames: int, grid: BevGrid) -> Tensor:
    """Rows float32 [K, C] at the flat cells [K] of a map [frames, C, S, S] in channels-last memory, zero elsewhere."""
    canvas = encoded.new_zeros(frames * grid.size**2, encoded.shape[1]).index_copy_(0, cells, encoded)
    return canvas.view(frames, grid.size, grid.size, encoded.shape[1]).permute(0, 3, 1, 2)
