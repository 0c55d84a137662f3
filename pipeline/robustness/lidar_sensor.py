"""LiDAR corruptions by the sensor and its motion, as Robo3D defines them (Kong et al., ICCV 2023).

What they have in common: see `pipeline.robustness.lidar_corruptions`. Severities are Robo3D's for nuScenes (32 beams)
unless marked [ours].
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.robustness.road import fit_road, heights_above

Points = NDArray[np.float32]

JITTER = (0.2, 0.3, 0.4)  # metres, standard deviation along each axis
BEAMS_LOST = (8 / 32, 16 / 32, 24 / 32)  # share of the beams
CROSSTALK = (0.03, 0.07, 0.12)  # share of the points
CROSSTALK_NOISE = 3.0  # metres, standard deviation along the beam [ours: Robo3D's acts on x, y and z]
ECHOES_LOST = (0.75, 0.85, 0.95)  # share of the returns of dark bodies
DARK = 20 / 255  # intensity up to which a body is dark [ours], see `incomplete_echo`
BODY = (0.2, 3.0)  # metres above the road between which vehicles have their bodies [ours]
OWN_CAR = 2.0  # metres; nearer returns are the own car
BEAMS_LEFT = (24 / 32, 16 / 32, 8 / 32)  # share of the beams
POINTS_LEFT = 2  # of the points of a beam that is left, every second one is


def motion_blur(points: Points, severity: int, rng: np.random.Generator) -> Points:
    """A shaking sensor: every coordinate moves by Gaussian noise of `JITTER`."""
    shaken = points.copy()
    shaken[:, :3] += rng.normal(0, JITTER[severity - 1], (len(points), 3)).astype(np.float32)
    return shaken


def beam_missing(points: Points, severity: int, rng: np.random.Generator) -> Points:
    """Some beams, chosen at random, give no return at all: `BEAMS_LOST` of them.

    Raises:
        UserError: the points do not know their beams.
    """
    beams = _beams(points)
    lost = rng.choice(beams, round(BEAMS_LOST[severity - 1] * len(beams)), replace=False)
    return points[~np.isin(points[:, 4], lost)]


def crosstalk(points: Points, severity: int, rng: np.random.Generator) -> Points:
    """Pulses of other LiDARs are taken for echoes: `CROSSTALK` of the points get a wrong range on their own beam.

    A range below zero is folded back, so that the point stays on its beam.
    """
    noisy = points.copy()
    struck = rng.choice(len(points), round(CROSSTALK[severity - 1] * len(points)), replace=False)
    distance = np.linalg.norm(points[struck, :3], axis=1)
    wrong = np.abs(distance + rng.normal(0, CROSSTALK_NOISE, len(struck)))
    noisy[struck, :3] *= (wrong / np.maximum(distance, 1e-3))[:, None]
    return noisy


def incomplete_echo(points: Points, severity: int, rng: np.random.Generator) -> Points:
    """Dark bodies swallow the pulse: of the returns from them, `ECHOES_LOST` are lost.

    Robo3D takes the points of vehicles, by label. Here no label is read: a dark body is what has an intensity of `DARK`
    at most and lies within `BODY` above the road. So dark walls and shrubs are struck as well, and bright cars are not:
    docs/performance.md counts them.
    """
    road = fit_road(points)
    if road is None:
        return points.copy()
    height = heights_above(points, road)
    body = (height > BODY[0]) & (height < BODY[1]) & (np.linalg.norm(points[:, :3], axis=1) > OWN_CAR)
    dark = np.flatnonzero(body & (points[:, 3] <= np.float32(DARK)))
    kept = np.ones(len(points), np.bool_)
    kept[rng.choice(dark, round(ECHOES_LOST[severity - 1] * len(dark)), replace=False)] = False
    return points[kept]


def cross_sensor(points: Points, severity: int, rng: np.random.Generator) -> Points:
    """A LiDAR with fewer beams, evenly spread, `BEAMS_LEFT`, and half as many points in each; random is only the phase.

    Points of a beam must come in the order in which they were measured, as files have them.

    Raises:
        UserError: the points do not know their beams.
    """
    beams = _beams(points)
    left = round(BEAMS_LEFT[severity - 1] * len(beams))
    spread = (np.arange(left) + rng.random()) * len(beams) / max(left, 1)
    kept = np.flatnonzero(np.isin(points[:, 4], beams[spread.astype(np.int64)]))
    # The stable sort keeps the order within a beam, so every second point of it is a lower angular resolution.
    by_beam = kept[np.argsort(points[kept, 4], kind="stable")]
    return points[np.sort(by_beam[rng.integers(POINTS_LEFT) :: POINTS_LEFT])]


def _beams(points: Points) -> Points:
    """The beams of a sweep, ascending."""
    beams = np.asarray(np.unique(points[:, 4]))
    if len(beams) == 1:
        raise UserError(
            f"all {len(points)} points of a sweep are of one beam",
            where="the sweep's fifth column, its ring",
            remedy="this corruption needs the ring of each point, which Argoverse 2 is read without: leave it out",
        )
    return beams
