"""The bird's-eye-view grid: one owner of range, cell size and axis order."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class BevGrid:
    """A square grid on the x-y plane of the (augmented) LiDAR frame: x right, y forward, metres.

    Rows run along y, columns along x; row 0 is the smallest y, column 0 the smallest x. A cell's value belongs to its
    centre, so a metric coordinate maps to the continuous index ``(x + reach) / cell - 0.5``.

    Attributes:
        reach: half the side, metres; the grid covers [-reach, reach) on both axes.
        cell: side of one cell, metres; must divide 2 * reach.
    """

    reach: float
    cell: float

    def __post_init__(self) -> None:
        cells = 2 * self.reach / self.cell
        if abs(cells - round(cells)) > 1e-6:
            raise ValueError(f"a grid of {2 * self.reach} m cannot be cut into cells of {self.cell} m")

    @property
    def size(self) -> int:
        """Number of rows, which is the number of columns."""
        return round(2 * self.reach / self.cell)

    def coarser(self, stride: int) -> "BevGrid":
        """The same area in cells `stride` times as long."""
        return BevGrid(self.reach, self.cell * stride)

    @property
    def axis(self) -> NDArray[np.float32]:
        """Cell centres along x, which are those along y; float32 [size], metres."""
        return (np.arange(self.size, dtype=np.float32) + 0.5) * np.float32(self.cell) - np.float32(self.reach)

    def centres(self) -> NDArray[np.float32]:
        """Cell centres, float32 [size, size, 2] as (x, y) in metres."""
        y, x = np.meshgrid(self.axis, self.axis, indexing="ij")
        return np.stack([x, y], axis=-1)
