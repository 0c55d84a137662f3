"""Exact DBSCAN with a result that depends on the points alone, neither on the backend nor on its threads."""

import sys
from functools import cache
from types import ModuleType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.params import Regions
from pipeline.regions.grid_dbscan import adopt_border_points, connect, find_core_points, make_grid
from pipeline.regions.ids import NOISE


def cluster(points: NDArray[np.float32], params: Regions) -> NDArray[np.int64]:
    """DBSCAN (Ester et al., KDD 1996) of a sweep in the space that `transform` makes.

    Core points (`min_samples` points within `eps`, themselves included), their partition and the noise are unique. A
    border point may lie in reach of several clusters: it goes to that of its nearest core point, at equal distance to
    the lower id. Clusters are numbered in the order of their first core points.

    Args:
        points: [N, >= dims], metres, finite.

    Returns:
        int64 [N]: cluster id >= 0, or `NOISE`.
    """
    return _find_clusters(transform(points, params), params.eps, params.min_samples, params.clustering)


def split_clusters(
    points: NDArray[np.float32], labels: NDArray[np.int64], oversized: NDArray[np.bool_], params: Regions
) -> NDArray[np.int64]:
    """Clusters the points of every oversized cluster again, at `split_eps` and `split_min_samples`.

    Args:
        points: [N, >= dims], metres, as given to `cluster`.
        labels: [N], its result.
        oversized: [K], which clusters to split.

    Returns:
        int64 [N]: the other clusters, then the parts, numbered without gaps; points of no part are `NOISE`.
    """
    assert params.split_eps is not None
    renamed = np.append(np.where(oversized, NOISE, np.cumsum(~oversized) - 1), NOISE)
    result: NDArray[np.int64] = renamed[labels]
    again = np.flatnonzero(np.append(oversized, False)[labels])
    coordinates = transform(points[again], params)
    parts = _find_clusters(coordinates, params.split_eps, params.split_min_samples, params.clustering)
    result[again] = np.where(parts >= 0, parts + int((~oversized).sum()), NOISE)
    return result


def transform(points: NDArray[np.float32], params: Regions) -> NDArray[np.float64]:
    """The space that is clustered: x y, or x y z with z weighted, its distance from the sensor compressed.

    A point at distance r moves towards the sensor to `s ln(1 + r / s)`, s = `range_scale`: neighbours that a sensor
    sees at a constant angle stay about as near to each other at any distance.

    Returns:
        float64 [N, dims], contiguous.
    """
    space = np.array(points[:, : params.dims], np.float64)
    if params.dims == 3:
        space[:, 2] *= params.z_weight
    if params.range_scale is not None:
        distance = np.hypot(points[:, 0], points[:, 1]).astype(np.float64)
        near = params.range_scale * np.log1p(distance / params.range_scale)
        space *= np.divide(near, distance, out=np.ones_like(near), where=distance > 0)[:, None]
    return space


def _find_clusters(coordinates: NDArray[np.float64], eps: float, min_samples: int, backend: str) -> NDArray[np.int64]:
    if len(coordinates) < min_samples:
        return np.full(len(coordinates), NOISE, np.int64)
    grid = make_grid(coordinates, eps)
    if backend == "grid":
        core = find_core_points(grid, min_samples)
        labels = connect(grid, core)
    else:
        find = _parallel_dbscan if backend == "dbscan" else _sklearn_dbscan
        raw, is_core = find(coordinates, eps, min_samples)
        numbered = np.full(len(coordinates), NOISE, np.int64)
        numbered[is_core] = _number_by_first(raw[is_core])
        core, labels = is_core[grid.order], numbered[grid.order]
    return adopt_border_points(grid, core, labels)


def _parallel_dbscan(
    xy: NDArray[np.float64], eps: float, min_samples: int
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Wang, Gu and Shun, "Theoretically-Efficient and Practical Parallel DBSCAN", SIGMOD 2020: labels, core points.

    Exact in two dimensions only: see docs/regions.md.
    """
    labels, core = _load_dbscan().DBSCAN(xy, eps=eps, min_samples=min_samples)
    return labels, core


def _sklearn_dbscan(
    xyz: NDArray[np.float64], eps: float, min_samples: int
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """The same from scikit-learn, the reference choice: exact in any dimension, and slow."""
    from sklearn.cluster import dbscan  # costs a second, so only those pay who ask for it

    core, labels = dbscan(xyz, eps=eps, min_samples=min_samples, algorithm="kd_tree")
    is_core = np.zeros(len(xyz), bool)
    is_core[core] = True
    return np.asarray(labels, np.int32), is_core


def _number_by_first(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """Renames labels to 0, 1, ... in the order of their first appearance."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


@cache
def _load_dbscan() -> Any:
    """The package `dbscan` without its scikit-learn wrapper.

    It defines the wrapper where scikit-learn can be imported, which costs every process over a second. A `None` in
    `sys.modules` is Python's way to say that a module cannot be.
    """
    modules = cast(dict[str, ModuleType | None], sys.modules)
    hide = "sklearn" not in modules
    if hide:
        modules["sklearn"] = None
    try:
        import dbscan
    finally:
        if hide:
            del modules["sklearn"]
    return dbscan
