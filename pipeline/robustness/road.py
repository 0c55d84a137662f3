"""The road under the sensor as one plane, for corruptions that strike the ground or spare it."""

import numpy as np
from numpy.typing import NDArray

_NEAR, _FAR = 3.0, 40.0  # metres; between the own car and where one plane no longer holds
_LOWEST, _HIGHEST = -3.5, -0.5  # metres under a sensor on a car's roof
_BIN = 0.1  # metres
_BANDS = (0.4, 0.3, 0.2, 0.2)  # metres about the plane; the last is Hahner et al.'s (CVPR 2022)
_SUPPORT = 20  # points below which there is no road


def fit_road(points: NDArray[np.float32]) -> tuple[NDArray[np.float64], float] | None:
    """A plane through the road by repeated least squares, from the fullest 0.1 m of heights under the sensor.

    Cheaper and coarser than `pipeline.regions.ground`, and it needs no settings; unlike that it gives the normal.

    Args:
        points: float32 [N, >= 3]: x, y, z (m, sensor frame).

    Returns:
        Upward unit normal, float64 [3], and offset, m: `normal . point - offset` is the height above the road. None
        where fewer than 20 points could be road.
    """
    xyz = points[:, :3].astype(np.float64)
    distance = np.hypot(xyz[:, 0], xyz[:, 1])
    near = xyz[(distance > _NEAR) & (distance < _FAR) & (xyz[:, 2] > _LOWEST) & (xyz[:, 2] < _HIGHEST)]
    counts, edges = np.histogram(near[:, 2], round((_HIGHEST - _LOWEST) / _BIN), (_LOWEST, _HIGHEST))
    slopes, level = np.zeros(2), edges[counts.argmax()] + _BIN / 2
    for band in _BANDS:
        road = near[np.abs(near[:, 2] - near[:, :2] @ slopes - level) < band]
        if len(road) < _SUPPORT:
            return None
        centre = road.mean(axis=0)
        moments = np.einsum("ni,nj->ij", road - centre, road - centre)
        slopes = np.linalg.lstsq(moments[:2, :2], moments[:2, 2], rcond=None)[0]
        level = centre[2] - centre[:2] @ slopes
    normal = np.array([-slopes[0], -slopes[1], 1.0])
    length = float(np.linalg.norm(normal))
    return normal / length, float(level) / length


def heights_above(points: NDArray[np.float32], road: tuple[NDArray[np.float64], float]) -> NDArray[np.float64]:
    """float64 [N], metres above the plane that `fit_road` found."""
    normal, offset = road
    return np.asarray(points[:, :3] @ normal - offset)
