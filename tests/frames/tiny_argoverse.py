"""An Argoverse 2 root small enough to write in a test: a road with boxes, seen from a car that drives and turns."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import feather

from pipeline.geometry.transforms import Matrix, inverse, quaternion_from_matrix, rotation_about_z
from pipeline.params import Dataset

START = 315_966_265_000_000_000  # nanoseconds
PERIOD = 100_000_000
SWEEPS = 7  # key frames are the first and the sixth
LOGS = {"train": ("log-b", "log-a"), "val": ("log-c",)}
UP_LIDAR = (1.35, 0.05, 1.64)
ROAD = 0.33  # metres below the ego frame's origin


def argoverse_at(root: Path, **changes: Any) -> Dataset:
    values: dict[str, Any] = {
        "name": "tiny", "root": str(root), "version": "survey", "simulated": [], "pretrain_split": "train",
        "train_split": "train", "val_split": "val", "splits": {}, "format": "argoverse2",
    }  # fmt: skip
    return Dataset(**(values | changes))


def city_from_ego(seconds: float) -> Matrix:
    """A car at 9 m/s that turns."""
    pose = rotation_about_z(-0.4 + 0.3 * seconds)
    pose[:3, 3] = [5200 + 9 * seconds, 2400 - 3 * seconds, 69.0]
    return pose


def street() -> NDArray[np.float64]:
    """City points that every sweep sees: road within 22 m and six boxes of 2 m x 2 m x 1.6 m on it, [N, 3]."""
    rng = np.random.default_rng(8)
    road = rng.uniform([-22, -22, 0], [22, 22, 0.02], (2500, 3))
    boxes = [
        rng.uniform([x - 1, y - 1, 0.1], [x + 1, y + 1, 1.6], (150, 3))
        for x, y in ((8, 6), (-9, 7), (12, -8), (-11, -9), (3, 14), (1, -15))
    ]
    return np.asarray(np.concatenate([road, *boxes]) + np.array([5200, 2400, 69.0 - ROAD]))


def write_argoverse(root: Path) -> None:
    """Three logs of `SWEEPS` sweeps below the folders train and val."""
    for split, names in LOGS.items():
        for name in names:
            _write_log(root / split / name)


def _write_log(log: Path) -> None:
    for folder in ("sensors/lidar", "calibration", "map"):
        (log / folder).mkdir(parents=True)
    (log / "map" / f"log_map_archive_{log.name}____PIT_city_47896.json").write_text("{}")
    stamps = [START + k * PERIOD for k in range(SWEEPS)]
    for k, stamp in enumerate(stamps):
        ego_from_city = inverse(city_from_ego(0.1 * k))
        write_sweep(
            log / "sensors" / "lidar" / f"{stamp}.feather", street() @ ego_from_city[:3, :3].T + ego_from_city[:3, 3]
        )
    # The car's pose is known more often than at the sweeps, as in the recorded logs.
    seconds = np.arange(-5, 10 * SWEEPS) * 0.01
    poses = [city_from_ego(float(second)) for second in seconds]
    write_poses(log / "city_SE3_egovehicle.feather", START + np.rint(seconds * 1e9).astype(np.int64), poses)
    columns = dict(zip(("tx_m", "ty_m", "tz_m"), ([of, of - 0.1] for of in UP_LIDAR), strict=True))
    names = {"sensor_name": ["up_lidar", "down_lidar"], "qw": [1.0, 0.0], "qx": [0.0, 1.0], "qy": [0.0] * 2}
    feather.write_feather(
        pa.table(names | {"qz": [0.0] * 2} | columns), log / "calibration" / "egovehicle_SE3_sensor.feather"
    )


def write_sweep(path: Path, ego: NDArray[np.float64]) -> None:
    """Points in the ego frame, float16 as in the recorded files, intensity 51."""
    columns = {axis: ego[:, k].astype(np.float16) for k, axis in enumerate("xyz")}
    extra = {"intensity": np.full(len(ego), 51, np.uint8), "laser_number": np.zeros(len(ego), np.uint8)}
    feather.write_feather(pa.table(columns | extra), path)


def write_poses(path: Path, stamps: NDArray[np.int64], poses: list[Matrix]) -> None:
    quaternions = np.array([quaternion_from_matrix(pose) for pose in poses])
    places = np.array([pose[:3, 3] for pose in poses])
    columns = {"timestamp_ns": stamps} | {f"q{axis}": quaternions[:, k] for k, axis in enumerate("wxyz")}
    feather.write_feather(pa.table(columns | {f"t{axis}_m": places[:, k] for k, axis in enumerate("xyz")}), path)
