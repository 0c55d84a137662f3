"""Ray casting with Embree against the ground, the standing things and the moving things of one driving scene."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

from pipeline.simulation.materials import GROUND_COLOUR, GROUND_SEMANTIC, RAISED, Material
from pipeline.simulation.shapes import Mesh
from pipeline.simulation.terrain import KERB, Terrain

Rays = NDArray[np.float32]  # [N, 3]


@dataclass(frozen=True)
class Thing:
    """A mesh in place, with what a hit on it means: object number (0 = none) and panoptic category index."""

    mesh: Mesh
    number: int
    semantic: int


@dataclass(frozen=True)
class Hits:
    """The nearest surface along every ray.

    Attributes:
        distance: float32 [N], metres; inf where nothing was hit.
        normal: float32 [N, 3], unit length, towards the ray's origin.
        number: int32 [N], object hit, 0 = none.
        semantic: uint8 [N], panoptic category index, 0 where nothing was hit.
        material: uint8 [N].
        colour: float32 [N, 3], RGB 0..1 before texture and light.
    """

    distance: NDArray[np.float32]
    normal: NDArray[np.float32]
    number: NDArray[np.int32]
    semantic: NDArray[np.uint8]
    material: NDArray[np.uint8]
    colour: NDArray[np.float32]


class Solids:
    """An Embree scene with a table from triangle to object, semantics, material and colour."""

    def __init__(self, things: Sequence[Thing]) -> None:
        self.empty = not things
        if self.empty:
            return
        counts = [len(t.mesh.triangles) for t in things]
        triangles = np.concatenate([t.mesh.triangles for t in things])
        self.material = np.concatenate([t.mesh.material for t in things])
        self.colour = np.concatenate([t.mesh.colour for t in things])
        self.number = np.repeat(np.array([t.number for t in things], np.int32), counts)
        self.semantic = np.repeat(np.array([t.semantic for t in things], np.uint8), counts)
        self._scene = EmbreeScene()
        self._mesh = TriangleMesh(self._scene, np.ascontiguousarray(triangles, np.float32))

    def cast(self, origins: Rays, directions: Rays) -> tuple[NDArray[np.float32], NDArray[np.int32], Rays]:
        """Distance (inf = miss), triangle index (-1 = miss) and face normal (not unit length) of every ray."""
        if self.empty:
            count = len(origins)
            return np.full(count, np.inf, np.float32), np.full(count, -1, np.int32), np.zeros((count, 3), np.float32)
        return _run(self._scene, origins, directions)

    def blocks(self, origins: Rays, directions: Rays) -> NDArray[np.bool_]:
        """Whether anything lies on each ray, bool [N]."""
        if self.empty:
            return np.zeros(len(origins), np.bool_)
        return np.asarray(self._scene.run(origins, directions, query="OCCLUDED") == 0)


def _run(scene: EmbreeScene, origins: Rays, directions: Rays) -> tuple[NDArray[np.float32], NDArray[np.int32], Rays]:
    found = scene.run(origins, directions, query="INTERSECT", output=True)
    missed = found["geomID"] == -1
    distance = np.where(missed, np.float32(np.inf), found["tfar"])
    return distance, np.where(missed, np.int32(-1), found["primID"]), found["Ng"]


class Caster:
    """Everything of one driving scene that rays can hit. Coordinates are metres, shifted so that `centre` is 0, 0.

    Args:
        terrain: of the location.
        centre: [2], map coordinates of the local origin (keeps float32 exact to a tenth of a millimetre).
        standing: what does not move, in local coordinates.
    """

    def __init__(self, terrain: Terrain, centre: NDArray[np.float64], standing: Sequence[Thing]) -> None:
        self._terrain, self._centre = terrain, centre
        self._ground = EmbreeScene()
        patch = terrain.patch(centre, 240.0, 6.0)
        raised = patch + np.array([0, 0, KERB], np.float32)
        self._patch = TriangleMesh(self._ground, raised)
        self.standing = Solids(standing)

    def surface(self, local: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
        """`Material` of the ground under local points [N, >=2]."""
        return self._terrain.surface(local[:, :2] + self._centre)

    def cast(self, origins: Rays, directions: Rays, moving: Solids) -> Hits:
        """Casts rays.

        Args:
            origins: float32 [N, 3], local metres.
            directions: float32 [N, 3], unit length.
            moving: the moving things at the time of the rays.
        """
        distance, normal, material = self._cast_ground(origins, directions)
        ground = np.isfinite(distance)
        number = np.zeros(len(distance), np.int32)
        semantic = np.where(ground, GROUND_SEMANTIC[np.where(ground, material, 0)], 0).astype(np.uint8)
        colour = GROUND_COLOUR[np.where(ground, material, 0)]
        for solids in (self.standing, moving):
            reach, triangle, face = solids.cast(origins, directions)
            nearer = np.flatnonzero(reach < distance)
            hit = triangle[nearer]
            if len(nearer) == 0:
                continue
            distance[nearer] = reach[nearer]
            normal[nearer] = face[nearer]
            number[nearer] = solids.number[hit]
            semantic[nearer] = solids.semantic[hit]
            material[nearer] = solids.material[hit]
            colour[nearer] = solids.colour[hit]
        length = np.sqrt(np.einsum("ij,ij->i", normal, normal)) + np.float32(1e-12)
        facing = np.where(np.einsum("ij,ij->i", normal, directions) > 0, np.float32(-1), np.float32(1))
        normal *= (facing / length)[:, None]
        return Hits(distance, normal, number, semantic, material, colour)

    def _cast_ground(self, origins: Rays, directions: Rays) -> tuple[NDArray[np.float32], Rays, NDArray[np.uint8]]:
        """Two parallel layers: rays meet the pavement level first and drop to the carriageway if it is not raised."""
        distance, _, normal = _run(self._ground, origins, directions)
        material = np.zeros(len(distance), np.uint8)
        hit = np.flatnonzero(np.isfinite(distance))
        start, way = origins[hit], directions[hit]
        upper = self.surface(start + way * distance[hit, None])
        material[hit] = upper
        low = ~RAISED[upper]
        hit, start, way, upper = hit[low], start[low], way[low], upper[low]
        face = normal[hit]
        length = np.sqrt(np.einsum("ij,ij->i", face, face))
        drop = np.abs(np.einsum("ij,ij->i", face, way)) / length
        extra = (KERB * np.abs(face[:, 2]) / length / np.maximum(drop, 1e-4)).astype(np.float32)
        base = distance[hit]
        found, surface = base + extra, upper
        blocked = np.zeros(len(hit), np.bool_)
        # Between the layers a ray may run into a kerb: the first raised cell on its way is the kerb's face.
        for share in (0.25, 0.5, 0.75, 1.0):
            reach = base + np.float32(share) * extra
            under = self.surface(start + way * reach[:, None])
            meets = ~blocked & RAISED[under]
            found = np.where(meets, reach - np.float32(0.125) * extra, found)
            blocked |= meets
            surface = np.where(blocked, surface, under)
        distance[hit] = found
        material[hit] = np.where(blocked, np.uint8(Material.KERB), surface)
        turned = hit[blocked]
        normal[turned] = -directions[turned] * np.array([1, 1, 0.15], np.float32)
        return distance, normal, material
