"""What the detection heads should say: Gaussian heat maps and regression values at box centres."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.geometry.grid import BevGrid
from pipeline.networks.heads.encoding import CODE, encode_boxes

MIN_OVERLAP = 0.1  # CenterPoint's nuScenes configuration
MIN_RADIUS = 2  # cells


@dataclass(frozen=True)
class LabelledBoxes:
    """The M boxes of B frames that a head can be asked for.

    Attributes:
        frames: B.
        frame: int64 [M], the frame of each.
        boxes: float32 [M, 9] in `BOX_FIELDS` order, BEV frame.
        classes: int64 [M].
    """

    frames: int
    frame: Tensor
    boxes: Tensor
    classes: Tensor

    @classmethod
    def on_grid(cls, boxes: Sequence[Tensor], classes: Sequence[Tensor], grid: BevGrid) -> "LabelledBoxes":
        """Boxes [K, 9] and classes [K] per frame, without those centred off the grid or of no extent."""
        counts = torch.tensor([len(frame) for frame in boxes], device=boxes[0].device)
        frame = torch.repeat_interleave(torch.arange(len(boxes), device=counts.device), counts)
        stacked = torch.cat(list(boxes)).float()
        place = (stacked[:, :2] + grid.reach) / grid.cell
        inside = ((place >= 0) & (place < grid.size)).all(1) & (stacked[:, 3:6] > 0).all(1)
        return cls(len(boxes), frame[inside], stacked[inside], torch.cat(list(classes))[inside])

    def heatmap(self, grid: BevGrid, classes: int) -> Tensor:
        """A Gaussian per box on the plane of its frame and class, float32 [B, classes, S, S]."""
        centre = ((self.boxes[:, :2] + grid.reach) / grid.cell).long().clamp(max=grid.size - 1)
        radii = gaussian_radius(self.boxes[:, 3] / grid.cell, self.boxes[:, 4] / grid.cell)
        planes = self.frame * classes + self.classes
        heat = gaussian_heatmap(self.frames * classes, grid.size, centre, radii, planes)
        return heat.view(self.frames, classes, grid.size, grid.size)


@dataclass(frozen=True)
class DetectionTargets:
    """Targets of B frames with M boxes on the grid in all, for classes in G groups.

    Attributes:
        heatmap: float32 [B, classes, S, S], exactly 1 at every centre cell.
        group_of: int64 [classes], the group of each class.
        groups: int64 [M], the group of each box.
        cells: int64 [M], ((frame * G + group) * S + row) * S + column of each box's centre.
        offset: float32 [M, 2], centre minus cell centre on x and y, cells, in [-0.5, 0.5).
        height: float32 [M, 1], z of the centre, metres.
        size: float32 [M, 3], log of length, width, height in metres.
        rotation: float32 [M, 2], sin and cos of yaw.
        velocity: float32 [M, 2], m/s; NaN where unknown.
    """

    heatmap: Tensor
    group_of: Tensor
    groups: Tensor
    cells: Tensor
    offset: Tensor
    height: Tensor
    size: Tensor
    rotation: Tensor
    velocity: Tensor


def gaussian_radius(length: Tensor, width: Tensor) -> Tensor:
    """Radius within which a shifted box still overlaps by `MIN_OVERLAP` (CornerNet's rule as CenterPoint uses it).

    Args:
        length: float [K], cells.
        width: float [K], cells.

    Returns:
        int64 [K], cells, at least `MIN_RADIUS`. The roots are divided by 2, not by 2a, as in both upstream codes.
    """
    total, area = length + width, length * width
    first = (total + torch.sqrt(total**2 - 4 * area * (1 - MIN_OVERLAP) / (1 + MIN_OVERLAP))) / 2
    second = (2 * total + torch.sqrt(4 * total**2 - 16 * (1 - MIN_OVERLAP) * area)) / 2
    slope = -2 * MIN_OVERLAP * total
    third = (slope + torch.sqrt(slope**2 - 16 * MIN_OVERLAP * (MIN_OVERLAP - 1) * area)) / 2
    return torch.minimum(torch.minimum(first, second), third).long().clamp(min=MIN_RADIUS)


def gaussian_heatmap(maps: int, size: int, centres: Tensor, radii: Tensor, planes: Tensor) -> Tensor:
    """Draws Gaussians of sigma (2 radius + 1) / 6, cut at their radius; the larger value wins where they meet.

    Args:
        maps: number of planes.
        size: cells a side.
        centres: int64 [M, 2], (column, row), on the plane.
        radii: int64 [M], cells.
        planes: int64 [M], the plane of each.

    Returns:
        float32 [maps, size, size].
    """
    heat = torch.zeros(maps * size * size, device=centres.device)
    if len(centres) == 0:
        return heat.view(maps, size, size)
    reach = int(radii.max())
    step = torch.arange(-reach, reach + 1, device=centres.device)
    dy, dx = (axis.reshape(-1) for axis in torch.meshgrid(step, step, indexing="ij"))
    column, row = centres[:, :1] + dx, centres[:, 1:] + dy
    sigma = (2 * radii[:, None] + 1) / 6
    values = torch.exp(-(dx**2 + dy**2) / (2 * sigma**2))
    drawn = (torch.maximum(dx.abs(), dy.abs()) <= radii[:, None]) & (column >= 0) & (column < size)
    drawn &= (row >= 0) & (row < size)
    cells = (planes[:, None] * size + row) * size + column
    return heat.scatter_reduce(0, cells[drawn], values[drawn], "amax").view(maps, size, size)


def detection_targets(
    boxes: Sequence[Tensor], classes: Sequence[Tensor], grid: BevGrid, group_of: Tensor
) -> DetectionTargets:
    """Encodes labelled boxes (Yin et al., CenterPoint, arXiv 2006.11275, section 4.1).

    Args:
        boxes: per frame float32 [K, 9] in `BOX_FIELDS` order, BEV frame.
        classes: per frame int64 [K].
        grid: the head's grid.
        group_of: int64 [classes], the group of each class, on the device of `boxes`.

    Returns:
        Targets on the device of `boxes`; see `LabelledBoxes.on_grid` for what is left out.
    """
    labelled = LabelledBoxes.on_grid(boxes, classes, grid)
    codes, groups = encode_boxes(labelled.boxes, grid), group_of[labelled.classes]
    centre = codes[:, :2].floor().long().clamp(max=grid.size - 1)
    plane = labelled.frame * (int(group_of.max()) + 1) + groups
    _, height, size, rotation, velocity = codes.split(list(CODE.values()), 1)
    return DetectionTargets(
        heatmap=labelled.heatmap(grid, len(group_of)),
        group_of=group_of,
        groups=groups,
        cells=(plane * grid.size + centre[:, 1]) * grid.size + centre[:, 0],
        offset=codes[:, :2] - centre - 0.5,
        height=height,
        size=size,
        rotation=rotation,
        velocity=velocity,
    )


@dataclass(frozen=True)
class ProposalTargets:
    """What the TransFusion head is compared with.

    Attributes:
        heatmap: float32 [B, classes, S, S], exactly 1 at every centre cell.
        labelled: the M boxes that are to be found.
        codes: float32 [M, 10], the same as `encode_boxes` writes them; velocity NaN where unknown.
        grid: the head's grid.
    """

    heatmap: Tensor
    labelled: LabelledBoxes
    codes: Tensor
    grid: BevGrid


def proposal_targets(
    boxes: Sequence[Tensor], classes: Sequence[Tensor], grid: BevGrid, class_count: int
) -> ProposalTargets:
    """Heat maps as CenterPoint's, and the boxes; arguments as in `detection_targets`."""
    labelled = LabelledBoxes.on_grid(boxes, classes, grid)
    heatmap = labelled.heatmap(grid, class_count)
    return ProposalTargets(heatmap, labelled, encode_boxes(labelled.boxes, grid), grid)
