"""The files of one log of the Argoverse 2 sensor dataset, and its sweeps in the convention of nuScenes' LIDAR_TOP."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import feather

from pipeline.errors import UserError
from pipeline.geometry.transforms import Matrix

SWEEPS = "sensors/lidar"  # <time stamp in nanoseconds>.feather
POSES = "city_SE3_egovehicle.feather"
CALIBRATION = "calibration/egovehicle_SE3_sensor.feather"
LIDAR = "up_lidar"
EGO_HEIGHT = 0.33  # metres of the ego frame's origin, the middle of the rear axle, above the road
LIDAR_HEIGHT = 1.84  # metres of the LIDAR_TOP frame above the road on the nuScenes car, which every preset assumes
AGAIN = "download this log of the Argoverse 2 sensor dataset again"


def lidar_from_ego(log: Path) -> Matrix:
    """What takes points of a log's sweeps, which are in the ego frame (x ahead, y left), into our LiDAR frame.

    Ours is x right, y ahead, z up, level with the car; its origin is at the upper LiDAR on x and y, and `LIDAR_HEIGHT`
    above the road on z, whatever the LiDAR's own height.

    Raises:
        UserError: the calibration is missing, broken or lacks the upper LiDAR.
    """
    path = log / CALIBRATION
    rows = read_feather(path, "sensor_name", "tx_m", "ty_m")
    found = np.flatnonzero(rows["sensor_name"] == LIDAR)
    if len(found) != 1:
        raise UserError(f"the calibration has {len(found)} rows of {LIDAR}", where=str(path), remedy=AGAIN)
    ahead, left = (float(rows[name][found[0]]) for name in ("tx_m", "ty_m"))
    matrix = np.array([[0.0, -1, 0, left], [1, 0, 0, -ahead], [0, 0, 1, EGO_HEIGHT - LIDAR_HEIGHT], [0, 0, 0, 1]])
    if not np.isfinite(matrix).all():
        raise UserError(f"the place of {LIDAR} is no number", where=str(path), remedy=AGAIN)
    return matrix


def read_sweep(path: Path) -> NDArray[np.float32]:
    """Reads one sweep; the calibration comes from its log's folder.

    Args:
        path: `<log>/sensors/lidar/<time stamp>.feather`: x, y, z (float16, m, ego frame), intensity (0..255).

    Returns:
        float32 [N, 5]: x, y, z (m, our LiDAR frame, see `lidar_from_ego`), intensity (0..1), zero; in the file's order.

    Raises:
        UserError: the file or the calibration is missing or broken, or the sweep is empty.
    """
    columns = read_feather(path, "x", "y", "z", "intensity")
    count = len(columns["x"])
    if count == 0:
        raise UserError("the sweep is empty", where=str(path), remedy=AGAIN)
    matrix = lidar_from_ego(path.parents[2]).astype(np.float32)
    ego = np.stack([columns[name] for name in "xyz"], axis=1).astype(np.float32)
    points = np.zeros((count, 5), np.float32)
    points[:, :3] = ego @ matrix[:3, :3].T + matrix[:3, 3]
    points[:, 3] = columns["intensity"].astype(np.float32) / 255
    return points


def count_points(path: Path) -> int:
    """Number of points in a sweep; errors as `read_sweep`."""
    count = len(read_feather(path, "intensity")["intensity"])
    if count == 0:
        raise UserError("the sweep is empty", where=str(path), remedy=AGAIN)
    return count


def read_feather(path: Path, *columns: str) -> dict[str, NDArray[Any]]:
    """Columns of a feather file as arrays [rows].

    Raises:
        UserError: the file is missing, no feather file, or lacks a column.
    """
    try:
        table = feather.read_table(path, columns=list(columns))
        return {name: table.column(name).to_numpy() for name in columns}
    except FileNotFoundError:
        raise UserError("the file is missing", where=str(path), remedy=AGAIN) from None
    except (pa.ArrowException, OSError, KeyError) as error:
        problem = " ".join(str(error).split())
        raise UserError(f"the file cannot be read ({problem})", where=str(path), remedy=AGAIN) from error
