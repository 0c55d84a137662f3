"""Sweeps whose every return is known: a flat road and a round wall, seen by 32 beams."""

import numpy as np
from numpy.typing import NDArray

HEIGHT = 1.8  # metres of the sensor above the road
WALL = 60.0  # metres to the wall


def road_and_wall(seed: int = 0, azimuths: int = 360) -> NDArray[np.float32]:
    """float32 [32 * azimuths, 5], column after column as a spinning sensor measures it; intensities 0.02 to 0.6."""
    azimuth, elevation = np.meshgrid(
        np.linspace(-np.pi, np.pi, azimuths, endpoint=False), np.deg2rad(np.linspace(-30, 1.5, 32)), indexing="ij"
    )
    across = np.minimum(WALL, HEIGHT / np.maximum(np.tan(-elevation), 1e-9))
    points = [across * np.sin(azimuth), across * np.cos(azimuth), across * np.tan(elevation)]
    intensity = np.random.default_rng(seed).uniform(0.02, 0.6, azimuth.shape)
    ring = np.broadcast_to(np.arange(32.0), azimuth.shape)
    return np.asarray(np.stack([*points, intensity, ring], axis=-1).reshape(-1, 5), np.float32)


def along_one_beam(ranges: NDArray[np.float64], intensity: float) -> NDArray[np.float32]:
    """float32 [N, 5]: returns at `ranges` m in one slanted direction."""
    direction = np.array([2.0, 6.0, 3.0]) / 7
    columns = [ranges[:, None] * direction, np.full((len(ranges), 1), intensity), np.zeros((len(ranges), 1))]
    return np.hstack(columns).astype(np.float32)


def distances(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """float64 [N], m from the sensor."""
    return np.asarray(np.linalg.norm(points[:, :3].astype(np.float64), axis=1))


def moved(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which points are farther than 0.1 mm from where they were."""
    return np.asarray(np.abs(after[:, :3] - before[:, :3]).max(axis=1) > 1e-4)
