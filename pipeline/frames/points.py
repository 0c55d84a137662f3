"""Reads LiDAR sweeps and stacks earlier ones under the key frame."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.errors import UserError
from pipeline.frames.argoverse_log import read_sweep
from pipeline.frames.frame import POINT_BYTES, Frame
from pipeline.geometry.transforms import Matrix
from pipeline.params import Grid

Points = NDArray[np.float32]


def read_points(path: Path) -> Points:
    """Reads one sweep; the suffix of its name tells the dataset.

    Args:
        path: a nuScenes .pcd.bin, float32 [N, 5]: x, y, z (m), intensity (0..255), ring; or an Argoverse 2 .feather.

    Returns:
        float32 [N, 5]: x, y, z (m, frame of this sweep: x right, y ahead, z up), intensity (0..1), zero.

    Raises:
        UserError: the file is missing, empty or cut off.
    """
    points, gain = _read_raw(path)
    points[:, 3] *= gain
    points[:, 4] = 0
    return points


def load_points(
    root: Path,
    frame: Frame,
    sweeps: int,
    ego_radius: float,
    bev_from_lidar: Matrix | None = None,
    crop: Grid | None = None,
    disturb: Callable[[float, Points], Points] | None = None,
) -> tuple[Points, int, NDArray[np.bool_]]:
    """The key frame's points and, below them, those of earlier sweeps, without the own car and what is not finite.

    Args:
        root: the dataset root.
        frame: the key frame.
        sweeps: how many earlier sweeps to add, fewer where there are fewer.
        ego_radius: metres; points with |x| and |y| below it, in their own sweep's frame, are the own car.
        bev_from_lidar: float64 [4, 4], moves the points on; None leaves them in the key frame's LiDAR frame.
        crop: drops the points outside its `reach`, `z_min` and `z_max` once they are moved; None keeps them.
        disturb: takes the lag and the points of each file, intensity in 0..1, and returns what to load instead; see
            `Disturbance.sweep`.

    Returns:
        points: float32 [N, 5]: x, y, z (m, BEV frame, ego motion compensated), intensity (0..1), lag (s).
        keyframe_points: the first so many points are the key frame's.
        kept: bool [frame.points], which points of the key-frame file those are, for arrays aligned with the file; with
            `disturb` of what it returned.

    Raises:
        UserError: a sweep is missing or cut off, or the key frame has not as many points as the index says.
    """
    bev_from_lidar = np.eye(4) if bev_from_lidar is None else bev_from_lidar
    files = [(root / frame.lidar_path, bev_from_lidar, 0.0)]
    files += [(root / s.path, bev_from_lidar @ s.lidar_from_sweep, s.lag) for s in frame.sweeps[:sweeps]]
    clouds = [_read_raw(path) for path, _, _ in files]
    if len(clouds[0][0]) != frame.points:
        raise UserError(
            f"the sweep has {len(clouds[0][0])} points, the index says {frame.points}",
            where=str(files[0][0]),
            remedy="the file changed since: run `dvc repro prepare`",
        )
    if disturb is not None:
        for number, ((points, gain), (_, _, lag)) in enumerate(zip(clouds, files, strict=True)):
            points[:, 3] *= gain
            clouds[number] = np.ascontiguousarray(disturb(lag, points), np.float32), np.float32(1)
    low, high = np.full(3, -np.inf, np.float32), np.full(3, np.inf, np.float32)
    if crop is not None:
        low[:], high[:] = (-crop.reach, -crop.reach, crop.z_min), (crop.reach, crop.reach, crop.z_max)
    placed = np.empty((sum(len(points) for points, _ in clouds), 5), np.float32)
    end, ends, masks = 0, [], []
    for (points, gain), (_, matrix, lag) in zip(clouds, files, strict=True):
        kept = np.empty(len(points), np.bool_)
        scalars = gain, np.float32(lag), np.float32(ego_radius)
        end += _place(points, matrix.astype(np.float32), *scalars, low, high, placed[end:], kept)
        ends.append(end)
        masks.append(kept)
    return placed[:end], ends[0], masks[0]


def _read_raw(path: Path) -> tuple[Points, np.float32]:
    """The points of a file and what makes a fraction of their intensity; errors as `read_points`."""
    if path.suffix == ".feather":
        return read_sweep(path), np.float32(1)
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise UserError("the sweep is missing", where=str(path), remedy="copy it from the archive again") from None
    # numpy drops a last fraction of a float, so the size on disk decides.
    if size == 0 or size % POINT_BYTES:
        raise UserError(
            f"the sweep is cut off: {size} bytes are no whole number of {POINT_BYTES}-byte points",
            where=str(path),
            remedy="copy this file again from the archive",
        )
    return np.fromfile(path, np.float32).reshape(-1, 5), np.float32(1 / 255)


@compiled
def _place(
    points: Points, matrix: Points, gain: np.float32, lag: np.float32, ego_radius: np.float32, low: Points,
    high: Points, out: Points, kept: NDArray[np.bool_],
) -> int:  # fmt: skip
    """Moves the points of one file and writes those that are off the own car and inside the bounds.

    In float32, as distances are short. What is not a number, or infinite, is inside nothing.

    Args:
        points: float32 [N, 5], content of the file.
        matrix: float32 [4, 4], `bev_from_sweep`.
        gain: of the intensity.
        lag: seconds.
        ego_radius: metres, in the sweep's frame.
        low: float32 [3], first x, y, z inside; metres, moved.
        high: float32 [3], first x, y, z beyond.
        out: float32 [at least N, 5]; the first rows hold the points, what follows is no data.
        kept: bool [N]; which points were written.

    Returns:
        How many.
    """
    rows = 0
    (xx, xy, xz, x0), (yx, yy, yz, y0), (zx, zy, zz, z0) = matrix[0], matrix[1], matrix[2]
    # No branches and every row written, most of them once more by the next point: twice as fast.
    for i in range(len(points)):
        x, y, z, intensity = points[i, 0], points[i, 1], points[i, 2], points[i, 3]
        u, v, w = xx * x + xy * y + xz * z + x0, yx * x + yy * y + yz * z + y0, zx * x + zy * y + zz * z + z0
        good = (abs(x) >= ego_radius) | (abs(y) >= ego_radius)
        good &= (u >= low[0]) & (u < high[0]) & (v >= low[1]) & (v < high[1]) & (w >= low[2]) & (w < high[2])
        good &= abs(intensity) < np.inf
        out[rows, 0], out[rows, 1], out[rows, 2], out[rows, 3], out[rows, 4] = u, v, w, intensity * gain, lag
        kept[i] = good
        rows += good
    return rows
