"""Ground removal: by piecewise plane fitting, by Patchwork++, or not at all.

Zermas et al., "Fast Segmentation of 3D Point Clouds: A Paradigm on LiDAR Data for Autonomous Vehicle Applications",
ICRA 2017. Slabs run along x (to the right of the sensor).
Lee, Lim and Myung, "Patchwork++: Fast and Robust Ground Segmentation Solving Partial Under-Segmentation Using 3D Point
Cloud", IROS 2022, by its authors' package.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.params import Regions

MIN_SUPPORT = 3  # points that define a plane


def find_ground(points: NDArray[np.float32], params: Regions) -> NDArray[np.bool_]:
    """Which points are ground, by the method that `params.ground` names.

    Args:
        points: [N, >= 3] x, y, z in metres, LiDAR frame, finite.

    Returns:
        bool [N].
    """
    match params.ground:
        case "plane_fit":
            return fit_ground_planes(points, params)
        case "patchwork":
            return find_ground_patches(points, params)
        case "none":
            return np.zeros(len(points), bool)


def fit_ground_planes(points: NDArray[np.float32], params: Regions) -> NDArray[np.bool_]:
    """Fits one plane per slab and takes what lies less than `ground_distance` above it, or anywhere below it.

    That distance shrinks by `ground_taper` per metre from the sensor, down to `min_ground_distance`.

    The first support of a slab's plane are its points lower than `seed_margin` above the mean z of its
    `min_slab_points` lowest points, where points deeper than `seed_margin` under the nominal ground (`-sensor_height`)
    are taken for reflections. Each of the `refits` fits the least-squares plane of the support and takes its ground as
    the next one. A slab with fewer than `min_slab_points` points has no ground, nor has one whose support shrinks below
    three points.
    Points with |x| beyond `slab_reach` support no plane; the plane of the outermost slab on their side classifies them.

    Args:
        points: [N, >= 3] x, y, z in metres, LiDAR frame, finite.

    Returns:
        bool [N].
    """
    slab, inside, count = _assign_slabs(points[:, 0], params)
    xyz = points[:, :3].astype(np.float64)
    distance = np.hypot(xyz[:, 0], xyz[:, 1])
    limit = np.maximum(params.ground_distance - params.ground_taper * distance, params.min_ground_distance)
    ground = _seed(xyz[:, 2], slab, inside, count, params)
    for _ in range(params.refits):
        sums = _sum_moments(xyz, slab, ground & inside, count)
        normal, offset = _least_squares_planes(sums)
        ground = _find_below(xyz, slab, normal, offset, limit, sums[:, 0] >= MIN_SUPPORT)
    return ground


def find_ground_patches(points: NDArray[np.float32], params: Regions) -> NDArray[np.bool_]:
    """Patchwork++ with its authors' settings; of `params` only `sensor_height` matters.

    Its noise removal needs intensities and stays off. Points nearer than 2.7 m or beyond 80 m are no ground.

    Args:
        points: [N, >= 3] x, y, z in metres, LiDAR frame, finite.

    Returns:
        bool [N].
    """
    import pypatchworkpp

    settings = pypatchworkpp.Parameters()
    settings.sensor_height = params.sensor_height
    settings.enable_RNR = False
    # It adapts its thresholds to the sweeps it has seen: a new one each time, so that ids depend on no other frame.
    with _silent_stdout():
        method = pypatchworkpp.patchworkpp(settings)
    ground = np.zeros(len(points), bool)
    if len(points):
        method.estimateGround(np.pad(points[:, :3], ((0, 0), (0, 1))).astype(np.float32))
        ground[method.getGroundIndices()] = True
    return ground


@contextmanager
def _silent_stdout() -> Iterator[None]:
    """Nothing that compiled code writes to stdout is seen: the package greets at every construction."""
    kept = os.dup(1)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _assign_slabs(x: NDArray[np.float32], params: Regions) -> tuple[NDArray[np.int64], NDArray[np.bool_], int]:
    """The slab of each point (int64 [N], outer points in the outermost one), whether it is within reach, slab count."""
    count = int(np.ceil(2 * params.slab_reach / params.slab_length))
    position = np.floor((x.astype(np.float64) + params.slab_reach) / params.slab_length)
    inside = (x >= -params.slab_reach) & (x < params.slab_reach)
    return np.clip(position, 0, count - 1).astype(np.int64), inside, count


def _seed(
    z: NDArray[np.float64], slab: NDArray[np.int64], inside: NDArray[np.bool_], count: int, params: Regions
) -> NDArray[np.bool_]:
    """First support of every slab, bool [N]."""
    lowest = params.min_slab_points
    mean = np.full(count, -np.inf)
    plausible = inside & (z > -params.sensor_height - params.seed_margin)
    for k in np.flatnonzero(np.bincount(slab[inside], minlength=count) >= lowest):
        heights = z[plausible & (slab == k)]
        if len(heights) > lowest:
            heights = np.partition(heights, lowest)[:lowest]
        if len(heights):
            mean[k] = heights.mean()
    return np.asarray(inside & (z < mean[slab] + params.seed_margin))


@compiled
def _sum_moments(
    xyz: NDArray[np.float64], slab: NDArray[np.int64], support: NDArray[np.bool_], count: int
) -> NDArray[np.float64]:
    """Per slab the number of supporting points and the sums of x, y, z, xx, xy, xz, yy, yz, zz; [count, 10].

    Summed one after another: BLAS splits sums by its thread count, so its last bits depend on the machine.
    """
    sums = np.zeros((count, 10))
    for i in range(len(xyz)):
        if support[i]:
            x, y, z = xyz[i]
            row = sums[slab[i]]
            row[0] += 1
            row[1] += x
            row[2] += y
            row[3] += z
            row[4] += x * x
            row[5] += x * y
            row[6] += x * z
            row[7] += y * y
            row[8] += y * z
            row[9] += z * z
    return sums


@compiled
def _find_below(
    xyz: NDArray[np.float64], slab: NDArray[np.int64], normal: NDArray[np.float64], offset: NDArray[np.float64],
    limit: NDArray[np.float64], has_plane: NDArray[np.bool_],
) -> NDArray[np.bool_]:  # fmt: skip
    """Which points lie less than `limit` [N] above the plane of their slab."""
    below = np.zeros(len(xyz), np.bool_)
    for i in range(len(xyz)):
        k = slab[i]
        height = normal[k, 0] * xyz[i, 0] + normal[k, 1] * xyz[i, 1] + normal[k, 2] * xyz[i, 2] - offset[k]
        below[i] = has_plane[k] and height < limit[i]
    return below


def _least_squares_planes(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Planes `normal . point = offset` from summed moments [S, 10]: upward unit normals [S, 3], offsets [S], metres."""
    mean = sums[:, 1:] / np.maximum(sums[:, :1], 1)
    centre = mean[:, :3]
    second = mean[:, [3, 4, 5, 4, 6, 7, 5, 7, 8]].reshape(-1, 3, 3)
    covariance = second - centre[:, :, None] * centre[:, None, :]
    normal = np.linalg.eigh(covariance)[1][:, :, 0]  # direction of least variance
    normal *= np.where(normal[:, 2:] < 0, -1.0, 1.0)  # an eigenvector has no sign; ground looks up
    return normal, (normal * centre).sum(axis=1)
