"""The eight LiDAR corruptions of Robo3D by name.

Kong et al., "Robo3D: Towards Robust and Reliable 3D Perception against Corruptions", ICCV 2023.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.robustness.lidar_sensor import beam_missing, cross_sensor, crosstalk, incomplete_echo, motion_blur
from pipeline.robustness.lidar_weather import fog, snow, wet_ground

# f(points, severity, rng) -> points. `points`: float32 [N, 5]: x, y, z (m, sensor frame: x right, y forward, z up),
# intensity (0..1), ring; left as they are. `severity`: 1 light, 2 moderate, 3 heavy. Returns [M, 5] alike.
LidarCorruption = Callable[[NDArray[np.float32], int, np.random.Generator], NDArray[np.float32]]

LIDAR_CORRUPTIONS: dict[str, LidarCorruption] = {
    "fog": fog,
    "wet_ground": wet_ground,
    "snow": snow,
    "motion_blur": motion_blur,
    "beam_missing": beam_missing,
    "crosstalk": crosstalk,
    "incomplete_echo": incomplete_echo,
    "cross_sensor": cross_sensor,
}
