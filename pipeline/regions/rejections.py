"""Why clusters of one sweep are no regions. The store keeps ids alone, so this clusters the sweep again."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.params import Regions
from pipeline.regions.clustering import cluster, split_clusters
from pipeline.regions.filters import find_oversized, judge_clusters, measure_clusters
from pipeline.regions.ground import find_ground
from pipeline.regions.hulls import find_hull


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
    above = sound[~find_ground(sound, params)]
    labels = cluster(above, params)
    shapes = measure_clusters(above, labels, params)
    if params.split_eps is not None and (oversized := find_oversized(shapes, params)).any():
        labels = split_clusters(above, labels, oversized, params)
        shapes = measure_clusters(above, labels, params)
    verdicts = judge_clusters(shapes, params)
    found = []
    for number in np.flatnonzero(np.logical_or.reduce(list(verdicts.values()))):
        xy = above[labels == number, :2].astype(np.float64)
        reasons = tuple(reason for reason, broken in verdicts.items() if broken[number])
        found.append(Rejection(xy[find_hull(xy)], len(xy), reasons))
    return found
