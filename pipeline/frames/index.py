"""The index: every key frame of a dataset in memory-mapped Arrow tables, without any label."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.frames.frame import Camera, Frame, Sweep
from pipeline.frames.index_tables import CAMERAS, FRAMES, SWEEPS, MappedTable
from pipeline.frames.splits import unknown_split

__all__ = ["Camera", "Frame", "FrameIndex", "Sweep"]

FORMAT = 2  # of the index directory
MAPS = "maps.zarr"  # map rasters in the index directory; absent where the dataset has no map expansion


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
        self._frames = MappedTable(path / FRAMES)
        self._sweeps = MappedTable(path / SWEEPS)
        self._cameras = MappedTable(path / CAMERAS)
        self._positions: dict[str, int] | None = None

    @classmethod
    def open(cls, path: Path, root: Path) -> "FrameIndex":
        """Opens an index.

        Args:
            path: the directory that `pipeline.frames.index_building` wrote.
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
        table, row = self._frames, (position, position + 1)
        first_sweep, last_sweep, first_camera, last_camera = (
            int(table.numbers(name, *row)[0]) for name in ("first_sweep", "last_sweep", "first_camera", "last_camera")
        )
        return Frame(
            token=table.texts("token", *row)[0],
            lidar_token=table.texts("lidar_token", *row)[0],
            scene=table.texts("scene", *row)[0],
            timestamp=int(table.numbers("timestamp", *row)[0]),
            location=table.texts("location", *row)[0],
            lidar_path=table.texts("lidar_path", *row)[0],
            points=int(table.numbers("points", *row)[0]),
            global_from_lidar=table.matrices("global_from_lidar", *row)[0],
            ego_from_lidar=table.matrices("ego_from_lidar", *row)[0],
            global_from_ego=table.matrices("global_from_ego", *row)[0],
            sweeps=self._sweeps_of(first_sweep, last_sweep),
            cameras=self._cameras_of(first_camera, last_camera),
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
    def timestamps(self) -> NDArray[np.int64]:
        """int64 [frames], microseconds."""
        return self._frames.numbers("timestamp")

    @property
    def global_from_lidar(self) -> NDArray[np.float64]:
        """float64 [frames, 4, 4]."""
        return self._frames.matrices("global_from_lidar")

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

    def _sweeps_of(self, first: int, last: int) -> tuple[Sweep, ...]:
        table, rows = self._sweeps, (first, last)
        columns = table.texts("path", *rows), table.matrices("lidar_from_sweep", *rows), table.numbers("lag", *rows)
        return tuple(Sweep(path, matrix, float(lag)) for path, matrix, lag in zip(*columns, strict=True))

    def _cameras_of(self, first: int, last: int) -> tuple[Camera, ...]:
        table, rows = self._cameras, (first, last)
        columns = (
            table.texts("channel", *rows), table.texts("path", *rows), table.matrices("image_from_lidar", *rows),
            table.numbers("width", *rows), table.numbers("height", *rows),
        )  # fmt: skip
        return tuple(
            Camera(channel, path, matrix, (int(width), int(height)))
            for channel, path, matrix, width, height in zip(*columns, strict=True)
        )


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
