"""PointPillars with a cap on the points of a pillar, as mmdetection3d computes it, without its padded layout."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.geometry.grid import BevGrid
from pipeline.networks.cells import cell_centres, sort_by_cell
from pipeline.networks.layers import used_zero
from pipeline.networks.pillars import POINT_FEATURES, PointLayer, feature_scales, scatter_pillars
from pipeline.networks.slots import slot_expand, slot_max, slot_sum

FEATURES = POINT_FEATURES + 3 + 3  # + offset to the mean of the pillar's kept points + offset to its centre


class PaddedLayer(PointLayer):
    """A layer over pillars of equally many slots, the unused ones of a pillar kept as one row with a multiplicity.

    Upstream's unused slots start as zeros, pass every layer, count in the batch statistics and may win the maximum;
    those of one pillar stay equal at every depth. What the rows of a pillar share, the maximum of the layer before, is
    multiplied once a pillar and may be added after the next maximum.

    Args:
        own: features in of each row.
        shared: features in of each pillar, 0 in the first layer.
        outputs: features out.
    """

    def __init__(self, own: int, shared: int, outputs: int) -> None:
        super().__init__(own + shared, outputs)
        self.own = own

    def forward(  # type: ignore[override]
        self, rows: Tensor, pads: Tensor, unused: Tensor, shared: Tensor, sizes: Sequence[int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised features before the part that a pillar's rows share, and that part.

        Args:
            rows: float32 [P, own] slot by slot (`pipeline.networks.slots`).
            pads: float32 [K, own], the row of each pillar's unused slots.
            unused: float32 [K, 1], how many these are.
            shared: float32 [K, shared].
            sizes: pillars in each slot.

        Returns:
            [P, outputs], [K, outputs] for the unused slots, [K, outputs] to add to both.
        """
        first, second = self.linear.weight.split([self.own, shared.shape[1]], 1)
        total = len(rows) + float(unused.sum())
        if self.training and total > 1:
            centre = (rows.sum(0) + (pads * unused).sum(0)) / total
            common = shared.mean(0)
            offsets, padding, around = rows - centre, pads - centre, shared - common
            weighted = padding * unused
            covariance = (offsets.T @ offsets + weighted.T @ padding) / total
            across = (slot_sum(offsets, sizes) + weighted).T @ around / total
            between = around.T @ around / len(shared)
            spread = (first @ covariance) * first
            variance = spread.sum(1) + (2 * (first @ across) * second).sum(1) + ((second @ between) * second).sum(1)
            scale, shift = self.affine(first @ centre + second @ common, variance, total)
        else:
            scale, shift = self.affine()
        first = (first * scale[:, None]).T
        return rows @ first, pads @ first, torch.addmm(shift, shared, (second * scale[:, None]).T)


class CappedPillarEncoder(nn.Module):
    """Hard voxelisation, pillar feature network and scatter of mmdetection3d 1.x; memory in proportion to points.

    A pillar keeps its first points in input order, a frame its first pillars in the order in which points reach them.
    The network is upstream's PillarFeatureNet (`legacy=False`, mode max) but for the constant scale of its input
    features, which the first layer's weights can undo. Upstream holds arrays [pillars, max_points, C].

    Args:
        channels: output features of each layer; the ones before the last must be even.
        grid: pillar grid, metres.
        z_min: lowest point taken, metres.
        z_max: height above which points are left out, metres.
        max_points: how many points a pillar keeps.
        max_pillars: how many pillars a frame keeps, in training and in evaluation; None = all.
    """

    def __init__(
        self,
        channels: list[int],
        grid: BevGrid,
        z_min: float,
        z_max: float,
        max_points: int,
        max_pillars: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if not channels:
            raise ValueError("a pillar encoder needs at least one layer")
        self.grid, self.z_min, self.z_max = grid, z_min, z_max
        self.max_points, self.max_pillars = max_points, max_pillars
        place, mean_offset, centre_offset = feature_scales(grid, z_min, z_max)
        self._scale = [*place, *mean_offset, *centre_offset, mean_offset[2]]
        halves = [width // 2 for width in channels[:-1]]
        self.layers = nn.ModuleList(
            PaddedLayer(before, before if i else 0, outputs)
            for i, (before, outputs) in enumerate(itertools.pairwise([FEATURES, *halves, channels[-1]]))
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
        frames = len(offsets) - 1
        # Metres need float32: under autocast the offsets inside a pillar would be rounded away.
        with torch.autocast(points.device.type, enabled=False):
            points = points.float()
            order, cells, members = self._slots(points, offsets)
            if len(cells) == 0:
                nothing = points.new_zeros(0, self.out_channels)
                return scatter_pillars(nothing, cells, frames, self.grid) + used_zero(self)
            sizes = _slot_sizes(members)
            rows = self._features(points.index_select(0, order), cells, members, sizes)
            unused = (self.max_points - members)[:, None].float()
            pads, shared = rows.new_zeros(len(cells), FEATURES), rows.new_zeros(len(cells), 0)
            for layer in self.layers:
                rows, pads, common = layer(rows, pads, unused, shared, sizes)
                highest = slot_max(rows, sizes)
                highest = torch.where(unused > 0, torch.maximum(highest, pads), highest)
                shared = torch.relu(highest + common)
                if layer is not self.layers[-1]:
                    rows = torch.relu_(rows + slot_expand(common, sizes))
                    pads = torch.relu_(pads + common)
            return scatter_pillars(shared, cells, frames, self.grid)

    def _slots(self, points: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Kept points slot by slot: point of each row [P]; flat cell and number of kept points of each pillar [K]."""
        cells, order = sort_by_cell(points, offsets, self.grid, self.z_min, self.z_max)
        cells, members = torch.unique_consecutive(cells, return_counts=True)
        starts = members.cumsum(0) - members
        members = members.clamp(max=self.max_points)
        if self.max_pillars is not None and len(cells):
            kept = self._first_pillars(cells, order[starts], len(offsets) - 1)
            cells, members, starts = cells[kept], members[kept], starts[kept]
        members, largest_first = torch.sort(members, descending=True, stable=True)
        cells, starts = cells[largest_first], starts[largest_first]
        slots = [starts[:size] + slot for slot, size in enumerate(_slot_sizes(members))]
        return (order[torch.cat(slots)] if slots else order[:0]), cells, members

    def _first_pillars(self, cells: Tensor, arrival: Tensor, frames: int) -> Tensor:
        """Pillars [K] within the frame's limit, ascending; `arrival` is the place of a pillar's first point."""
        assert self.max_pillars is not None
        limit = self.max_pillars[0 if self.training else 1]
        by_arrival = torch.argsort(arrival)  # points come frame after frame, so pillars do
        frame = torch.div(cells[by_arrival], self.grid.size**2, rounding_mode="floor")
        counts = torch.bincount(frame, minlength=frames)
        place = torch.arange(len(cells), device=cells.device) - (counts.cumsum(0) - counts)[frame]
        return torch.sort(by_arrival[place < limit]).values

    def _features(self, points: Tensor, cells: Tensor, members: Tensor, sizes: Sequence[int]) -> Tensor:
        """Points slot by slot [P, 5] to the features of the network [P, 11]."""
        place = points[:, :3]
        mean = slot_sum(place, sizes) / members[:, None]
        middle = mean.new_full((len(cells), 1), (self.z_min + self.z_max) / 2)
        reference = slot_expand(torch.cat([mean, cell_centres(cells, self.grid), middle], 1), sizes)
        features = torch.cat([points, torch.cat([place, place], 1) - reference], 1)
        return features.mul_(features.new_tensor(self._scale))


def _slot_sizes(members: Tensor) -> list[int]:
    """How many pillars have a point in each slot; `members` descending."""
    if len(members) == 0:
        return []
    counts: list[int] = torch.bincount(members).flip(0).cumsum(0).flip(0)[1:].tolist()
    return counts
