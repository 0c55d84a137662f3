"""Params of semantic pooling."""

from dataclasses import dataclass
from typing import Literal

from pipeline.params.checks import positive, require


@dataclass(frozen=True)
class Regions:
    """Semantic pooling: ground removal, DBSCAN and the cluster filter (method: Zermas et al.; DBSCAN)."""

    ground: Literal["plane_fit", "patchwork", "none"]  # method of ground removal
    slab_length: float  # metres along x
    slab_reach: float  # metres; slabs cover [-slab_reach, slab_reach) along x
    sensor_height: float  # metres above ground; also for patchwork
    seed_margin: float  # metres
    refits: int
    ground_distance: float  # metres above the fitted plane that still count as ground
    min_slab_points: int
    clustering: Literal["dbscan", "sklearn"]  # backend of DBSCAN; both give the same regions
    eps: float  # metres
    min_samples: int
    dims: int  # 2 = cluster on x y, 3 = on x y z
    min_area: float  # m2, convex hull on x y
    max_area: float
    min_top: float  # metres, highest point of a cluster in the sensor frame
    max_top: float
    min_aspect: float  # short / long side of the minimum-area rectangle
    ego_length: float  # metres, the box of the own car
    ego_width: float
    frames_per_shard: int
    max_bad_frames: float  # share of unreadable frames above which the stage fails

    def __post_init__(self) -> None:
        require(self.dims in (2, 3), f"dims is 2 (x, y) or 3 (x, y, z), not {self.dims}")
        positive(self, "slab_length", "slab_reach", "eps", "min_samples", "frames_per_shard")
        require(self.min_area <= self.max_area, "min_area is above max_area")
        require(self.min_top <= self.max_top, "min_top is above max_top")
        require(0 <= self.max_bad_frames <= 1, "max_bad_frames must lie in [0, 1]")
