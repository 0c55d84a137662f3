"""Params of every network."""

from dataclasses import dataclass
from typing import Literal

from pipeline.geometry.grid import BevGrid
from pipeline.params.checks import positive, require
from pipeline.params.classes import DETECTION_CLASSES


@dataclass(frozen=True)
class Grid:
    """BEV area and pillars (or voxels, seen from above), metres in the LiDAR frame."""

    reach: float
    z_min: float
    z_max: float
    pillar: float
    stride: int  # pillars or voxels per cell of the BEV feature map

    @property
    def pillar_grid(self) -> BevGrid:
        """The grid of pillars."""
        return BevGrid(self.reach, self.pillar)

    @property
    def feature_grid(self) -> BevGrid:
        """The grid of the BEV feature maps of both branches."""
        return BevGrid(self.reach, self.pillar * self.stride)

    def __post_init__(self) -> None:
        positive(self, "reach", "pillar", "stride")
        require(self.z_min < self.z_max, "z_min must lie below z_max")


@dataclass(frozen=True)
class LidarNetwork:
    """PointPillars or VoxelNet, then SECOND + SECONDFPN."""

    pillar_channels: list[int]
    block_channels: list[int]
    block_layers: list[int]
    block_strides: list[int]
    neck_channels: list[int]
    encoder: Literal["pillars", "voxels"]
    max_points_per_pillar: int | None  # the first so many of a pillar count; null = all
    max_pillars: list[int] | None  # the first so many of a frame count, [in training, in evaluation]; null = all
    voxel_height: float  # metres; the other sides are grid.pillar
    voxel_channels: list[int]  # of the sparse encoder; each one after the first halves the resolution

    def __post_init__(self) -> None:
        positive(self, "voxel_height")
        require(bool(self.voxel_channels), "voxel_channels must not be empty")
        require(
            self.max_points_per_pillar is None or self.max_points_per_pillar > 0,
            "max_points_per_pillar must be above 0",
        )
        if self.max_pillars is not None:
            require(self.max_points_per_pillar is not None, "max_pillars needs max_points_per_pillar")
            require(
                len(self.max_pillars) == 2 and min(self.max_pillars) > 0,
                f"max_pillars is [in training, in evaluation] above 0, not {self.max_pillars}",
            )


@dataclass(frozen=True)
class CameraNetwork:
    """timm backbone + FPN + lift-splat."""

    backbone: str  # a timm model with features
    backbone_options: dict[str, list[int] | int | float | bool | str]
    out_indices: list[int]
    neck_channels: int
    context_channels: int
    depth_min: float  # metres
    depth_max: float
    depth_step: float
    splat_stride: int = 1  # cells of the splat per cell of the BEV feature map, a side
    least_matched: float = 1.0  # share of the backbone's tensors that start weights of a timm model must match

    def __post_init__(self) -> None:
        positive(self, "depth_min", "depth_step", "splat_stride", "neck_channels", "context_channels")
        require(self.depth_min < self.depth_max, "depth_min must lie below depth_max")
        require(0 <= self.least_matched <= 1, f"least_matched must lie in [0, 1], not {self.least_matched}")


@dataclass(frozen=True)
class TransFusion:
    """Sizes of the TransFusion head."""

    channels: int
    proposals: int
    attention_heads: int
    feedforward: int
    dropout: float

    def __post_init__(self) -> None:
        positive(self, "channels", "proposals", "attention_heads", "feedforward")
        require(self.channels % self.attention_heads == 0, "channels must be a multiple of attention_heads")
        require(0 <= self.dropout < 1, f"dropout must lie in [0, 1), not {self.dropout}")


@dataclass(frozen=True)
class Heads:
    """Fusion and task heads."""

    fused_channels: int
    detection_channels: int  # CenterPoint's
    map_channels: int
    map_reach: float  # metres
    map_cell: float
    detection: Literal["centerpoint", "transfusion"]
    groups: list[list[str]]  # classes that share CenterPoint's regressions
    branches: Literal["joint", "separate"]  # one hidden convolution for a group's regressions, or one for each
    transfusion: TransFusion
    max_boxes: int
    min_score: float
    nms: Literal["none", "circle", "rotated"]
    nms_within: Literal["class", "group"]  # which boxes suppress each other
    nms_radii: dict[str, float]  # circle: metres between centres, per class
    nms_ious: dict[str, float]  # rotated: BEV IoU, per class

    def __post_init__(self) -> None:
        positive(self, "fused_channels", "detection_channels", "map_channels", "max_boxes")
        require(0 <= self.min_score < 1, f"min_score must lie in [0, 1), not {self.min_score}")
        every = f"each of {', '.join(DETECTION_CLASSES)} once"
        names = [name for group in self.groups for name in group]
        require(all(self.groups) and sorted(names) == sorted(DETECTION_CLASSES), f"groups must hold {every}")
        require(sorted(self.nms_radii) == sorted(DETECTION_CLASSES), f"nms_radii must name {every}")
        require(sorted(self.nms_ious) == sorted(DETECTION_CLASSES), f"nms_ious must name {every}")
        require(all(radius >= 0 for radius in self.nms_radii.values()), "nms_radii must not be negative")
        require(all(0 <= iou <= 1 for iou in self.nms_ious.values()), "nms_ious must lie in [0, 1]")

    @property
    def group_of(self) -> list[int]:
        """The group of each class, in the order of `DETECTION_CLASSES`."""
        return [next(g for g, group in enumerate(self.groups) if name in group) for name in DETECTION_CLASSES]

    @property
    def map_grid(self) -> BevGrid:
        """The grid of the map labels and of the map head's output."""
        return BevGrid(self.map_reach, self.map_cell)


@dataclass(frozen=True)
class Networks:
    """Every network size."""

    grid: Grid
    lidar: LidarNetwork
    camera: CameraNetwork
    heads: Heads
    embedding: int  # projector output
