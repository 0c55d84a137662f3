"""Which clusters become regions: not too small, large, tall, low, high, hanging or thin, and not the own car."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.params import Regions
from pipeline.regions.hulls import find_hull, polygon_area, rectangle_sides


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
    numbers, ego = _measure(points[:, :3], labels, int(labels.max(initial=-1)) + 1, params.ego_width, params.ego_length)
    area, short, long, bottom, top = numbers
    aspect = np.divide(short, long, out=np.zeros_like(long), where=long > 0)
    return ClusterShapes(area, long, bottom, top, aspect, ego)


@compiled
def _measure(
    points: NDArray[np.float32], labels: NDArray[np.int64], count: int, ego_width: float, ego_length: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Area, short side, long side, bottom, top [5, count]; whether all points lie in the own car's box [count]."""
    bounds = np.zeros(count + 1, np.int64)
    for label in labels:
        if label >= 0:
            bounds[label + 1] += 1
    bounds = np.cumsum(bounds)
    order, ends = np.empty(bounds[-1], np.int64), bounds[:-1].copy()
    for i in range(len(labels)):
        if labels[i] >= 0:
            order[ends[labels[i]]] = i
            ends[labels[i]] += 1
    numbers, ego = np.empty((5, count)), np.ones(count, np.bool_)
    for k in range(count):
        members = order[bounds[k] : bounds[k + 1]]
        xy = np.empty((len(members), 2))
        numbers[3, k], numbers[4, k] = np.inf, -np.inf
        for i, member in enumerate(members):
            x, y, z = np.float64(points[member, 0]), np.float64(points[member, 1]), np.float64(points[member, 2])
            xy[i, 0], xy[i, 1] = x, y
            numbers[3, k], numbers[4, k] = min(numbers[3, k], z), max(numbers[4, k], z)
            ego[k] &= abs(x) <= ego_width / 2 and abs(y) <= ego_length / 2
        corners = xy[find_hull(xy)]
        short, long = rectangle_sides(corners)
        numbers[0, k], numbers[1, k], numbers[2, k] = polygon_area(corners), short, long
    return numbers, ego


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
