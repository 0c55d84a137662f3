"""Which objects a key frame's labels hold, and how much of each the cameras see."""

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.transforms import Matrix, inverse
from pipeline.simulation.casting import Caster, Solids
from pipeline.simulation.rig import CameraModel
from pipeline.simulation.shapes import Mesh

PROBES = 24  # surface points an object
LABEL_REACH = 60.0  # metres from the own car


def surface_points(mesh: Mesh, rng: np.random.Generator) -> NDArray[np.float32]:
    """`PROBES` points drawn evenly from the surface of a mesh, float32 [PROBES, 3]."""
    a, b, c = mesh.triangles[:, 0], mesh.triangles[:, 1], mesh.triangles[:, 2]
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1).astype(np.float64)
    chosen = rng.choice(len(area), PROBES, p=area / area.sum())
    u, v = rng.random((2, PROBES, 1), np.float32)
    flip = u + v > 1
    u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
    return np.asarray(a[chosen] + u * (b[chosen] - a[chosen]) + v * (c[chosen] - a[chosen]), np.float32)


def visible_share(
    caster: Caster,
    moving: Solids,
    local_from_ego: Matrix,
    cameras: list[CameraModel],
    numbers: NDArray[np.int32],
    probes: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Share of every object's surface points that lie in some image and are hidden by nothing but the object itself.

    Args:
        caster, moving: the scene at the time of the key frame.
        local_from_ego: [4, 4].
        cameras: the six cameras.
        numbers: [A], object numbers as the caster knows them.
        probes: float32 [A, PROBES, 3], surface points in the caster's frame.

    Returns:
        [A], 0..1.
    """
    points = probes.reshape(-1, 3)
    owner = np.repeat(numbers, PROBES)
    seen = np.zeros(len(points), np.bool_)
    for camera in cameras:
        local_from_camera = local_from_ego @ camera.ego_from_camera
        back = inverse(local_from_camera)
        pixels = (points @ back[:3, :3].T + back[:3, 3]) @ camera.intrinsic.T
        depth = pixels[:, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            u, v = pixels[:, 0] / depth, pixels[:, 1] / depth
        inside = np.flatnonzero((depth > 0.3) & (u >= 0) & (u < camera.size[0]) & (v >= 0) & (v < camera.size[1]))
        if len(inside) == 0:
            continue
        origin = local_from_camera[:3, 3].astype(np.float32)
        ways = points[inside] - origin
        distance = np.linalg.norm(ways, axis=1)
        rays = np.ascontiguousarray(ways / distance[:, None], np.float32)
        hits = caster.cast(np.ascontiguousarray(np.broadcast_to(origin, rays.shape)), rays, moving)
        seen[inside] |= (hits.number == owner[inside]) | (hits.distance > distance - 0.05)
    return np.asarray(seen.reshape(-1, PROBES).mean(axis=1))


def visibility_token(share: float) -> str:
    """nuScenes visibility: 1 up to 40 %, 2 up to 60 %, 3 up to 80 %, 4 above."""
    return str(1 + int(share > 0.4) + int(share > 0.6) + int(share > 0.8))
