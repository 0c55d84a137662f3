"""Map labels of a frame: a lookup in a bit-mask raster of its location, at its (augmented) cell centres."""

from collections import OrderedDict
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.errors import UserError
from pipeline.frames.index import MAPS, Frame
from pipeline.geometry.grid import BevGrid
from pipeline.geometry.transforms import Matrix

# Bit k of a raster cell belongs to class k.
MAP_CLASSES = ("drivable_area", "ped_crossing", "walkway", "stop_line", "carpark_area", "divider")
CHUNK_BITS = 10
CHUNK = 1 << CHUNK_BITS  # cells, the side of what is read at once
_SLOTS = 96  # chunks of 1 MiB that stay in memory; a frame needs a dozen at most


class MapRasters:
    """The rasters of an index, read chunk by chunk; recently used chunks stay in memory. Threads may share one."""

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
        # Slot 0 stays empty: it stands for what lies outside. Slots that were never filled cost no memory.
        self._slots = np.zeros((1 + _SLOTS, CHUNK, CHUNK), np.uint8)
        self._slot_of: OrderedDict[tuple[str, int, int], int] = OrderedDict()  # the least recently used first
        self._lock = Lock()

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

        Raises:
            UserError: the rasters are too fine for a grid of this size.
        """
        origin, resolution = self._scales[frame.location]
        global_from_bev = frame.global_from_lidar @ np.linalg.inv(bev_from_lidar)
        offset, step = (global_from_bev[:2, 3] - origin) / resolution, global_from_bev[:2, :2] / resolution
        axis = grid.axis.astype(np.float64)
        corners = axis[[0, 0, -1, -1], None] * step[:, 1] + axis[[0, -1, 0, -1], None] * step[:, 0] + offset
        # A cell more on every side: rounding carries no centre out of the window.
        left, top = (int(low - 1) >> CHUNK_BITS for low in np.floor(corners.min(0)))
        right, bottom = (int(high + 1) >> CHUNK_BITS for high in np.floor(corners.max(0)))
        width, height = right - left + 1, bottom - top + 1
        if width * height > _SLOTS:
            raise UserError(
                f"a frame spans {width * height} chunks of the map rasters, {_SLOTS} fit into memory",
                where="params.yaml: prepare.map_resolution",
                remedy=f"use cells larger than {resolution:g} m",
            )
        with self._lock:  # no slot may change its chunk meanwhile
            slots = [[self._slot(frame.location, top + r, left + c) for c in range(width)] for r in range(height)]
            bits = _look_up(self._slots, np.array(slots), axis, step, offset - CHUNK * np.array([left, top]))
        masks = (1 << np.arange(len(MAP_CLASSES))).astype(np.uint8)[:, None, None]
        return np.asarray((bits & masks) != 0)

    def _slot(self, location: str, row: int, column: int) -> int:
        """Where a chunk lies in memory; reads it if it is not there."""
        height, width = self._arrays[location].shape
        top, left = row << CHUNK_BITS, column << CHUNK_BITS
        if not (0 <= top < height and 0 <= left < width):
            return 0
        key = (location, row, column)
        if key not in self._slot_of:
            slot = len(self._slot_of) + 1 if len(self._slot_of) < _SLOTS else self._slot_of.popitem(last=False)[1]
            chunk = np.asarray(self._arrays[location][top : top + CHUNK, left : left + CHUNK], np.uint8)
            self._slots[slot] = 0
            self._slots[slot, : chunk.shape[0], : chunk.shape[1]] = chunk
            self._slot_of[key] = slot
        self._slot_of.move_to_end(key)
        return self._slot_of[key]


@compiled
def _look_up(
    chunks: NDArray[np.uint8], slots: NDArray[np.int64], axis: NDArray[np.float64], step: NDArray[np.float64],
    offset: NDArray[np.float64],
) -> NDArray[np.uint8]:  # fmt: skip
    """The raster cells that the cell centres of a grid fall into, uint8 [S, S].

    Args:
        chunks: uint8 [slots, CHUNK, CHUNK].
        slots: int64 [rows, columns], the chunk at each place of a window that holds the whole grid.
        axis: float64 [S], cell centres along either axis of the grid, metres.
        step: float64 [2, 2], raster cells (column, row) a metre of the grid's x, y.
        offset: float64 [2], raster coordinates (column, row) of the grid's origin in the window.
    """
    width, flat = slots.shape[1], slots.ravel()
    bits = np.empty((len(axis), len(axis)), np.uint8)
    for r in range(len(axis)):
        x0, y0 = step[0, 1] * axis[r] + offset[0], step[1, 1] * axis[r] + offset[1]
        for c in range(len(axis)):
            x, y = np.int32(x0 + step[0, 0] * axis[c]), np.int32(y0 + step[1, 0] * axis[c])
            slot = flat[(y >> CHUNK_BITS) * width + (x >> CHUNK_BITS)]
            bits[r, c] = chunks[slot, y & (CHUNK - 1), x & (CHUNK - 1)]
    return bits
