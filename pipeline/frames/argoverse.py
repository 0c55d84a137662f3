"""The Argoverse 2 sensor dataset as key frames of one LiDAR, in the convention of nuScenes. Reads no annotation."""

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.frames.argoverse_log import AGAIN, POSES, SWEEPS, count_points, lidar_from_ego, read_feather
from pipeline.frames.argoverse_survey import SURVEY, Log, digest, read_survey
from pipeline.frames.frame import Frame, Sweep
from pipeline.frames.recording import MAX_LAG, MAX_SWEEPS
from pipeline.geometry.transforms import Matrix, inverse, matrix_from_pose

KEY_STEP = 5  # sweeps come at 10 Hz, key frames at nuScenes' 2 Hz


class ArgoverseLogs:
    """The logs that a survey lists: a `FrameSource`. A log is a scene; its first sweep and every fifth are key frames.

    Cameras are left out: the pipeline's six channels are nuScenes', and the ring cameras look elsewhere.

    Attributes:
        missing_sweeps: after `frames`, how many sweeps between key frames do not exist.
    """

    def __init__(self, root: Path, version: str) -> None:
        """Reads the survey.

        Raises:
            UserError: the root was not surveyed (see `read_survey`), or a log's poses or calibration changed since.
        """
        self.root, self.missing_sweeps = root, 0
        self._logs = read_survey(root, version)
        for log in self._logs.values():
            for name, seen in log.digests.items():
                path = root / log.folder / name
                if digest(path) != seen:
                    raise UserError("the file changed since the survey", where=str(path), remedy=SURVEY)

    def frames(self) -> Iterator[Frame]:
        """Every key frame, sorted by log and time stamp.

        Raises:
            UserError: a file is missing or broken, or a sweep has no pose.
        """
        self.missing_sweeps = 0
        for name, log in self._logs.items():
            yield from self._frames(name, log)

    def notes(self) -> list[str]:
        """After `frames`: what was left out."""
        missing = f"{self.missing_sweeps} sweep files named by the survey do not exist; left out"
        return [missing] if self.missing_sweeps else []

    def _frames(self, name: str, log: Log) -> Iterator[Frame]:
        folder = self.root / log.folder
        ego_from_lidar, city = inverse(lidar_from_ego(folder)), _city(folder)
        poses = _read_poses(folder / POSES, log.sweeps)
        paths = [f"{log.folder}/{SWEEPS}/{stamp}.feather" for stamp in log.sweeps]
        present = [(self.root / path).is_file() for path in paths]
        between = [there for k, there in enumerate(present) if k % KEY_STEP]
        self.missing_sweeps += len(between) - sum(between)
        for key in range(0, len(paths), KEY_STEP):
            stamp, global_from_ego = log.sweeps[key], poses[log.sweeps[key]]
            global_from_lidar = global_from_ego @ ego_from_lidar
            lidar_from_global = inverse(global_from_lidar)
            sweeps = []
            for k in range(key - 1, max(key - 1 - MAX_SWEEPS, -1), -1):
                lag = (stamp - log.sweeps[k]) * 1e-9
                if present[k] and lag <= MAX_LAG:
                    matrix = lidar_from_global @ poses[log.sweeps[k]] @ ego_from_lidar
                    sweeps.append(Sweep(paths[k], matrix, lag))
            token = blake2b(paths[key].removeprefix(log.folder).encode() + name.encode(), digest_size=16).hexdigest()
            yield Frame(
                token=token,
                lidar_token=token,
                scene=name,
                timestamp=stamp // 1000,
                location=city,
                lidar_path=paths[key],
                points=count_points(self.root / paths[key]),
                global_from_lidar=global_from_lidar,
                ego_from_lidar=ego_from_lidar,
                global_from_ego=global_from_ego,
                sweeps=tuple(sweeps),
                cameras=(),
            )


def _read_poses(path: Path, stamps: tuple[int, ...]) -> dict[int, Matrix]:
    """city_from_ego at each of `stamps`."""
    columns = read_feather(path, "timestamp_ns", "qw", "qx", "qy", "qz", "tx_m", "ty_m", "tz_m")
    rows = {int(stamp): row for row, stamp in enumerate(columns["timestamp_ns"])}
    lost = [stamp for stamp in stamps if stamp not in rows]
    if lost:
        raise UserError(
            f"{len(lost)} of {len(stamps)} sweeps have no pose, e.g. {lost[0]}", where=str(path), remedy=AGAIN
        )
    chosen = [rows[stamp] for stamp in stamps]
    rotation = np.stack([columns[f"q{axis}"][chosen] for axis in "wxyz"], axis=1)
    translation = np.stack([columns[f"t{axis}_m"][chosen] for axis in "xyz"], axis=1)
    if not (np.isfinite(rotation).all() and rotation.any(1).all() and np.isfinite(translation).all()):
        raise UserError("a pose is none: zero or not finite", where=str(path), remedy=AGAIN)
    return dict(zip(stamps, matrix_from_pose(rotation, translation), strict=True))


def _city(folder: Path) -> str:
    """The city as the name of the log's vector map tells it (…____PIT_city_47896.json), `unknown` without a map."""
    names = sorted(path.name for path in folder.glob("map/log_map_archive_*____*_city_*.json"))
    return names[0].split("____")[1].split("_")[0] if names else "unknown"
