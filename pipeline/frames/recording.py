"""Follows the links between the nuScenes tables to every key frame. Reads no annotation table."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.frames.frame import CAMERA_CHANNELS, POINT_BYTES, Camera, Frame, Sweep
from pipeline.frames.manifest import MISSING, file_sizes
from pipeline.frames.tables import DOWNLOAD, Row, by_token, find_rows, numbers, read_columns, read_table
from pipeline.geometry.transforms import Matrix, inverse, matrix_from_pose

Value = TypeVar("Value")

LIDAR = "LIDAR_TOP"
MAX_SWEEPS = 10  # as many as the field ever adds to a key frame
# Recordings with thinned-out sweeps link key frames directly; older ones would only smear what moves.
MAX_LAG = 1.0  # seconds

_TEXTS = ("token", "sample_token", "ego_pose_token", "calibrated_sensor_token", "filename", "prev")
_DATA = pa.schema(
    [(name, pa.string()) for name in _TEXTS]
    + [(name, pa.int64()) for name in ("timestamp", "width", "height")]
    + [("is_key_frame", pa.bool_())]
)
_POSE = pa.schema(
    [("token", pa.string()), ("rotation", pa.list_(pa.float64(), 4)), ("translation", pa.list_(pa.float64(), 3))]
)


class Recording:
    """The tables of a dataset, joined: a `FrameSource`.

    Of the two large tables only what key frames and LiDAR sweeps need is kept, as columns; a "row" below is a row of
    these columns.

    Attributes:
        missing_sweeps: after `frames`, how many sweep files named by the tables do not exist.
        stale_sweeps: after `frames`, how many key frames had their chain of sweeps cut at `MAX_LAG`.
    """

    def __init__(self, root: Path, version: str) -> None:
        """Reads the tables.

        Raises:
            UserError: a table is missing or broken (see `read_columns`), a link points nowhere, or a pose is none.
        """
        self.root, self.version = root, version
        self.missing_sweeps = self.stale_sweeps = 0
        self._samples = read_table(root, version, "sample", "token", "timestamp", "scene_token")
        self._scenes = by_token(read_table(root, version, "scene", "token", "name", "log_token"))
        self._logs = by_token(read_table(root, version, "log", "token", "location"))
        calibrations = read_table(root, version, "calibrated_sensor", "token", "sensor_token", "camera_intrinsic")
        self._intrinsics = {row["token"]: row["camera_intrinsic"] for row in calibrations}
        sensors = by_token(read_table(root, version, "sensor", "token", "channel"))
        channel_of = {
            row["token"]: self._link(sensors, row["sensor_token"], "sensor")["channel"] for row in calibrations
        }

        def is_used(row: Row) -> bool:
            channel = self._link(channel_of, row["calibrated_sensor_token"], "calibrated_sensor")
            return channel == LIDAR or (row["is_key_frame"] and channel in CAMERA_CHANNELS)

        data = read_columns(root, version, "sample_data", _DATA, keep=is_used)
        self._data = data
        self._paths: list[str] = data["filename"].to_pylist()
        self._stamps, self._widths, self._heights = (numbers(data[n]) for n in ("timestamp", "width", "height"))
        self._earlier = find_rows(data["prev"], among=data["token"])
        self._global_from_ego = self._join_poses("ego_pose", data["ego_pose_token"])
        self._ego_from_sensor = self._join_poses("calibrated_sensor", data["calibrated_sensor_token"])
        self._key_rows: dict[str, dict[str, int]] = {}  # sample -> channel -> row
        for row in np.flatnonzero(numbers(data["is_key_frame"])).tolist():
            channel = channel_of[self._text("calibrated_sensor_token", row)]
            self._key_rows.setdefault(self._text("sample_token", row), {})[channel] = row

    def frames(self) -> Iterator[Frame]:
        """Every key frame, sorted by scene name and time stamp.

        Raises:
            UserError: before the first frame: a sample has no LiDAR or the time stamp of another one of its scene, or
                a key-frame file is missing; on the way: a sweep is empty, cut off or not older than the one after it.
        """
        self.missing_sweeps = self.stale_sweeps = 0
        scenes = {sample["token"]: self._link(self._scenes, sample["scene_token"], "scene") for sample in self._samples}
        samples = sorted(self._samples, key=lambda sample: (scenes[sample["token"]]["name"], sample["timestamp"]))
        self._check_times(samples)
        sizes = file_sizes(self.root, self._paths)
        self._check_key_frames(samples, sizes)
        for sample in samples:
            yield self._frame(sample, scenes[sample["token"]], sizes)

    def key_frame_files(self) -> list[str]:
        """The files that every frame needs, relative to the root; whether they exist is not looked at."""
        return [self._paths[row] for rows in self._key_rows.values() for row in rows.values()]

    def notes(self) -> list[str]:
        """After `frames`: what was left out."""
        notes = []
        if self.missing_sweeps:
            notes.append(f"{self.missing_sweeps} sweep files named by the tables do not exist; left out")
        if self.stale_sweeps:
            notes.append(f"{self.stale_sweeps} key frames have an older sweep only beyond {MAX_LAG:g} s; left out")
        return notes

    def _check_times(self, samples: Sequence[Row]) -> None:
        for before, after in pairwise(samples):
            if (before["scene_token"], before["timestamp"]) == (after["scene_token"], after["timestamp"]):
                raise UserError(
                    f"samples {before['token']} and {after['token']} of one scene have the same time stamp",
                    where=self._where("sample"),
                    remedy="sort out the time stamps of this table",
                )

    def _check_key_frames(self, samples: Sequence[Row], sizes: NDArray[np.int64]) -> None:
        lost = []
        for sample in samples:
            rows = self._key_rows.get(sample["token"], {})
            if LIDAR not in rows:
                raise UserError(
                    f"sample {sample['token']} has no {LIDAR} key frame",
                    where=self._where("sample_data"),
                    remedy=f"the tables are incomplete: {DOWNLOAD}",
                )
            lost += [row for row in rows.values() if sizes[row] == MISSING]
        if lost:
            others = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
            raise UserError(
                f"a key-frame file named by the tables is missing{others}",
                where=str(self.root / self._paths[lost[0]]),
                remedy=DOWNLOAD,
            )

    def _frame(self, sample: Row, scene: Row, sizes: NDArray[np.int64]) -> Frame:
        rows = self._key_rows[sample["token"]]
        lidar = rows[LIDAR]
        ego_from_lidar, global_from_ego = self._ego_from_sensor[lidar], self._global_from_ego[lidar]
        global_from_lidar = global_from_ego @ ego_from_lidar
        return Frame(
            token=sample["token"],
            lidar_token=self._text("token", lidar),
            scene=scene["name"],
            timestamp=int(sample["timestamp"]),
            location=self._link(self._logs, scene["log_token"], "log")["location"],
            lidar_path=self._paths[lidar],
            points=self._points(lidar, sizes),
            global_from_lidar=global_from_lidar,
            ego_from_lidar=ego_from_lidar,
            global_from_ego=global_from_ego,
            sweeps=self._earlier_sweeps(lidar, inverse(global_from_lidar), sizes),
            cameras=tuple(
                self._camera(channel, rows[channel], global_from_lidar)
                for channel in CAMERA_CHANNELS
                if channel in rows
            ),
        )

    def _earlier_sweeps(self, lidar: int, lidar_from_global: Matrix, sizes: NDArray[np.int64]) -> tuple[Sweep, ...]:
        """Follows `prev` over sweeps and key frames alike; skips files that do not exist, and counts them."""
        sweeps: list[Sweep] = []
        row = lidar
        for _ in range(MAX_SWEEPS):
            earlier = int(self._earlier[row])
            if earlier < 0:
                if self._text("prev", row):
                    raise self._dangling(self._text("prev", row), "sample_data")
                break
            row = earlier
            lag = int(self._stamps[lidar] - self._stamps[row]) * 1e-6
            if lag <= 0:
                raise UserError(
                    f"the sweep before {self._text('token', lidar)} is not older than it",
                    where=self._where("sample_data"),
                    remedy="sort out the time stamps or the `prev` links of this table",
                )
            if lag > MAX_LAG:
                self.stale_sweeps += 1
                break
            if sizes[row] == MISSING:
                self.missing_sweeps += 1
                continue
            self._points(row, sizes)
            matrix = lidar_from_global @ self._global_from_ego[row] @ self._ego_from_sensor[row]
            sweeps.append(Sweep(self._paths[row], matrix, lag))
        return tuple(sweeps)

    def _camera(self, channel: str, row: int, global_from_lidar: Matrix) -> Camera:
        camera_from_lidar = inverse(self._global_from_ego[row] @ self._ego_from_sensor[row]) @ global_from_lidar
        image_from_camera = np.eye(4)
        image_from_camera[:3, :3] = self._intrinsics[self._text("calibrated_sensor_token", row)]
        size = (int(self._widths[row]), int(self._heights[row]))
        return Camera(channel, self._paths[row], image_from_camera @ camera_from_lidar, size)

    def _points(self, row: int, sizes: NDArray[np.int64]) -> int:
        """Points in a sweep file, by its size."""
        size = int(sizes[row])
        if size == 0 or size % POINT_BYTES:
            raise UserError(
                "the sweep is empty"
                if size == 0
                else f"the sweep is cut off: {size} bytes are no whole number of {POINT_BYTES}-byte points",
                where=str(self.root / self._paths[row]),
                remedy="copy this file again from the archive",
            )
        return size // POINT_BYTES

    def _join_poses(self, table: str, tokens: pa.ChunkedArray) -> NDArray[np.float64]:
        """The poses in the rows of a table that `tokens` name, [N, 4, 4]."""
        wanted = set(tokens.to_pylist())
        rows = read_columns(self.root, self.version, table, _POSE, keep=lambda row: row["token"] in wanted)
        rotations, translations = numbers(rows["rotation"]), numbers(rows["translation"])
        sound = np.isfinite(rotations).all(1) & rotations.any(1) & np.isfinite(translations).all(1)
        if not sound.all():
            raise UserError(
                f"row {rows['token'][int(np.argmin(sound))]} holds no pose",
                where=self._where(table),
                remedy=f"the table is damaged: {DOWNLOAD}",
            )
        places = find_rows(tokens, among=rows["token"])
        if (places < 0).any():
            raise self._dangling(tokens[int(np.argmin(places))].as_py(), table)
        return np.asarray(matrix_from_pose(rotations, translations)[places])

    def _text(self, column: str, row: int) -> str:
        return str(self._data[column][row].as_py())

    def _where(self, table: str) -> str:
        return str(self.root / self.version / f"{table}.json")

    def _link(self, table: Mapping[str, Value], token: str, name: str) -> Value:
        try:
            return table[token]
        except KeyError:
            raise self._dangling(token, name) from None

    def _dangling(self, token: str, table: str) -> UserError:
        return UserError(
            f"no row of this table has the token {token}, which another table names",
            where=self._where(table),
            remedy=f"the tables do not belong together: {DOWNLOAD}",
        )
