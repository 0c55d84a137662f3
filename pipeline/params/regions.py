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
    ground_distance: float  # metres above the fitted plane that still count as ground, at the sensor
    ground_taper: float  # metres that it shrinks by per metre of distance: far objects show few rings
    min_ground_distance: float  # metres that it never falls below
    min_slab_points: int
    clustering: Literal["grid", "dbscan", "sklearn"]  # implementation of DBSCAN; all give the same regions
    eps: float  # metres
    min_samples: int
    dims: int  # 2 = cluster on x y, 3 = on x y z
    range_scale: float | None  # metres; distances to the sensor are compressed beyond it before clustering; null = not
    z_weight: float  # metres of z count this much (dims 3)
    split_eps: float | None  # clusters that are too large or tall are clustered again at this eps; null = not
    split_min_samples: int
    min_area: float  # m2, convex hull on x y
    max_area: float
    max_length: float | None  # metres, long side of the minimum-area rectangle; null = no limit, here and below
    max_height: float | None  # metres, highest minus lowest point
    flat_height: float  # metres; a cluster no higher than this may be larger and longer, up to max_flat_area
    max_flat_area: float
    max_bottom: float | None  # metres, lowest point of a cluster in the sensor frame
    min_top: float | None  # metres, highest point of a cluster in the sensor frame
    max_top: float | None
    min_aspect: float  # short / long side of the minimum-area rectangle
    ego_length: float  # metres, the box of the own car
    ego_width: float
    frames_per_shard: int
    max_bad_frames: float  # share of unreadable frames above which the stage fails

    def __post_init__(self) -> None:
        require(self.dims in (2, 3), f"dims is 2 (x, y) or 3 (x, y, z), not {self.dims}")
        exact = self.dims == 2 or self.clustering != "dbscan"
        require(exact, "clustering: dbscan misses core points with dims: 3; choose grid or sklearn")
        positive(self, "slab_length", "slab_reach", "eps", "min_samples", "frames_per_shard")
        require(self.min_area <= self.max_area, "min_area is above max_area")
        if self.min_top is not None and self.max_top is not None:
            require(self.min_top <= self.max_top, "min_top is above max_top")
        for name in ("range_scale", "split_eps"):
            require((getattr(self, name) or 1) > 0, f"{name} must be above 0 or null")
        positive(self, "z_weight", "split_min_samples")
        require(self.min_ground_distance <= self.ground_distance, "min_ground_distance is above ground_distance")
        require(self.ground_taper >= 0, "ground_taper must not be negative")
        require(0 <= self.max_bad_frames <= 1, "max_bad_frames must lie in [0, 1]")
