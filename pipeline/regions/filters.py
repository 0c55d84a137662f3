"""Which clusters become regions: not too small, large, low, high or thin, and not the own car."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.params import Regions
from pipeline.regions.hulls import convex_hulls, polygon_areas, rectangle_sides


@dataclass(frozen=True)
class ClusterShapes:
    """What the filters look at, one entry per cluster.

    Attributes:
        area: m2, convex hull on x y; 0 where all points lie on one line.
        top: metres, highest z in the LiDAR frame.
        aspect: short / long side of the minimum-area rectangle on x y, 0..1; 0 where all points lie on one spot.
        ego: whether all points lie in the own car's box.
    """

    area: NDArray[np.float64]
    top: NDArray[np.float64]
    aspect: NDArray[np.float64]
    ego: NDArray[np.bool_]


def measure_clusters(points: NDArray[np.float32], labels: NDArray[np.int64], params: Regions) -> ClusterShapes:
    """Shapes of the clusters 0 .. max(labels).

    Args:
        points: [N, >= 3] x, y, z in metres, LiDAR frame.
        labels: [N] cluster id without gaps; negative points belong to none.
    """
    count = int(labels.max(initial=-1)) + 1
    if count == 0:
        empty = np.empty(0)
        return ClusterShapes(empty, empty, empty, np.empty(0, bool))
    order = np.argsort(labels, kind="stable")
    order = order[np.searchsorted(labels[order], 0) :]
    group, xyz = labels[order], points[order, :3].astype(np.float64)
    starts = np.searchsorted(group, np.arange(count))
    in_box = (np.abs(xyz[:, 0]) <= params.ego_width / 2) & (np.abs(xyz[:, 1]) <= params.ego_length / 2)
    vertex, bounds = convex_hulls(xyz[:, :2], group, count)
    short, long = rectangle_sides(xyz[:, :2], vertex, bounds)
    return ClusterShapes(
        area=polygon_areas(xyz[:, :2], vertex, bounds),
        top=np.maximum.reduceat(xyz[:, 2], starts),
        aspect=np.divide(short, long, out=np.zeros(count), where=long > 0),
        ego=np.logical_and.reduceat(in_box, starts),
    )


def judge_clusters(shapes: ClusterShapes, params: Regions) -> dict[str, NDArray[np.bool_]]:
    """Which clusters break which rule, bool [K] for each of `pipeline.regions.counts.REASONS`.

    A cluster that breaks none is kept. Every rule sees every cluster, so a cluster may be counted under several reasons
    and the counts depend on no order. The own car's rule asks for ALL points: an OR over the axes would drop every car
    straight ahead.
    """
    return {
        "small": shapes.area < params.min_area,
        "large": shapes.area > params.max_area,
        "low": shapes.top < params.min_top,
        "high": shapes.top > params.max_top,
        "thin": shapes.aspect < params.min_aspect,
        "ego": shapes.ego,
    }
