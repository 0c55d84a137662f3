"""Reads LiDAR sweeps and stacks earlier ones under the key frame."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.frames.frame import Frame
from pipeline.frames.recording import POINT_BYTES

Points = NDArray[np.float32]


def read_points(path: Path) -> Points:
    """Reads one sweep.

    Args:
        path: a nuScenes .pcd.bin, float32 [N, 5]: x, y, z (m), intensity (0..255), ring.

    Returns:
        float32 [N, 5]: x, y, z (m, frame of this sweep), intensity (0..1), zero.

    Raises:
        UserError: the file is missing, empty or cut off.
    """
    try:
        values = np.fromfile(path, np.float32)
    except FileNotFoundError:
        raise UserError("the sweep is missing", where=str(path), remedy="copy it from the archive again") from None
    # numpy drops a last fraction of a float, so the size on disk decides.
    size = path.stat().st_size
    if size == 0 or size % POINT_BYTES:
        raise UserError(
            f"the sweep is cut off: {size} bytes are no whole number of {POINT_BYTES}-byte points",
            where=str(path),
            remedy="copy this file again from the archive",
        )
    points = values.reshape(-1, 5)
    points[:, 3] /= 255
    points[:, 4] = 0
    return points


def load_points(root: Path, frame: Frame, sweeps: int, ego_radius: float) -> tuple[Points, int, NDArray[np.bool_]]:
    """The key frame's points and, below them, those of earlier sweeps, without the own car and what is not finite.

    Args:
        root: the dataset root.
        frame: the key frame.
        sweeps: how many earlier sweeps to add, fewer where there are fewer.
        ego_radius: metres; points with |x| and |y| below it, in their own sweep's frame, are the own car.

    Returns:
        points: float32 [N, 5]: x, y, z (m, key frame's LiDAR frame, ego motion compensated), intensity (0..1), lag (s).
        keyframe_points: the first so many points are the key frame's.
        kept: bool [frame.points], which points of the key-frame file those are, for arrays aligned with the file.

    Raises:
        UserError: a sweep is missing or cut off, or the key frame has not as many points as the index says.
    """
    key = read_points(root / frame.lidar_path)
    if len(key) != frame.points:
        raise UserError(
            f"the sweep has {len(key)} points, the index says {frame.points}",
            where=str(root / frame.lidar_path),
            remedy="the file changed since: run `dvc repro prepare`",
        )
    kept = _usable(key, ego_radius)
    parts = [key[kept]]
    for sweep in frame.sweeps[:sweeps]:
        points = read_points(root / sweep.path)
        points = points[_usable(points, ego_radius)]
        move_points(sweep.lidar_from_sweep, points)
        points[:, 4] = sweep.lag
        parts.append(points)
    return np.concatenate(parts), len(parts[0]), kept


def move_points(matrix: NDArray[np.float64], points: Points) -> None:
    """Applies `target_from_source` [4, 4] to the first three columns, in place and in float32 (distances are short)."""
    points[:, :3] = points[:, :3] @ matrix[:3, :3].T.astype(np.float32) + matrix[:3, 3].astype(np.float32)


def _usable(points: Points, radius: float) -> NDArray[np.bool_]:
    """Finite points off the own car; `calico check --deep` counts those that are not finite."""
    off_the_car = (np.abs(points[:, 0]) >= radius) | (np.abs(points[:, 1]) >= radius)
    return np.asarray(off_the_car & np.isfinite(points).all(axis=1))
