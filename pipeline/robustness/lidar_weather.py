"""LiDAR corruptions by weather: fog, snow and wet ground.

Hahner et al., "Fog Simulation on Real LiDAR Point Clouds for 3D Object Detection in Adverse Weather", ICCV 2021.
Hahner et al., "LiDAR Snowfall Simulation for Robust 3D Object Detection", CVPR 2022; its wet ground too.
What the functions have in common: see `pipeline.robustness.lidar_corruptions`. Severities are Robo3D's (Kong et al.,
ICCV 2023) unless marked [ours].
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.robustness.road import fit_road, heights_above

Points = NDArray[np.float32]
Values = NDArray[np.float64]

LIGHT = 299_792_458.0  # m/s
NO_OVERLAP, OVERLAP = 0.9, 1.0  # metres; from here the receiver begins to see, and fully sees, the beam (Hahner 2021)

ATTENUATION = (0.01, 0.03, 0.06)  # alpha, 1/m, of Hahner's values [ours: Robo3D draws one of six whatever the severity]
BACKSCATTER = (0.008, 0.05, 0.2)  # beta, 1/m
DIFFERENTIAL_REFLECTIVITY = 1e-6 / np.pi  # beta_0 of a hard target (Hahner 2021)
HALF_PULSE = 20e-9  # tau_H, s (Hahner 2021)
FOG_SPREAD = 2.0  # echoes of fog lie up to this factor before and behind its peak, evenly in log range [ours]

SNOWFALL = (0.5, 1.0, 2.5)  # mm of water an hour
TERMINAL_VELOCITY = (2.0, 1.6, 1.6)  # m/s
SNOW_DENSITY = 0.1  # of water's (Hahner 2022)
SNOW_REFLECTIVITY = 0.9  # (Hahner 2022)
DIVERGENCE = 3e-3  # rad, full angle of a beam of an HDL-32E (its manual)
FLAKES = 3  # strongest echoes of a beam that are looked at; on recorded sweeps more hardly change anything
PERCENT = 2.55  # reflectivity at intensity 1: Velodyne's 100 of 255 is a white diffuse target (its manual)
LEAST = 0.005  # reflectivity behind an intensity of 0

WATER = (0.2e-3, 1.0e-3, 1.2e-3)  # metres, mean height of the water
TEXTURE = 1.2e-3  # metres, depth of a pavement's texture (Hahner 2022)
REFRACTION = 1.33  # of water against air
# Of the dry road's mean intensity at a distance [ours]; Robo3D's, which rises with severity, is one of fitted powers.
NOISE_FLOOR = 0.2
ROAD_BAND = 0.2  # metres about the plane (Hahner 2022)
DISTANCE_BIN = 5.0  # metres


def fog(points: Points, severity: int, rng: np.random.Generator) -> Points:
    """Every return is attenuated by exp(-2 alpha R); where fog scatters back more, the point is at the fog's peak.

    The power that fog alone returns is a transmitted pulse sin^2(pi t / 2 tau_H) folded with beta exp(-2 alpha r) / r^2
    up to the target (Hahner 2021). With the intensity i in clear air, which stands for the target's reflectivity,

        i_hard = i exp(-2 alpha R),    i_soft = i R^2 beta / beta_0 I(r*),    r* <= R where I is largest.

    The echo of fog is spread about r*, but lies before the target. No point is lost.
    """
    alpha, beta = ATTENUATION[severity - 1], BACKSCATTER[severity - 1]
    ranges, power = fog_response(alpha)
    distance = _distances(points)
    peak = np.minimum(distance, ranges[-1])
    hard = np.exp(-2 * alpha * distance)
    soft = distance**2 * beta / DIFFERENTIAL_REFLECTIVITY * np.interp(peak, ranges, power)
    place = np.minimum(peak * FOG_SPREAD ** rng.uniform(-1, 1, len(points)), distance)
    return _replace(points, soft > hard, place / distance, points[:, 3] * hard, points[:, 3] * soft)


@cache
def fog_response(alpha: float) -> tuple[Values, Values]:
    """What fog returns from before a range, for a pulse and backscatter of unit size, up to the range of its peak.

    Args:
        alpha: attenuation, 1/m.

    Returns:
        Ascending ranges R, m, and I(R) = integral of sin^2(pi t / 2 tau_H) exp(-2 alpha r) xi(r) / r^2 dt, s/m^2, with
        r = R - c t / 2 and t from 0 to 2 tau_H. It grows up to the last of the ranges.
    """
    ranges = np.arange(NO_OVERLAP, 10, 0.05)
    time = np.linspace(0, 2 * HALF_PULSE, 801)
    r = np.maximum(ranges[:, None] - LIGHT * time / 2, 1e-3)
    seen = np.clip((r - NO_OVERLAP) / (OVERLAP - NO_OVERLAP), 0, 1)
    power = (np.sin(np.pi * time / (2 * HALF_PULSE)) ** 2 * seen * np.exp(-2 * alpha * r) / r**2).sum(1) * time[1]
    end = int(power.argmax()) + 1
    return ranges[:end], power[:end]


def snow(points: Points, severity: int, rng: np.random.Generator) -> Points:
    """Snowflakes in the beam weaken the return, or give the stronger one: then the point is at the flake.

    Flakes are spread evenly in space, their diameters D exponentially, as many as the snowfall keeps in the air. A
    flake at range r that fills the share f = (D / r theta)^2 of a beam of divergence theta returns rho f / r^2; the
    target, of reflectivity rho_0, returns rho_0 exp(-2 alpha R) / R^2, with alpha the flakes' cross-section a volume.
    No point is lost.

    Simplified from Hahner 2022: flakes lie wholly within the beam and each beam has its own; no pulse shapes, so that
    echoes do not add up; and no table of sampled flakes. Instead, the echoes along a beam are a Poisson process: with n
    flakes a volume of mean diameter s and a = theta / s sqrt(p / rho), the number of echoes stronger than p is
    n pi^1.5 theta^2 / (16 a^1.5). So Poisson arrivals give the strongest first, and a r^2 of each is Gamma(5/2).
    """
    size, count, alpha = snowfall(severity)
    distance = _distances(points)
    arrivals = rng.standard_exponential((len(points), FLAKES), np.float32).cumsum(axis=1)
    a = np.cbrt(count * np.pi**1.5 * DIVERGENCE**2 / 16 / arrivals) ** 2
    r = np.sqrt(rng.standard_gamma(2.5, a.shape, np.float32) / a)
    before = (r > OVERLAP) & (r < distance[:, None])
    row, strongest = np.arange(len(points)), before.argmax(axis=1)
    a, r = a[row, strongest], r[row, strongest].astype(np.float64)
    filled = np.minimum((a * size * r / DIVERGENCE) ** 2, 1)
    flake = SNOW_REFLECTIVITY * filled * np.exp(-2 * alpha * r) / r**2
    through = np.exp(-2 * alpha * distance)
    target = np.maximum(points[:, 3] * PERCENT, LEAST) * through / distance**2
    moved = before.any(axis=1) & (flake > target)
    return _replace(points, moved, r / distance, points[:, 3] * through, flake * r**2 / PERCENT)


def snowfall(severity: int) -> tuple[float, float, float]:
    """Of falling snow: mean diameter of a flake, m; flakes in a cubic metre; attenuation alpha, 1/m.

    Snow fills r / (3.6e6 v density) of the air (Hahner 2022; r in mm/h, v in m/s). Diameters are exponential with
    Lambda = 2.55 r^-0.48 / mm of melted water (Gunn and Marshall 1958).
    """
    rate = SNOWFALL[severity - 1]
    filled = rate / (3.6e6 * TERMINAL_VELOCITY[severity - 1] * SNOW_DENSITY)
    size = 1e-3 / (2.55 * rate**-0.48) / SNOW_DENSITY ** (1 / 3)
    count = filled / (np.pi * size**3)  # a flake's mean volume is pi / 6 <D^3> = pi size^3
    return size, count, count * np.pi / 2 * size**2  # pi / 4 <D^2>


def wet_ground(points: Points, severity: int, rng: np.random.Generator) -> Points:
    """Water on the road takes power from its returns; what falls below the noise is lost.

    Water fills the texture of the pavement up to the share w = height / depth of the texture. A filled spot mirrors the
    Fresnel reflection away, at the way in and at the way out, and its light leaves the water into a wider angle:
    i_wet = i ((1 - w) + w T(theta)^2 / n^2), T the transmission at the angle of incidence theta. Nothing is random.

    Simplified from Hahner 2022, which fits the laser's power and noise to the data: the noise floor is `NOISE_FLOOR` of
    the mean intensity of the dry road at about that distance.
    """
    road = fit_road(points)
    if road is None:
        return points.copy()
    wet = np.flatnonzero((np.abs(heights_above(points, road)) < ROAD_BAND) & np.isfinite(points[:, 3]))
    distance = _distances(points[wet])
    cosine = np.abs(points[wet, :3] @ road[0]) / distance
    filled = WATER[severity - 1] / TEXTURE
    share = 1 - filled + filled * (transmission(cosine) / REFRACTION) ** 2
    bins = (distance / DISTANCE_BIN).astype(np.int64)
    mean = np.bincount(bins, points[wet, 3]) / np.maximum(np.bincount(bins), 1)
    left = points.copy()
    left[wet, 3] *= share.astype(np.float32)
    kept = np.ones(len(points), np.bool_)
    kept[wet] = left[wet, 3] >= NOISE_FLOOR * mean[bins]
    return left[kept]


def transmission(cosine: Values) -> Values:
    """Share of unpolarised light that enters water from air, by Fresnel's equations.

    Args:
        cosine: of the angle of incidence.
    """
    inside = np.sqrt(1 - (1 - cosine**2) / REFRACTION**2)
    across = (cosine - REFRACTION * inside) / (cosine + REFRACTION * inside)
    along = (REFRACTION * cosine - inside) / (REFRACTION * cosine + inside)
    return np.asarray(1 - (across**2 + along**2) / 2)


def _distances(points: Points) -> Values:
    """float64 [N], m; returns at the sensor itself, which recorded sweeps have, count as 1 mm away."""
    return np.asarray(np.maximum(np.linalg.norm(points[:, :3].astype(np.float64), axis=1), 1e-3))


def _replace(points: Points, moved: NDArray[np.bool_], scale: Values, stay: Values, new: Values) -> Points:
    """Points `moved` along their beams by `scale`, of intensity `new`; the others stay, of intensity `stay`."""
    out = points.copy()
    out[:, :3] *= np.where(moved, scale, 1)[:, None]
    out[:, 3] = np.minimum(np.where(moved, new, stay), 1)
    return out
