"""Params of every network."""

from dataclasses import dataclass

from pipeline.geometry.grid import BevGrid
from pipeline.params.checks import positive, require


@dataclass(frozen=True)
class Grid:
    """BEV area and pillars, metres in the LiDAR frame."""

    reach: float
    z_min: float
    z_max: float
    pillar: float
    stride: int  # pillar cells per cell of the BEV feature map

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
    """PointPillars + SECOND + SECONDFPN."""

    pillar_channels: list[int]
    block_channels: list[int]
    block_layers: list[int]
    block_strides: list[int]
    neck_channels: list[int]


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
