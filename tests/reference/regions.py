"""Slow, obvious twins of the region kernels."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull, QhullError

from pipeline.params import Regions


def paper_regions() -> Regions:
    """The constants of the published method."""
    return Regions(
        ground="plane_fit", slab_length=10.0, slab_reach=54.0, sensor_height=1.841, seed_margin=0.5, refits=5,
        ground_distance=0.2, ground_taper=0.0, min_ground_distance=0.2, min_slab_points=50, clustering="grid",
        eps=0.75, min_samples=5, dims=2, range_scale=None, z_weight=1.0, split_eps=None, split_min_samples=5,
        min_area=0.25, max_area=20.0, max_length=None, max_height=None, flat_height=0.0, max_flat_area=20.0,
        max_bottom=None, min_top=-1.59, max_top=3.0, min_aspect=0.1, ego_length=4.2, ego_width=2.0, frames_per_shard=4,
        max_bad_frames=0.0,
    )  # fmt: skip


def fit_ground(points: NDArray[np.float32], params: Regions) -> NDArray[np.bool_]:
    """Piecewise plane fit, slab after slab, planes by SVD of the centred support."""
    cloud = points[:, :3].astype(np.float64)
    ground = np.zeros(len(cloud), bool)
    starts = np.arange(-params.slab_reach, params.slab_reach, params.slab_length)
    for start in starts:
        first, last = start == starts[0], start == starts[-1]
        stop = min(start + params.slab_length, params.slab_reach)
        fitted = (cloud[:, 0] >= start) & (cloud[:, 0] < stop)
        judged = fitted | (first & (cloud[:, 0] < start)) | (last & (cloud[:, 0] >= stop))
        slab = cloud[fitted]
        if len(slab) < params.min_slab_points:
            continue
        plausible = sorted(z for z in slab[:, 2] if z > -params.sensor_height - params.seed_margin)
        if not plausible:
            continue
        support = slab[slab[:, 2] < np.mean(plausible[: params.min_slab_points]) + params.seed_margin]
        for refit in range(params.refits):
            if len(support) < 3:
                break
            centre = support.mean(axis=0)
            normal = np.linalg.svd(support - centre, full_matrices=False)[2][2]
            normal = normal if normal[2] >= 0 else -normal
            support = slab[(slab - centre) @ normal < params.ground_distance]
            if refit == params.refits - 1:
                ground |= judged & ((cloud - centre) @ normal < params.ground_distance)
    return ground


def hull_area(xy: NDArray[np.float64]) -> float:
    """Area of the convex hull; 0 on a line."""
    try:
        return float(ConvexHull(xy).volume)
    except QhullError:
        return 0.0


def rectangle(xy: NDArray[np.float64], angles: int = 3600) -> tuple[float, float]:
    """Short and long side of the smallest enclosing rectangle among many directions."""
    best = (np.inf, 0.0, 0.0)
    for angle in np.linspace(0, np.pi / 2, angles, endpoint=False):
        turned = xy @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        a, b = np.ptp(turned, axis=0)
        best = min(best, (a * b, min(a, b), max(a, b)))
    return best[1], best[2]


def dbscan(
    points: NDArray[np.float64], eps: float, min_samples: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Component of each core point, core points, noise: from the matrix of all distances."""
    near = ((points[:, None] - points[None]) ** 2).sum(axis=2) <= eps**2
    core = near.sum(axis=1) >= min_samples
    _, component = connected_components(csr_matrix(near & core[:, None] & core[None]))
    return component, core, ~(near & core[None]).any(axis=1)


def resolve_border(xy: NDArray[np.float64], core: NDArray[np.bool_], labels: NDArray[np.int64], point: int) -> int:
    """Cluster of the nearest core point, of equally near ones the lowest."""
    candidates = [(round(float(np.linalg.norm(xy[point] - xy[k])), 9), int(labels[k])) for k in np.flatnonzero(core)]
    return min(candidates)[1]
