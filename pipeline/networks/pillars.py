"""Dynamic PointPillars: points to a dense BEV map, with no cap on points or pillars."""

import itertools

import torch
from torch import Tensor, nn

from pipeline.geometry.grid import BevGrid
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
        running_mean, running_variance = self.norm.running_mean, self.norm.running_var
        assert running_mean is not None
        assert running_variance is not None
        if self.training and len(points) > 1:
            centre = points.mean(0)
            offsets = points - centre
            covariance = offsets.T @ offsets / len(points)
            mean = weight @ centre
            variance = ((weight @ covariance) * weight).sum(1)
            with torch.no_grad():
                unbiased = variance * (len(points) / (len(points) - 1))
                running_mean.lerp_(mean, NORM_MOMENTUM)
                running_variance.lerp_(unbiased, NORM_MOMENTUM)
                if self.norm.num_batches_tracked is not None:
                    self.norm.num_batches_tracked.add_(1)
        else:
            mean, variance = running_mean, running_variance
        scale = self.norm.weight / torch.sqrt(variance + NORM_EPS)
        return torch.addmm(self.norm.bias - mean * scale, points, (weight * scale[:, None]).T)


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
        # Every feature of the order of one: raw metres would drown the offsets, a hundred times smaller, for hundreds
        # of steps. Intensity and time lag are fractions already; a lag spans some tenths of a second.
        half = grid.cell / 2
        place, offset = [1 / grid.reach] * 2 + [2 / (z_max - z_min)], [1 / half] * 2
        self._scale = [*place, 2.0, 4.0, *offset, 2.0, *offset]
        last = len(channels) - 1
        self.layers = nn.ModuleList(
            PointLayer(inputs, outputs if i == last else outputs // 2)
            for i, (inputs, outputs) in enumerate(itertools.pairwise([PILLAR_FEATURES, *channels]))
        )
        self.out_channels = channels[-1]

    def forward(self, points: Tensor, offsets: Tensor) -> Tensor:
        """Encodes and scatters.

        Args:
            points: float32 [ΣN, 5]: x, y, z (m, BEV frame), intensity, time lag (s). Points off the grid are ignored.
            offsets: int64 [B + 1]; frame b owns points[offsets[b]:offsets[b + 1]]; a frame may be empty.

        Returns:
            float32 [B, C, S, S] in channels-last memory, rows = y, columns = x; zero where no point is.
        """
        size, frames = self.grid.size, len(offsets) - 1
        # Metres need float32: under autocast the offsets inside a pillar would be rounded away.
        with torch.autocast(points.device.type, enabled=False):
            features, pillars, cells = self._pillars(points.float(), offsets)
            for layer in self.layers[:-1]:
                features = layer(features)
                highest = segment_max(features, pillars, len(cells))
                features = torch.relu(torch.cat([features, highest.index_select(0, pillars)], 1))
            # ReLU is monotonic, so it may follow the maximum, where there are far fewer rows.
            encoded = torch.relu(segment_max(self.layers[-1](features), pillars, len(cells)))
            canvas = encoded.new_zeros(frames * size * size, self.out_channels).index_copy(0, cells, encoded)
        return canvas.view(frames, size, size, self.out_channels).permute(0, 3, 1, 2)

    def _pillars(self, points: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Points grouped by pillar: features [P, 10], pillar of each point [P], flat cell of each pillar."""
        size, frames = self.grid.size, len(offsets) - 1
        counts = offsets[1:] - offsets[:-1]
        frame = torch.repeat_interleave(torch.arange(frames, device=points.device), counts, output_size=len(points))
        index = torch.floor((points[:, :2].detach() + self.grid.reach) / self.grid.cell)
        height = points[:, 2].detach()
        inside = ((index >= 0) & (index < size)).all(1) & (height >= self.z_min) & (height < self.z_max)
        column, row = index.nan_to_num(0, 0, 0).clamp(0, size - 1).int().unbind(1)
        outside = frames * size * size  # sorts behind every cell
        flat = torch.where(inside, (frame.int() * size + row) * size + column, outside)
        # A stable sort fixes the order of every later sum, on any device; 32-bit keys take the radix sort.
        flat, order = torch.sort(flat, stable=True)
        kept = int(inside.sum())
        flat, points = flat[:kept].long(), points.index_select(0, order[:kept])
        cells, pillars, members = torch.unique_consecutive(flat, return_inverse=True, return_counts=True)
        if kept == 0:
            return points.new_zeros(0, PILLAR_FEATURES), pillars, cells
        mean = torch.segment_reduce(points[:, :3].contiguous(), "mean", lengths=members, axis=0, unsafe=True)
        position = torch.stack([cells % size, torch.div(cells, size, rounding_mode="floor") % size], 1)
        centre = (position + 0.5) * self.grid.cell - self.grid.reach
        reference = torch.cat([mean, centre], 1).index_select(0, pillars)
        features = torch.cat([points, points[:, [0, 1, 2, 0, 1]] - reference], 1)
        return features * features.new_tensor(self._scale), pillars, cells
