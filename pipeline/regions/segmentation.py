"""One sweep to region ids: ground, then DBSCAN of the rest, then the filters."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.params import Regions
from pipeline.regions.clustering import cluster, split_clusters
from pipeline.regions.filters import find_oversized, judge_clusters, measure_clusters
from pipeline.regions.ground import find_ground
from pipeline.regions.ids import GROUND, NOISE, REJECTED

MAX_REGIONS = np.iinfo(np.int16).max + 1


@dataclass(frozen=True)
class Clusters:
    """What DBSCAN finds in one sweep of N points, before the filters drop any of its K clusters.

    Attributes:
        ground: bool [N].
        labels: int [N - points of the ground], the cluster of every point above it; -1: noise.
        broken: for each of `pipeline.regions.counts.REASONS` bool [K]: the clusters that it drops.
    """

    ground: NDArray[np.bool_]
    labels: NDArray[np.int64]
    broken: dict[str, NDArray[np.bool_]]

    @property
    def rejected(self) -> NDArray[np.bool_]:
        """Bool [K]: the clusters that are dropped for any reason."""
        return np.asarray(np.logical_or.reduce(list(self.broken.values())), np.bool_)


@dataclass(frozen=True)
class Segmentation:
    """The regions of one sweep.

    Attributes:
        ids: int16 [N]; region id >= 0, `NOISE`, `GROUND` or `REJECTED`.
        counts: for each of `pipeline.regions.counts.COUNTS` how many.
    """

    ids: NDArray[np.int16]
    counts: dict[str, int]


def segment(points: NDArray[np.float32], params: Regions) -> Segmentation:
    """Semantic pooling of one key-frame sweep (CALICO): ground, DBSCAN, a finer one of what is oversized, filters.

    Args:
        points: [N, >= 3], x, y, z in metres, LiDAR frame (x right, y forward, z up); N may be 0. A point with a
            coordinate that is not finite takes part in nothing and is `NOISE`.

    Raises:
        ValueError: there are more regions than int16 can number, or the points lie too far apart.
    """
    if not np.isfinite(points[:, :3]).all():
        return _segment_valid(points, params)
    found = find_clusters(points, params)
    kept = ~found.rejected
    regions = int(kept.sum())
    if regions > MAX_REGIONS:
        raise ValueError(f"{regions} regions do not fit into int16")
    # Looked up with the cluster id; noise (-1) finds the last entry.
    renamed = np.append(np.where(kept, np.cumsum(kept) - 1, REJECTED), NOISE)
    ids = np.full(len(points), GROUND, np.int16)
    ids[~found.ground] = renamed[found.labels]
    counts = {
        "points": len(points),
        "rich": int((ids >= 0).sum()),
        "ground": int(found.ground.sum()),
        "noise": int((ids == NOISE).sum()),
        "rejected": int((ids == REJECTED).sum()),
        "invalid": 0,
        "clusters": len(kept),
        "kept": regions,
    }
    return Segmentation(ids, counts | {reason: int(broken.sum()) for reason, broken in found.broken.items()})


def find_clusters(points: NDArray[np.float32], params: Regions) -> Clusters:
    """Ground, clusters above it, and which filters drop them; arguments as in `segment`, all points finite."""
    ground = find_ground(points, params)
    above = points[~ground]
    labels = cluster(above, params)
    shapes = measure_clusters(above, labels, params)
    if params.split_eps is not None and (oversized := find_oversized(shapes, params)).any():
        labels = split_clusters(above, labels, oversized, params)
        shapes = measure_clusters(above, labels, params)
    return Clusters(ground, labels, judge_clusters(shapes, params))


def _segment_valid(points: NDArray[np.float32], params: Regions) -> Segmentation:
    """The segmentation of the finite points; the others are `NOISE`."""
    valid = np.isfinite(points[:, :3]).all(axis=1)
    sound = segment(points[valid], params)
    ids = np.full(len(points), NOISE, np.int16)
    ids[valid] = sound.ids
    invalid = len(points) - int(valid.sum())
    changed = {"points": len(points), "noise": sound.counts["noise"] + invalid, "invalid": invalid}
    return Segmentation(ids, sound.counts | changed)
