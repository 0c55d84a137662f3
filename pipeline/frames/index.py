"""The index: every key frame of a dataset in memory-mapped Arrow tables, without any label."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import feather

from pipeline.errors import UserError
from pipeline.frames.frame import Camera, Frame, Sweep
from pipeline.frames.recording import MAX_LAG, Recording
from pipeline.frames.splits import scenes_by_split, unknown_split
from pipeline.params import Dataset

__all__ = ["Camera", "Frame", "FrameIndex", "Sweep", "build_index"]

FORMAT = 1  # of the index directory
MAPS = "maps.zarr"  # map rasters in the index directory; absent where the dataset has no map expansion
_MATRIX = pa.list_(pa.float64(), 16)


def build_index(dataset: Dataset, out: Path) -> None:
    """Reads the tables and writes the index; every file that it names is looked for first.

    Args:
        dataset: root, table directory and splits.
        out: an existing directory; holds frames.feather, sweeps.feather, cameras.feather, index.json afterwards.

    Raises:
        UserError: the root, a table, a link, a split or a key-frame file is missing or broken.
    """
    splits = scenes_by_split(dataset)
    recording = Recording(Path(dataset.root), dataset.version)
    frames = recording.frames()
    if not frames:
        raise UserError(
            "the dataset has no sample",
            where=f"{recording.tables}/sample.json",
            remedy="choose another dataset.version",
        )
    if recording.missing_sweeps:
        print(f"index: {recording.missing_sweeps} sweep files named by the tables do not exist; left out")
    if recording.stale_sweeps:
        print(f"index: {recording.stale_sweeps} key frames have an older sweep only beyond {MAX_LAG:g} s; left out")
    present = {frame.scene for frame in frames}
    for key in ("pretrain_split", "train_split", "val_split"):
        name = getattr(dataset, key)
        if present.isdisjoint(splits[name]):
            raise UserError(
                f"the split {name!r} has no scene in this dataset",
                where=f"dataset.{key}",
                remedy=f"choose a split of these scenes: {', '.join(sorted(present)[:8])}",
            )
    header = {
        "format": FORMAT,
        "frames": len(frames),
        "missing_sweeps": recording.missing_sweeps,
        "splits": {name: kept for name, scenes in splits.items() if (kept := [s for s in scenes if s in present])},
        "version": dataset.version,
    }
    _write(out / "frames.feather", _frame_table(frames))
    _write(out / "sweeps.feather", _sweep_table(frames))
    _write(out / "cameras.feather", _camera_table(frames))
    (out / "index.json").write_text(json.dumps(header, indent=1, sort_keys=True) + "\n", encoding="utf-8")


class FrameIndex:
    """The key frames in their fixed order: scene name, then time stamp. Opens without reading the tables.

    Attributes:
        path: the index directory.
        root: the dataset root that the paths of files are relative to.
    """

    def __init__(self, path: Path, root: Path) -> None:
        """See `open`."""
        self.path, self.root = path, root
        header = _read_header(path)
        self._splits: dict[str, list[str]] = header["splits"]
        self._frames = _Table(path / "frames.feather")
        self._sweeps = _Table(path / "sweeps.feather")
        self._cameras = _Table(path / "cameras.feather")
        self._positions: dict[str, int] | None = None

    @classmethod
    def open(cls, path: Path, root: Path) -> "FrameIndex":
        """Opens an index.

        Args:
            path: the directory that `build_index` wrote.
            root: the dataset root.

        Raises:
            UserError: there is no index, or another version of this program wrote it.
        """
        return cls(path, root)

    def __reduce__(self) -> tuple[Callable[[Path, Path], "FrameIndex"], tuple[Path, Path]]:
        """A worker process opens the files itself instead of receiving a copy of them."""
        return FrameIndex, (self.path, self.root)

    def __len__(self) -> int:
        return self._frames.rows

    def __getitem__(self, position: int) -> Frame:
        if not 0 <= position < len(self):
            raise IndexError(f"frame {position} of {len(self)}")
        table = self._frames
        first_sweep, last_sweep = table.numbers("first_sweep"), table.numbers("last_sweep")
        first_camera, last_camera = table.numbers("first_camera"), table.numbers("last_camera")
        return Frame(
            token=table.text("token", position),
            lidar_token=table.text("lidar_token", position),
            scene=table.text("scene", position),
            timestamp=int(table.numbers("timestamp")[position]),
            location=table.text("location", position),
            lidar_path=table.text("lidar_path", position),
            points=int(table.numbers("points")[position]),
            global_from_lidar=table.matrix("global_from_lidar", position),
            ego_from_lidar=table.matrix("ego_from_lidar", position),
            global_from_ego=table.matrix("global_from_ego", position),
            sweeps=tuple(map(self._sweep, range(first_sweep[position], last_sweep[position]))),
            cameras=tuple(map(self._camera, range(first_camera[position], last_camera[position]))),
        )

    @property
    def tokens(self) -> list[str]:
        """Sample tokens in frame order."""
        return self._frames.texts("token")

    @property
    def scenes(self) -> list[str]:
        """Scene name of every frame."""
        return self._frames.texts("scene")

    @property
    def points(self) -> NDArray[np.int64]:
        """int64 [frames], points in each key-frame file."""
        return self._frames.numbers("points")

    @property
    def key_sweeps(self) -> list[tuple[Path, int]]:
        """LiDAR file and number of points of every key frame."""
        paths = self._frames.texts("lidar_path")
        return [(self.root / path, int(points)) for path, points in zip(paths, self.points, strict=True)]

    @property
    def has_maps(self) -> bool:
        """Whether map rasters were made: the dataset has a map expansion."""
        return (self.path / MAPS).is_dir()

    def position(self, token: str) -> int:
        """Where the frame with this sample token is; KeyError if it is nowhere."""
        if self._positions is None:
            self._positions = {token: position for position, token in enumerate(self.tokens)}
        return self._positions[token]

    def split_scenes(self, name: str) -> list[str]:
        """Sorted names of the scenes of a split that this dataset holds.

        Raises:
            UserError: nobody defines this split, or it has no scene in this dataset; the known ones are listed.
        """
        if name not in self._splits:
            raise unknown_split(name, list(self._splits), where=str(self.path / "index.json"))
        return self._splits[name]

    def split(self, name: str) -> list[int]:
        """Positions of the frames of a split, ascending; errors as `split_scenes`."""
        wanted = set(self.split_scenes(name))
        return [position for position, scene in enumerate(self.scenes) if scene in wanted]

    def _sweep(self, row: int) -> Sweep:
        table = self._sweeps
        return Sweep(table.text("path", row), table.matrix("lidar_from_sweep", row), float(table.numbers("lag")[row]))

    def _camera(self, row: int) -> Camera:
        table = self._cameras
        size = (int(table.numbers("width")[row]), int(table.numbers("height")[row]))
        return Camera(table.text("channel", row), table.text("path", row), table.matrix("image_from_lidar", row), size)


class _Table:
    """Columns of a memory-mapped feather file; numbers are views of the mapped pages."""

    def __init__(self, path: Path) -> None:
        table = feather.read_table(path, memory_map=True)
        self.rows: int = table.num_rows
        # The writer leaves one chunk a column, so combining copies nothing.
        self._columns = {name: table.column(name).combine_chunks() for name in table.column_names}
        self._views: dict[str, NDArray[Any]] = {}

    def numbers(self, column: str) -> NDArray[Any]:
        if column not in self._views:
            array = self._columns[column]
            flat = array.flatten() if pa.types.is_fixed_size_list(array.type) else array
            self._views[column] = flat.to_numpy(zero_copy_only=True)
        return self._views[column]

    def matrix(self, column: str, row: int) -> NDArray[np.float64]:
        return self.numbers(column)[16 * row : 16 * row + 16].reshape(4, 4)

    def text(self, column: str, row: int) -> str:
        return str(self._columns[column][row].as_py())

    def texts(self, column: str) -> list[str]:
        return list(self._columns[column].to_pylist())


def _frame_table(frames: list[Frame]) -> pa.Table:
    last_sweep = np.cumsum([len(frame.sweeps) for frame in frames])
    last_camera = np.cumsum([len(frame.cameras) for frame in frames])
    columns: dict[str, pa.Array] = {
        name: pa.array([getattr(frame, name) for frame in frames], pa.string())
        for name in ("token", "lidar_token", "scene", "location", "lidar_path")
    }
    columns |= {
        name: pa.array([getattr(frame, name) for frame in frames], pa.int64()) for name in ("timestamp", "points")
    }
    columns |= {
        name: _matrices(getattr(frame, name) for frame in frames)
        for name in ("global_from_lidar", "ego_from_lidar", "global_from_ego")
    }
    columns["first_sweep"] = pa.array(last_sweep - [len(frame.sweeps) for frame in frames], pa.int64())
    columns["last_sweep"] = pa.array(last_sweep, pa.int64())
    columns["first_camera"] = pa.array(last_camera - [len(frame.cameras) for frame in frames], pa.int64())
    columns["last_camera"] = pa.array(last_camera, pa.int64())
    return pa.table(columns)


def _sweep_table(frames: list[Frame]) -> pa.Table:
    sweeps = [sweep for frame in frames for sweep in frame.sweeps]
    return pa.table(
        {
            "path": pa.array([sweep.path for sweep in sweeps], pa.string()),
            "lidar_from_sweep": _matrices(sweep.lidar_from_sweep for sweep in sweeps),
            "lag": pa.array([sweep.lag for sweep in sweeps], pa.float64()),
        }
    )


def _camera_table(frames: list[Frame]) -> pa.Table:
    cameras = [camera for frame in frames for camera in frame.cameras]
    return pa.table(
        {
            "channel": pa.array([camera.channel for camera in cameras], pa.string()),
            "path": pa.array([camera.path for camera in cameras], pa.string()),
            "image_from_lidar": _matrices(camera.image_from_lidar for camera in cameras),
            "width": pa.array([camera.size[0] for camera in cameras], pa.int64()),
            "height": pa.array([camera.size[1] for camera in cameras], pa.int64()),
        }
    )


def _matrices(matrices: Iterable[NDArray[np.float64]]) -> pa.Array:
    flat = np.array([matrix.reshape(16) for matrix in matrices], np.float64).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), type=_MATRIX)


def _write(path: Path, table: pa.Table) -> None:
    # Uncompressed and in one chunk, so that reading maps the file instead of copying it.
    feather.write_feather(table, path, compression="uncompressed", chunksize=max(1, table.num_rows))


def _read_header(path: Path) -> dict[str, Any]:
    try:
        header: dict[str, Any] = json.loads((path / "index.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise UserError("there is no index", where=str(path), remedy="run `dvc repro prepare`") from None
    if header["format"] != FORMAT:
        raise UserError(
            f"the index has format {header['format']}, this program reads format {FORMAT}",
            where=str(path / "index.json"),
            remedy="run `dvc repro prepare`",
        )
    return header
