"""Follows the links between the nuScenes tables to every key frame. Reads no annotation table."""

import math
from pathlib import Path
from typing import TypeVar

import numpy as np

from pipeline.errors import UserError
from pipeline.frames.frame import CAMERA_CHANNELS, Camera, Frame, Sweep
from pipeline.frames.tables import DOWNLOAD, Row, by_token, read_table
from pipeline.geometry.transforms import Matrix, inverse, matrix_from_pose

Value = TypeVar("Value")

LIDAR = "LIDAR_TOP"
MAX_SWEEPS = 10  # as many as the field ever adds to a key frame
# Recordings with thinned-out sweeps link key frames directly; older ones would only smear what moves.
MAX_LAG = 1.0  # seconds
POINT_BYTES = 20  # five float32 a point: x, y, z, intensity, ring


class Recording:
    """The tables of a dataset, joined.

    Attributes:
        missing_sweeps: after `frames`, how many sweep files named by the tables do not exist.
        stale_sweeps: after `frames`, how many key frames had their chain of sweeps cut at `MAX_LAG`.
    """

    def __init__(self, root: Path, version: str) -> None:
        """Reads the tables.

        Raises:
            UserError: a table is missing or broken (see `read_table`).
        """
        self.root, self.tables = root, root / version
        self.missing_sweeps = self.stale_sweeps = 0
        self._samples = read_table(root, version, "sample")
        self._scenes = by_token(read_table(root, version, "scene"))
        self._logs = by_token(read_table(root, version, "log"))
        self._poses = by_token(read_table(root, version, "ego_pose"))
        self._calibrations = by_token(read_table(root, version, "calibrated_sensor"))
        sensors = by_token(read_table(root, version, "sensor"))
        channel_of = {
            token: self._link(sensors, row["sensor_token"], "sensor")["channel"]
            for token, row in self._calibrations.items()
        }
        self._sweeps: dict[str, Row] = {}
        self._key_data: dict[str, dict[str, Row]] = {}
        for row in read_table(root, version, "sample_data"):
            channel = self._link(channel_of, row["calibrated_sensor_token"], "calibrated_sensor")
            if channel == LIDAR:
                self._sweeps[row["token"]] = row
            if row["is_key_frame"] and (channel == LIDAR or channel in CAMERA_CHANNELS):
                self._key_data.setdefault(row["sample_token"], {})[channel] = row

    def frames(self) -> list[Frame]:
        """Every key frame, sorted by scene name and time stamp.

        Raises:
            UserError: a link points nowhere, or a key-frame file is missing or cut off.
        """
        frames = [self._frame(sample) for sample in self._samples]
        return sorted(frames, key=lambda frame: (frame.scene, frame.timestamp))

    def _frame(self, sample: Row) -> Frame:
        data = self._key_data.get(sample["token"], {})
        if LIDAR not in data:
            raise UserError(
                f"sample {sample['token']} has no {LIDAR} key frame",
                where=str(self.tables / "sample_data.json"),
                remedy=f"the tables are incomplete: {DOWNLOAD}",
            )
        lidar = data[LIDAR]
        scene = self._link(self._scenes, sample["scene_token"], "scene")
        ego_from_lidar, global_from_ego = self._ego_from_sensor(lidar), self._global_from_ego(lidar)
        global_from_lidar = global_from_ego @ ego_from_lidar
        points = self._points(lidar["filename"])
        if points is None:
            raise self._missing_file(lidar["filename"])
        lidar_from_global = inverse(global_from_lidar)
        return Frame(
            token=sample["token"],
            lidar_token=lidar["token"],
            scene=scene["name"],
            timestamp=int(sample["timestamp"]),
            location=self._link(self._logs, scene["log_token"], "log")["location"],
            lidar_path=lidar["filename"],
            points=points,
            global_from_lidar=global_from_lidar,
            ego_from_lidar=ego_from_lidar,
            global_from_ego=global_from_ego,
            sweeps=self._earlier_sweeps(lidar, lidar_from_global),
            cameras=tuple(
                self._camera(channel, data[channel], global_from_lidar)
                for channel in CAMERA_CHANNELS
                if channel in data
            ),
        )

    def _earlier_sweeps(self, lidar: Row, lidar_from_global: Matrix) -> tuple[Sweep, ...]:
        """Follows `prev` over sweeps and key frames alike; skips files that do not exist, and counts them."""
        sweeps: list[Sweep] = []
        row = lidar
        for _ in range(MAX_SWEEPS):
            if row["prev"] == "":
                break
            row = self._link(self._sweeps, row["prev"], "sample_data")
            lag = (lidar["timestamp"] - row["timestamp"]) * 1e-6
            if lag <= 0:
                raise UserError(
                    f"the sweep before {lidar['token']} is not older than it",
                    where=str(self.tables / "sample_data.json"),
                    remedy="sort out the time stamps or the `prev` links of this table",
                )
            if lag > MAX_LAG:
                self.stale_sweeps += 1
                break
            if self._points(row["filename"]) is None:
                self.missing_sweeps += 1
                continue
            matrix = lidar_from_global @ self._global_from_ego(row) @ self._ego_from_sensor(row)
            sweeps.append(Sweep(row["filename"], matrix, lag))
        return tuple(sweeps)

    def _camera(self, channel: str, row: Row, global_from_lidar: Matrix) -> Camera:
        if not (self.root / row["filename"]).is_file():
            raise self._missing_file(row["filename"])
        camera_from_lidar = inverse(self._global_from_ego(row) @ self._ego_from_sensor(row)) @ global_from_lidar
        image_from_camera = np.eye(4)
        calibration = self._link(self._calibrations, row["calibrated_sensor_token"], "calibrated_sensor")
        image_from_camera[:3, :3] = calibration["camera_intrinsic"]
        size = (int(row["width"]), int(row["height"]))
        return Camera(channel, row["filename"], image_from_camera @ camera_from_lidar, size)

    def _ego_from_sensor(self, row: Row) -> Matrix:
        calibration = self._link(self._calibrations, row["calibrated_sensor_token"], "calibrated_sensor")
        return self._pose(calibration, "calibrated_sensor")

    def _global_from_ego(self, row: Row) -> Matrix:
        return self._pose(self._link(self._poses, row["ego_pose_token"], "ego_pose"), "ego_pose")

    def _pose(self, row: Row, table: str) -> Matrix:
        values = [*row["rotation"], *row["translation"]]
        if len(values) != 7 or not all(math.isfinite(value) for value in values) or not any(row["rotation"]):
            raise UserError(
                f"row {row['token']} holds no pose",
                where=str(self.tables / f"{table}.json"),
                remedy=f"the table is damaged: {DOWNLOAD}",
            )
        return matrix_from_pose(row["rotation"], row["translation"])

    def _points(self, path: str) -> int | None:
        """Points in a sweep file by its size, None where there is no such file."""
        try:
            size = (self.root / path).stat().st_size
        except FileNotFoundError:
            return None
        if size == 0 or size % POINT_BYTES:
            raise UserError(
                f"the sweep is cut off: {size} bytes are no whole number of {POINT_BYTES}-byte points",
                where=str(self.root / path),
                remedy="copy this file again from the archive",
            )
        return size // POINT_BYTES

    def _missing_file(self, path: str) -> UserError:
        return UserError(
            "a key-frame file named by the tables is missing", where=str(self.root / path), remedy=DOWNLOAD
        )

    def _link(self, table: dict[str, Value], token: str, name: str) -> Value:
        try:
            return table[token]
        except KeyError:
            raise UserError(
                f"no row of this table has the token {token}, which another table names",
                where=str(self.tables / f"{name}.json"),
                remedy=f"the tables do not belong together: {DOWNLOAD}",
            ) from None
