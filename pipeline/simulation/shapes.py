"""Triangle meshes of simple solids, joined into objects."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import trimesh.creation
from numpy.typing import NDArray

from pipeline.simulation.materials import Material

Colour = tuple[float, float, float]
Vector = tuple[float, float, float]

_CORNERS = np.array([[x, y, z] for z in (0, 1) for y in (-0.5, 0.5) for x in (-0.5, 0.5)], np.float32)
_FACES = np.array(
    [[0, 2, 1], [1, 2, 3], [4, 5, 6], [5, 7, 6], [0, 1, 4], [1, 5, 4], [2, 6, 3], [3, 6, 7], [0, 4, 2], [2, 4, 6],
     [1, 3, 5], [3, 7, 5]]
)  # fmt: skip


@dataclass(frozen=True)
class Mesh:
    """Triangles with a material and a colour each.

    Attributes:
        triangles: float32 [T, 3, 3], metres.
        material: uint8 [T], `Material`.
        colour: float32 [T, 3], RGB 0..1.
    """

    triangles: NDArray[np.float32]
    material: NDArray[np.uint8]
    colour: NDArray[np.float32]

    @property
    def size(self) -> Vector:
        """Length (x), width (y) and height (z) of the bounding box, metres."""
        extent = np.ptp(self.triangles.reshape(-1, 3), axis=0)
        return float(extent[0]), float(extent[1]), float(extent[2])

    def centred(self) -> "Mesh":
        """The same mesh with its bounding box centred on x = y = 0 and standing on z = 0."""
        points = self.triangles.reshape(-1, 3)
        low, high = points.min(axis=0), points.max(axis=0)
        shift = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]], np.float32)
        return Mesh(self.triangles - shift, self.material, self.colour)

    def placed(self, x: float, y: float, z: float, yaw: float) -> "Mesh":
        """Turned by `yaw` (radians, x to y) about the origin, then moved."""
        cos, sin = np.cos(yaw), np.sin(yaw)
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], np.float32)
        moved = self.triangles @ turn.T + np.array([x, y, z], np.float32)
        return Mesh(moved, self.material, self.colour)


def join(parts: Sequence[Mesh]) -> Mesh:
    """All parts in one mesh."""
    return Mesh(
        np.concatenate([p.triangles for p in parts]),
        np.concatenate([p.material for p in parts]),
        np.concatenate([p.colour for p in parts]),
    )


def painted(triangles: NDArray[np.floating[Any]], material: Material, colour: Colour) -> Mesh:
    """A mesh of one material and one colour."""
    count = len(triangles)
    return Mesh(
        np.ascontiguousarray(triangles, np.float32),
        np.full(count, material, np.uint8),
        np.tile(np.asarray(colour, np.float32), (count, 1)),
    )


def block(
    size: Vector, at: Vector, material: Material, colour: Colour, top: tuple[float, float] = (1, 1), shift: float = 0
) -> Mesh:
    """A box, or with `top` a truncated pyramid.

    Args:
        size: length, width, height.
        at: centre of the bottom face.
        material, colour: of every face.
        top: length and width of the top face as shares of the bottom's.
        shift: how far the top face is moved along x.
    """
    corners = _CORNERS.copy()
    upper = corners[:, 2] > 0
    corners[upper, :2] *= np.asarray(top, np.float32)
    corners = corners * np.asarray(size, np.float32)
    corners[upper, 0] += shift
    return painted((corners + np.asarray(at, np.float32))[_FACES], material, colour)


@cache
def _unit_round(kind: str) -> NDArray[np.float32]:
    if kind == "tube":
        solid = trimesh.creation.cylinder(radius=1, height=1, sections=10)
    elif kind == "cone":
        solid = trimesh.creation.cone(radius=1, height=1, sections=10)
    else:
        solid = trimesh.creation.icosphere(subdivisions=1, radius=1)
    return np.asarray(solid.triangles, np.float32)


def tube(radius: float, length: float, at: Vector, material: Material, colour: Colour, axis: int = 2) -> Mesh:
    """A cylinder along `axis` (0 x, 1 y, 2 z) whose centre is `at`."""
    unit = _unit_round("tube") * np.array([radius, radius, length], np.float32)
    # A cyclic shift of the coordinates keeps the triangles' winding.
    turned: NDArray[np.float32] = np.roll(unit, (axis + 1) % 3, axis=-1)
    return painted(turned + np.asarray(at, np.float32), material, colour)


def cone(radius: float, height: float, at: Vector, material: Material, colour: Colour) -> Mesh:
    """An upright cone with the centre of its base at `at`."""
    unit = _unit_round("cone") * np.array([radius, radius, height], np.float32)
    return painted(unit + np.asarray(at, np.float32), material, colour)


def ball(radii: Vector, at: Vector, material: Material, colour: Colour, rng: np.random.Generator | None = None) -> Mesh:
    """An ellipsoid; with `rng` its surface is roughened, as foliage is."""
    unit = _unit_round("ball")
    if rng is not None:
        # Vertices shared by triangles must move together, so the noise is a function of the vertex.
        keys, inverse = np.unique(unit.reshape(-1, 3), axis=0, return_inverse=True)
        rough = keys * rng.uniform(0.75, 1.2, (len(keys), 1)).astype(np.float32)
        unit = rough[inverse.reshape(-1)].reshape(-1, 3, 3)
    return painted(unit * np.asarray(radii, np.float32) + np.asarray(at, np.float32), material, colour)
