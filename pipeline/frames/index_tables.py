"""The Arrow files of an index: written some frames at a time, read memory-mapped."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.frames.frame import Frame

FRAMES, SWEEPS, CAMERAS = "frames.feather", "sweeps.feather", "cameras.feather"
BATCH = 1024  # frames that are held in memory while writing
_MATRIX = pa.list_(pa.float64(), 16)
_FRAME_TEXTS = ("token", "lidar_token", "scene", "location", "lidar_path")
_FRAME_NUMBERS = ("timestamp", "points")
_FRAME_MATRICES = ("global_from_lidar", "ego_from_lidar", "global_from_ego")
_SPANS = ("first_sweep", "last_sweep", "first_camera", "last_camera")
_SCHEMAS = {
    FRAMES: pa.schema(
        [(name, pa.string()) for name in _FRAME_TEXTS]
        + [(name, pa.int64()) for name in _FRAME_NUMBERS]
        + [(name, _MATRIX) for name in _FRAME_MATRICES]
        + [(name, pa.int64()) for name in _SPANS]
    ),
    SWEEPS: pa.schema([("path", pa.string()), ("lidar_from_sweep", _MATRIX), ("lag", pa.float64())]),
    CAMERAS: pa.schema(
        [
            ("channel", pa.string()),
            ("path", pa.string()),
            ("image_from_lidar", _MATRIX),
            ("width", pa.int64()),
            ("height", pa.int64()),
        ]
    ),
}


@dataclass(frozen=True)
class Written:
    """What `write_frames` saw.

    Attributes:
        frames: how many.
        scenes: their names.
        paths: every sensor file that they name, relative to the dataset root.
    """

    frames: int
    scenes: set[str]
    paths: set[str]


def write_frames(frames: Iterable[Frame], out: Path) -> Written:
    """Writes frames, their sweeps and their cameras to three files as they come.

    Args:
        frames: in their final order.
        out: an existing directory.
    """
    scenes, paths = set[str](), set[str]()
    count = sweeps = cameras = 0
    waiting = iter(frames)
    batch = list(islice(waiting, BATCH))  # what the source finds wrong at its start leaves no file behind
    with ExitStack() as files:
        writers = {
            name: files.enter_context(pa.ipc.new_file(str(out / name), schema)) for name, schema in _SCHEMAS.items()
        }
        while batch:
            writers[FRAMES].write_batch(_frame_rows(batch, sweeps, cameras))
            writers[SWEEPS].write_batch(_sweep_rows(batch))
            writers[CAMERAS].write_batch(_camera_rows(batch))
            for frame in batch:
                scenes.add(frame.scene)
                paths.add(frame.lidar_path)
                paths.update(sweep.path for sweep in frame.sweeps)
                paths.update(camera.path for camera in frame.cameras)
                sweeps, cameras = sweeps + len(frame.sweeps), cameras + len(frame.cameras)
            count += len(batch)
            batch = list(islice(waiting, BATCH))
    return Written(count, scenes, paths)


class MappedTable:
    """A memory-mapped Arrow file: only the pages that are asked for are read, and processes share them."""

    def __init__(self, path: Path) -> None:
        """Maps the file; reads nothing but its footer.

        Raises:
            UserError: the file is missing or damaged.
        """
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except (OSError, pa.ArrowException) as error:
            raise UserError(
                f"a file of the index cannot be read ({error})",
                where=str(path),
                remedy="fetch it again with `dvc checkout --force`, or make it again with `dvc repro --force prepare`",
            ) from None
        self.rows: int = table.num_rows
        self._columns: dict[str, pa.ChunkedArray] = {name: table.column(name) for name in table.column_names}

    def numbers(self, column: str, first: int = 0, last: int | None = None) -> NDArray[Any]:
        """Rows [first:last] of a column of numbers; a view of the mapped pages where they lie in one batch."""
        return _joined([chunk.to_numpy() for chunk in self._slice(column, first, last).chunks])

    def matrices(self, column: str, first: int = 0, last: int | None = None) -> NDArray[np.float64]:
        """Rows [first:last] of a column of matrices, float64 [rows, 4, 4]."""
        return _joined([chunk.flatten().to_numpy() for chunk in self._slice(column, first, last).chunks]).reshape(
            -1, 4, 4
        )

    def texts(self, column: str, first: int = 0, last: int | None = None) -> list[str]:
        """Rows [first:last] of a column of texts."""
        return list(self._slice(column, first, last).to_pylist())

    def _slice(self, column: str, first: int, last: int | None) -> pa.ChunkedArray:
        return self._columns[column].slice(first, None if last is None else last - first)


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty(0)


def _frame_rows(frames: Sequence[Frame], first_sweep: int, first_camera: int) -> pa.RecordBatch:
    columns: dict[str, Any] = {name: [getattr(frame, name) for frame in frames] for name in _FRAME_TEXTS}
    columns |= {name: [getattr(frame, name) for frame in frames] for name in _FRAME_NUMBERS}
    columns |= {name: _matrices(getattr(frame, name) for frame in frames) for name in _FRAME_MATRICES}
    for name, first in (("sweep", first_sweep), ("camera", first_camera)):
        counts = np.array([len(getattr(frame, f"{name}s")) for frame in frames], np.int64)
        columns[f"last_{name}"] = first + np.cumsum(counts)
        columns[f"first_{name}"] = columns[f"last_{name}"] - counts
    return pa.record_batch(columns, _SCHEMAS[FRAMES])


def _sweep_rows(frames: Sequence[Frame]) -> pa.RecordBatch:
    sweeps = [sweep for frame in frames for sweep in frame.sweeps]
    columns = {
        "path": [sweep.path for sweep in sweeps],
        "lidar_from_sweep": _matrices(sweep.lidar_from_sweep for sweep in sweeps),
        "lag": [sweep.lag for sweep in sweeps],
    }
    return pa.record_batch(columns, _SCHEMAS[SWEEPS])


def _camera_rows(frames: Sequence[Frame]) -> pa.RecordBatch:
    cameras = [camera for frame in frames for camera in frame.cameras]
    columns = {
        "channel": [camera.channel for camera in cameras],
        "path": [camera.path for camera in cameras],
        "image_from_lidar": _matrices(camera.image_from_lidar for camera in cameras),
        "width": [camera.size[0] for camera in cameras],
        "height": [camera.size[1] for camera in cameras],
    }
    return pa.record_batch(columns, _SCHEMAS[CAMERAS])


def _matrices(matrices: Iterable[NDArray[np.float64]]) -> pa.Array:
    flat = np.array([matrix.reshape(16) for matrix in matrices], np.float64).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), type=_MATRIX)
