"""Params of every network."""

from dataclasses import dataclass
from typing import Literal

from pipeline.geometry.grid import BevGrid
from pipeline.params.checks import positive, require


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

    def __post_init__(self) -> None:
        positive(self, "depth_min", "depth_step", "neck_channels", "context_channels")
        require(self.depth_min < self.depth_max, "depth_min must lie below depth_max")


@dataclass(frozen=True)
class Heads:
    """Fusion and task heads."""

    fused_channels: int
    detection_channels: int
    map_channels: int
    map_reach: float  # metres
    map_cell: float
    max_boxes: int
    min_score: float
    nms_radius_scale: float  # circle NMS radius as a multiple of the class's own

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
