"""One camera image: rays, procedural texture, sun and shadow, sky and haze."""

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from pipeline.geometry.transforms import Matrix
from pipeline.simulation.casting import Caster, Hits, Rays, Solids
from pipeline.simulation.materials import Material
from pipeline.simulation.rig import CameraModel

_NOISE_SIDE = 512
_NOISE: NDArray[np.float32] = (
    np.random.default_rng(20230531).random((_NOISE_SIDE, _NOISE_SIDE), np.float32) * 2 - 1
)  # texture, not chance: the same in every world
# Strength of the texture by material.
_GRAIN: NDArray[np.float32] = np.array(
    [0.45, 0.10, 0.14, 0.12, 0.06, 0.08, 0.08, 0.0, 0.0, 0.0, 0.03, 0.10, 0.02, 0.05, 0.10, 0.35, 0.55, 0.0], np.float32
)
_HAZE_LENGTH = 260.0  # metres
_SHADOW_REACH = 60.0  # metres from the camera
_GAMMA: NDArray[np.uint8] = (255 * np.linspace(0, 1, 4096) ** 0.8).astype(np.uint8)


class Light:
    """Sun and sky of one driving scene, drawn from `rng`.

    Attributes:
        sun: float32 [3], unit vector towards the sun.
        strength, ambient: of direct and diffuse light.
        horizon, zenith: float32 [3], sky colours.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        azimuth, height = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(25, 65))
        self.sun = np.array(
            [np.cos(height) * np.cos(azimuth), np.cos(height) * np.sin(azimuth), np.sin(height)], np.float32
        )
        cloud = float(rng.uniform(0, 0.8))
        self.strength = np.float32(1.0 - 0.75 * cloud)
        self.ambient = np.float32(0.42 + 0.30 * cloud)
        grey = np.array([0.74, 0.77, 0.80], np.float32)
        self.horizon = np.asarray((1 - cloud) * np.array([0.78, 0.86, 0.93]) + cloud * grey, np.float32)
        self.zenith = np.asarray((1 - cloud) * np.array([0.28, 0.50, 0.82]) + cloud * grey, np.float32)
        self.gain = np.float32(rng.uniform(0.85, 1.1))


def take(
    caster: Caster, moving: Solids, local_from_camera: Matrix, camera: CameraModel, light: Light
) -> NDArray[np.uint8]:
    """Renders one image, uint8 [H, W, 3] RGB.

    Args:
        caster, moving: the scene at the time of the image.
        local_from_camera: [4, 4], camera pose in the caster's frame.
        camera: rays and size.
        light: of the scene.
    """
    directions = np.ascontiguousarray(camera.rays @ local_from_camera[:3, :3].T.astype(np.float32))
    origin = local_from_camera[:3, 3].astype(np.float32)
    hits = caster.cast(np.ascontiguousarray(np.broadcast_to(origin, directions.shape)), directions, moving)
    struck = np.isfinite(hits.distance)
    seen, missed = np.flatnonzero(struck), np.flatnonzero(~struck)
    near = Hits(*(getattr(hits, f)[seen] for f in ("distance", "normal", "number", "semantic", "material", "colour")))
    ways = directions[seen]
    points = origin + ways * near.distance[:, None]
    colour = _textured(points, near)
    lit = np.maximum(near.normal @ light.sun, 0) * light.strength
    towards = np.flatnonzero((lit > 0) & (near.distance < _SHADOW_REACH))
    start = np.ascontiguousarray(points[towards] + near.normal[towards] * np.float32(0.03))
    rays = np.ascontiguousarray(np.broadcast_to(light.sun, start.shape))
    lit[towards[caster.standing.blocks(start, rays) | moving.blocks(start, rays)]] = 0
    # Diffuse light comes mostly from above.
    shade = lit + light.ambient * (np.float32(0.72) + np.float32(0.28) * near.normal[:, 2])
    colour *= (shade * light.gain)[:, None]
    shiny = np.flatnonzero((near.material == Material.GLASS) | (near.material == Material.BODY))
    colour[shiny] += _reflection(ways[shiny], near, shiny, light)
    haze = (1 - np.exp(-near.distance / np.float32(_HAZE_LENGTH)))[:, None]
    image = np.empty_like(directions)
    image[missed] = _sky(directions[missed], light)
    image[seen] = colour + (light.horizon * np.float32(0.95) - colour) * haze
    # A display gamma between linear light and sRGB suits the colours chosen by eye.
    width, height = camera.size
    levels = (np.clip(image, 0, 1) * np.float32(len(_GAMMA) - 1)).astype(np.uint16)
    return _GAMMA[levels].reshape(height, width, 3)


def encode(image: NDArray[np.uint8], quality: int) -> bytes:
    """JPEG bytes of an RGB image."""
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=quality, colorspace="RGB"))


def _sky(directions: Rays, light: Light) -> NDArray[np.float32]:
    rise = np.sqrt(np.clip(directions[:, 2], 0, 1))[:, None]
    return np.asarray(light.horizon + (light.zenith - light.horizon) * rise, np.float32)


def _reflection(ways: Rays, near: Hits, index: NDArray[np.intp], light: Light) -> NDArray[np.float32]:
    """Sky mirrored in paint and glass, by Schlick's approximation of Fresnel's law."""
    normal = near.normal[index]
    cosine = np.abs(np.einsum("ij,ij->i", ways, normal))
    mirrored = ways[:, 2] + 2 * cosine * normal[:, 2]
    fresnel = 0.06 + 0.5 * (1 - cosine) ** 5
    return np.asarray((fresnel * np.clip(mirrored + 0.3, 0, 1))[:, None] * light.horizon, np.float32)


def _textured(points: Rays, hits: Hits) -> NDArray[np.float32]:
    """Surface colours with grain, and windows on facades."""
    colour = hits.colour.copy()
    steep = np.abs(hits.normal[:, 2]) < 0.7
    # A steep surface is textured over its horizontal tangent and height, level ground over x and y.
    across = points[:, 1] * hits.normal[:, 0] - points[:, 0] * hits.normal[:, 1]
    u = np.where(steep, across, points[:, 0])
    v = np.where(steep, points[:, 2], points[:, 1])
    fine = _noise(u, v, 11.0) * np.exp(-hits.distance / np.float32(22))
    coarse = _noise(u, v, 1.3)
    colour *= (1 + _GRAIN[hits.material] * (np.float32(0.6) * fine + np.float32(0.4) * coarse))[:, None]
    wall = np.flatnonzero((hits.material == Material.FACADE) & steep)
    if len(wall):
        x, z = np.mod(u[wall], np.float32(2.6)), np.mod(v[wall], np.float32(3.1))
        window = (x > 0.7) & (x < 1.9) & (z > 1.0) & (z < 2.5)
        course = (np.mod(v[wall], np.float32(0.25)) < 0.03) & (hits.distance[wall] < 25)
        colour[wall[window]] = np.array([0.16, 0.20, 0.25], np.float32)
        colour[wall[course & ~window]] *= np.float32(0.85)
    return colour


def _noise(u: NDArray[np.float32], v: NDArray[np.float32], cells: float) -> NDArray[np.float32]:
    """Fixed random texture in [-1, 1], `cells` values a metre."""
    row = np.floor(u * np.float32(cells)).astype(np.int32) & (_NOISE_SIDE - 1)
    column = np.floor(v * np.float32(cells)).astype(np.int32) & (_NOISE_SIDE - 1)
    return np.asarray(_NOISE[row, column])
