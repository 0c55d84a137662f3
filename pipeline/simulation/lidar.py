"""One turn of the spinning LiDAR."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.transforms import Matrix
from pipeline.params import Simulate
from pipeline.simulation.casting import Caster, Solids
from pipeline.simulation.materials import REFLECTIVITY, RETURN_RATE, Material

RANGE_STEP = 0.002  # metres, resolution of an HDL-32E


@dataclass(frozen=True)
class Sweep:
    """Returns of one turn.

    Attributes:
        points: float32 [N, 5]: x, y, z (LiDAR frame, metres), intensity 0..255, ring from 0 at the lowest beam.
        number: int32 [N], object hit, 0 = none.
        semantic: uint8 [N], panoptic category index.
    """

    points: NDArray[np.float32]
    number: NDArray[np.int32]
    semantic: NDArray[np.uint8]


def scan(
    caster: Caster,
    moving: Solids,
    local_from_lidar: Matrix,
    rays: tuple[NDArray[np.float32], NDArray[np.float32]],
    params: Simulate,
    rng: np.random.Generator,
) -> Sweep:
    """Casts one turn from one pose (the car stands still meanwhile) and adds noise, drop-out and intensity.

    The chance of a return falls with range and incidence as the received power does, after the radar equation
    for an extended target: reflectivity * cos(incidence) / range^2.

    Args:
        caster, moving: the scene at the time of the turn.
        local_from_lidar: [4, 4], sensor pose in the caster's frame.
        rays: directions in the LiDAR frame and ring numbers, from `rig.lidar_rays`.
        params: noise, drop-out and range.
        rng: of this turn.
    """
    directions, rings = rays
    turned = np.ascontiguousarray(directions @ local_from_lidar[:3, :3].T.astype(np.float32))
    origins = np.broadcast_to(local_from_lidar[:3, 3].astype(np.float32), turned.shape)
    hits = caster.cast(np.ascontiguousarray(origins), turned, moving)
    chance, noise, shine = rng.random(len(turned)), rng.standard_normal(len(turned)), rng.standard_normal(len(turned))
    incidence = np.abs(np.einsum("ij,ij->i", hits.normal, turned))
    reflectivity = REFLECTIVITY[hits.material] * (0.6 + 0.4 * hits.colour.mean(axis=1))
    power = reflectivity * np.maximum(incidence, 0.02) * (20.0 / np.maximum(hits.distance, 1.0)) ** 2
    rate = (1 - params.dropout) * RETURN_RATE[hits.material] * (1 - np.exp(-power / 0.002))
    measured = hits.distance + params.range_noise * noise.astype(np.float32)
    measured = np.round(measured / RANGE_STEP) * RANGE_STEP
    keep = np.isfinite(hits.distance) & (measured < params.max_range) & (measured > 0.9) & (chance < rate)
    brightness = 255 * reflectivity * np.where(hits.material == Material.REFLECTOR, 1.0, np.sqrt(incidence))
    intensity = np.clip(np.floor(brightness * (1 + 0.12 * shine)), 0, 255)
    points = np.concatenate(
        [directions[keep] * measured[keep, None], intensity[keep, None], rings[keep, None]], axis=1
    ).astype(np.float32)
    return Sweep(points, hits.number[keep], hits.semantic[keep])
