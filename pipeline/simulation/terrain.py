"""The ground: a smooth hilly surface, the surface raster on it, and kerbs between carriageway and pavement."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.layers import CELL
from pipeline.simulation.materials import RAISED, Material

KERB = 0.14  # metres


@dataclass(frozen=True)
class Terrain:
    """Heights are those of the carriageway; raised surfaces lie `KERB` above.

    Attributes:
        raster: uint8 `Material` [rows, columns], cells of `CELL` metres.
        waves: float64 [W, 4]: amplitude (m), wave vector x and y (rad/m), phase (rad); their sum is the hill shape.
    """

    raster: NDArray[np.uint8]
    waves: NDArray[np.float64]

    def surface(self, xy: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
        """`Material` under points [N, 2]; grass outside the map."""
        column = np.floor(xy[:, 0] * (1 / CELL)).astype(np.int32)
        row = np.floor(xy[:, 1] * (1 / CELL)).astype(np.int32)
        rows, columns = self.raster.shape
        outside = (column < 0) | (column >= columns) | (row < 0) | (row >= rows)
        found = self.raster[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)]
        found[outside] = Material.GRASS
        return np.asarray(found, np.uint8)

    def height(self, xy: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Carriageway height at points [N, 2], metres, [N]."""
        phase = np.asarray(xy, np.float64) @ self.waves[:, 1:3].T + self.waves[:, 3]
        return np.asarray(np.sin(phase) @ self.waves[:, 0])

    def gradient(self, xy: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Slope along x and y at points [N, 2], [N, 2]."""
        phase = np.asarray(xy, np.float64) @ self.waves[:, 1:3].T + self.waves[:, 3]
        return np.asarray((np.cos(phase) * self.waves[:, 0]) @ self.waves[:, 1:3])

    def floor(self, xy: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Height of the walkable surface, kerb included, at points [N, 2], [N]."""
        return self.height(xy) + KERB * RAISED[self.surface(xy)]

    def patch(self, centre: NDArray[np.float64], reach: float, step: float) -> NDArray[np.float32]:
        """The carriageway surface as triangles [T, 3, 3] around `centre`, which becomes x = y = 0."""
        axis = np.arange(-reach, reach + step / 2, step)
        x, y = np.meshgrid(axis, axis)
        z = self.height(np.stack([x.ravel(), y.ravel()], axis=-1) + centre).reshape(x.shape)
        grid = np.stack([x, y, z], axis=-1)
        a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]
        lower = np.stack([a, b, c], axis=-2).reshape(-1, 3, 3)
        upper = np.stack([a, c, d], axis=-2).reshape(-1, 3, 3)
        return np.ascontiguousarray(np.concatenate([lower, upper]), np.float32)


def make_waves(rng: np.random.Generator, steepness: float) -> NDArray[np.float64]:
    """Hills of 150 to 500 m wave length whose slopes add up to about `steepness` (0.04 = 4 %), for `Terrain.waves`."""
    count = 5
    length, heading = rng.uniform(150, 500, count), rng.uniform(0, 2 * np.pi, count)
    number = 2 * np.pi / length
    amplitude = steepness * rng.uniform(0.3, 0.6, count) / number
    return np.stack([amplitude, number * np.cos(heading), number * np.sin(heading), rng.uniform(0, 7, count)], axis=-1)
