"""Why clusters of one sweep are no regions. The store keeps ids alone, so this clusters the sweep again."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.params import Regions
from pipeline.regions.hulls import find_hull
from pipeline.regions.segmentation import find_clusters


@dataclass(frozen=True)
class Rejection:
    """A cluster that a filter dropped.

    Attributes:
        outline: float64 [H, 2], its convex hull on x y, metres, LiDAR frame; fewer than three corners where all its
            points lie on one line.
        points: how many it holds.
        reasons: of `pipeline.regions.counts.REASONS`, at least one.
    """

    outline: NDArray[np.float64]
    points: int
    reasons: tuple[str, ...]


def find_rejections(points: NDArray[np.float32], params: Regions) -> list[Rejection]:
    """The clusters of `pipeline.regions.segmentation.segment` that it rejects, in the order of their first core points.

    Args:
        points: [N, >= 3], x, y, z in metres, LiDAR frame; those that are not finite are left out.
    """
    sound = points[np.isfinite(points[:, :3]).all(axis=1)]
    clusters = find_clusters(sound, params)
    above = sound[~clusters.ground]
    found = []
    for number in np.flatnonzero(clusters.rejected):
        xy = above[clusters.labels == number, :2].astype(np.float64)
        reasons = tuple(reason for reason, broken in clusters.broken.items() if broken[number])
        found.append(Rejection(xy[find_hull(xy)], len(xy), reasons))
    return found
