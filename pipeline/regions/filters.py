"""Which clusters become regions: not too small, large, tall, low, high, hanging or thin, and not the own car."""

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
        length: metres, long side of the minimum-area rectangle on x y.
        bottom: metres, lowest z in the LiDAR frame.
        top: metres, highest z in the LiDAR frame.
        aspect: short / long side of the minimum-area rectangle on x y, 0..1; 0 where all points lie on one spot.
        ego: whether all points lie in the own car's box.
    """

    area: NDArray[np.float64]
    length: NDArray[np.float64]
    bottom: NDArray[np.float64]
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
        return ClusterShapes(empty, empty, empty, empty, empty, np.empty(0, bool))
    order = np.argsort(labels, kind="stable")
    order = order[np.searchsorted(labels[order], 0) :]
    group, xyz = labels[order], points[order, :3].astype(np.float64)
    starts = np.searchsorted(group, np.arange(count))
    in_box = (np.abs(xyz[:, 0]) <= params.ego_width / 2) & (np.abs(xyz[:, 1]) <= params.ego_length / 2)
    vertex, bounds = convex_hulls(xyz[:, :2], group, count)
    short, long = rectangle_sides(xyz[:, :2], vertex, bounds)
    return ClusterShapes(
        area=polygon_areas(xyz[:, :2], vertex, bounds),
        length=long,
        bottom=np.minimum.reduceat(xyz[:, 2], starts),
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
        "large": _is_large(shapes, params),
        "tall": _above(shapes.top - shapes.bottom, params.max_height),
        "low": _above(-shapes.top, None if params.min_top is None else -params.min_top),
        "high": _above(shapes.top, params.max_top),
        "hanging": _above(shapes.bottom, params.max_bottom),
        "thin": shapes.aspect < params.min_aspect,
        "ego": shapes.ego,
    }


def find_oversized(shapes: ClusterShapes, params: Regions) -> NDArray[np.bool_]:
    """Clusters [K] that are large or tall: likely several objects that touch, so a finer clustering may part them."""
    large = (shapes.area > params.max_area) | _above(shapes.length, params.max_length)
    return large | _above(shapes.top - shapes.bottom, params.max_height)


def _is_large(shapes: ClusterShapes, params: Regions) -> NDArray[np.bool_]:
    """Too large or too long; what is flat, like a row of barriers, may be larger."""
    large = (shapes.area > params.max_area) | _above(shapes.length, params.max_length)
    flat = (shapes.top - shapes.bottom <= params.flat_height) & (shapes.area <= params.max_flat_area)
    return large & ~flat


def _above(values: NDArray[np.float64], limit: float | None) -> NDArray[np.bool_]:
    """Which values pass the limit; none where there is no limit."""
    return np.zeros(len(values), bool) if limit is None else values > limit
