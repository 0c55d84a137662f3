"""Map labels of a frame: a lookup in a bit-mask raster of its location, at its (augmented) cell centres."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.frames.index import MAPS, Frame
from pipeline.geometry.grid import BevGrid
from pipeline.geometry.transforms import Matrix, affine_inverse

# Bit k of a raster cell belongs to class k.
MAP_CLASSES = ("drivable_area", "ped_crossing", "walkway", "stop_line", "carpark_area", "divider")
CHUNK = 1024  # cells, the side of what is read at once
_CACHED_CHUNKS = 96  # of 1 MiB


class MapRasters:
    """The rasters of an index, read chunk by chunk; recently used chunks stay in memory."""

    def __init__(self, index_path: Path) -> None:
        """See `open`."""
        self.path = index_path
        if not (index_path / MAPS).is_dir():
            raise UserError(
                "this dataset has no map rasters",
                where=str(index_path / MAPS),
                remedy="take the map trials out of finetune.trials, or add the map expansion to <root>/maps; "
                "then run `dvc repro`",
            )
        import zarr  # a quarter of a second that only the map task has to pay

        group = zarr.open_group(index_path / MAPS, mode="r")
        self._arrays = dict(group.arrays())
        self._scales = {
            name: (np.asarray(array.attrs["origin"], np.float64), float(np.asarray(array.attrs["resolution"])))
            for name, array in self._arrays.items()
        }
        self._chunks: OrderedDict[tuple[str, int, int], NDArray[np.uint8]] = OrderedDict()

    @classmethod
    def open(cls, index_path: Path) -> "MapRasters":
        """Opens the rasters in an index directory.

        Raises:
            UserError: there are none.
        """
        return cls(index_path)

    def __reduce__(self) -> tuple[type["MapRasters"], tuple[Path]]:
        """A worker process opens the files itself instead of receiving a copy of them."""
        return MapRasters, (self.path,)

    def map_labels(self, frame: Frame, bev_from_lidar: Matrix, grid: BevGrid) -> NDArray[np.bool_]:
        """The map classes at every cell centre of a frame's grid.

        Args:
            frame: the key frame.
            bev_from_lidar: float64 [4, 4], its augmentation.
            grid: in the BEV frame.

        Returns:
            bool [6, S, S] in `MAP_CLASSES` order; False outside the map. A lookup, so a cell has the classes of the
            raster cell that its centre falls into.
        """
        origin, resolution = self._scales[frame.location]
        global_from_bev = frame.global_from_lidar @ affine_inverse(bev_from_lidar)
        xy = grid.centres().reshape(-1, 2) @ global_from_bev[:2, :2].T + global_from_bev[:2, 3]
        cells = np.floor((xy - origin) / resolution).astype(np.int64)
        columns, rows = cells[:, 0], cells[:, 1]
        first_row, first_column = int(rows.min()), int(columns.min())
        window = self._window(frame.location, first_row, first_column, int(rows.max()) + 1, int(columns.max()) + 1)
        bits = window[rows - first_row, columns - first_column].reshape(grid.size, grid.size)
        shifts = np.arange(len(MAP_CLASSES), dtype=np.uint8)[:, None, None]
        return np.asarray((bits >> shifts) & 1, np.bool_)

    def _window(self, location: str, row0: int, column0: int, row1: int, column1: int) -> NDArray[np.uint8]:
        """Raster cells [row0:row1, column0:column1], zero outside the raster."""
        window = np.zeros((row1 - row0, column1 - column0), np.uint8)
        height, width = self._arrays[location].shape
        for row in range(max(0, row0) // CHUNK, -(-min(height, row1) // CHUNK)):
            for column in range(max(0, column0) // CHUNK, -(-min(width, column1) // CHUNK)):
                top, left = row * CHUNK, column * CHUNK
                chunk = self._chunk(location, row, column)
                r0, r1 = max(row0, top), min(row1, top + chunk.shape[0])
                c0, c1 = max(column0, left), min(column1, left + chunk.shape[1])
                window[r0 - row0 : r1 - row0, c0 - column0 : c1 - column0] = chunk[
                    r0 - top : r1 - top, c0 - left : c1 - left
                ]
        return window

    def _chunk(self, location: str, row: int, column: int) -> NDArray[np.uint8]:
        key = (location, row, column)
        if key in self._chunks:
            self._chunks.move_to_end(key)
            return self._chunks[key]
        top, left = row * CHUNK, column * CHUNK
        chunk = np.asarray(self._arrays[location][top : top + CHUNK, left : left + CHUNK], np.uint8)
        self._chunks[key] = chunk
        if len(self._chunks) > _CACHED_CHUNKS:
            self._chunks.popitem(last=False)
        return chunk
