"""Reads LiDAR sweeps and stacks earlier ones under the key frame."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.frames.frame import Frame
from pipeline.frames.recording import POINT_BYTES
from pipeline.geometry.transforms import Matrix
from pipeline.params import Grid

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
    _count_points(path)
    points = np.fromfile(path, np.float32).reshape(-1, 5)
    points[:, 3] /= 255
    points[:, 4] = 0
    return points


def load_points(
    root: Path,
    frame: Frame,
    sweeps: int,
    ego_radius: float,
    bev_from_lidar: Matrix | None = None,
    crop: Grid | None = None,
) -> tuple[Points, int, NDArray[np.bool_]]:
    """The key frame's points and, below them, those of earlier sweeps, without the own car.

    Args:
        root: the dataset root.
        frame: the key frame.
        sweeps: how many earlier sweeps to add, fewer where there are fewer.
        ego_radius: metres; points with |x| and |y| below it, in their own sweep's frame, are the own car.
        bev_from_lidar: float64 [4, 4], applied to every point; None for the identity.
        crop: drops what lies, after that, outside `reach` on x or y, or outside `z_min` to `z_max`; None keeps it.

    Returns:
        points: float32 [N, 5]: x, y, z (m, BEV frame, ego motion compensated), intensity (0..1), lag (s).
        keyframe_points: the first so many points are the key frame's.
        kept: bool [frame.points], which points of the key-frame file those are, for arrays aligned with the file.

    Raises:
        UserError: a sweep is missing or cut off, or the key frame has not as many points as the index says.
    """
    bev_from_lidar = np.eye(4) if bev_from_lidar is None else bev_from_lidar
    files = [(root / frame.lidar_path, bev_from_lidar, 0.0)]
    files += [(root / s.path, bev_from_lidar @ s.lidar_from_sweep, s.lag) for s in frame.sweeps[:sweeps]]
    counts = [_count_points(path) for path, _, _ in files]
    if counts[0] != frame.points:
        raise UserError(
            f"the sweep has {counts[0]} points, the index says {frame.points}",
            where=str(files[0][0]),
            remedy="the file changed since: run `dvc repro prepare`",
        )
    placed = np.empty((sum(counts), 5), np.float32)  # filled from the top: touching fresh memory twice is what costs
    ends, masks = [0], []
    for path, matrix, lag in files:
        masks.append(_place(np.fromfile(path, np.float32), matrix, lag, ego_radius, crop, placed[ends[-1] :]))
        ends.append(ends[-1] + np.count_nonzero(masks[-1]))
    return placed[: ends[-1]], ends[1], masks[0]


def _count_points(path: Path) -> int:
    """Points in a .pcd.bin by its size; errors as `read_points`."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise UserError("the sweep is missing", where=str(path), remedy="copy it from the archive again") from None
    if size == 0 or size % POINT_BYTES:
        raise UserError(
            f"the sweep is cut off: {size} bytes are no whole number of {POINT_BYTES}-byte points",
            where=str(path),
            remedy="copy this file again from the archive",
        )
    return size // POINT_BYTES


def _place(
    values: Points, matrix: Matrix, lag: float, ego_radius: float, crop: Grid | None, out: Points
) -> NDArray[np.bool_]:
    """Writes the points of one file that are off the own car and, moved, inside `crop`.

    Args:
        values: float32 [5 N], the content of the file.
        matrix: `bev_from_sweep`.
        out: float32 [at least N, 5]; the first rows are written.

    Returns:
        bool [N], which points those are.
    """
    points = values.reshape(-1, 5)
    kept = np.asarray((np.abs(points[:, 0]) >= ego_radius) | (np.abs(points[:, 1]) >= ego_radius))
    # One product does it all; the ring, which nobody reads, makes room for the one that offsets are multiplied by.
    # In float32, as distances are short.
    points[:, 4] = 1
    columns = np.zeros((5, 5), np.float32)
    columns[:3, :3], columns[4, :3] = matrix[:3, :3].T, matrix[:3, 3]
    columns[3, 3], columns[4, 4] = 1 / 255, lag
    moved = points @ columns
    if crop is not None:
        reach = (-crop.reach, crop.reach)
        xyz = np.ascontiguousarray(moved[:, :3].T)
        for axis, (low, high) in zip(xyz, (reach, reach, (crop.z_min, crop.z_max)), strict=True):
            kept &= (axis >= low) & (axis < high)  # a point that is not a number is inside nothing
    rows = np.flatnonzero(kept)
    np.take(moved, rows, axis=0, out=out[: len(rows)], mode="clip")  # the other modes copy once more
    return kept
