"""The sensors of the car: mounting and intrinsics after one recorded nuScenes car (log n015-2018-07-24-11-22-45)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.transforms import Matrix, matrix_from_pose
from pipeline.params import LidarLayout

LIDAR_FORWARD = 0.943713  # metres ahead of the rear axle
# Recorded mounting without its half degree of tilt: x right, y forward.
LIDAR_ROTATION = [0.7071067811865476, 0.0, 0.0, -0.7071067811865476]

# channel: translation (m), rotation (w, x, y, z), focal length, principal point (pixels of a 1600 x 900 image)
_CAMERAS: dict[str, tuple[list[float], list[float], float, tuple[float, float]]] = {
    "CAM_FRONT": ([1.70079, 0.01595, 1.51096], [0.49980154, -0.50303162, 0.49977981, -0.49737084], 1266.417,
                  (816.267, 491.507)),
    "CAM_FRONT_RIGHT": ([1.55085, -0.49340, 1.49575], [0.2060348, -0.20269406, 0.68245078, -0.67136108], 1260.847,
                        (807.968, 495.334)),
    "CAM_BACK_RIGHT": ([1.01488, -0.48057, 1.56240], [0.1228098, -0.13240084, -0.70043058, 0.69049603], 1259.514,
                       (807.253, 501.196)),
    "CAM_BACK": ([0.02833, 0.00345, 1.57910], [0.50378727, -0.4974025, -0.49418502, 0.50454496], 809.221,
                 (829.220, 481.778)),
    "CAM_BACK_LEFT": ([1.03569, 0.48480, 1.59097], [0.69241856, -0.70316194, -0.11648343, 0.11203318], 1256.741,
                      (792.113, 492.776)),
    "CAM_FRONT_LEFT": ([1.52388, 0.49463, 1.50933], [0.67572653, -0.67362665, 0.21214014, -0.21122827], 1272.598,
                       (826.615, 479.752)),
}  # fmt: skip


@dataclass(frozen=True)
class CameraModel:
    """A pinhole camera; `intrinsic` [3, 3] in pixels of its own image size, `rays` float32 [H * W, 3] unit length."""

    channel: str
    translation: list[float]
    rotation: list[float]
    intrinsic: NDArray[np.float64]
    size: tuple[int, int]
    rays: NDArray[np.float32]

    @property
    def ego_from_camera(self) -> Matrix:
        """Mounting, [4, 4]."""
        return matrix_from_pose(self.rotation, self.translation)


def make_cameras(width: int, height: int) -> list[CameraModel]:
    """The six cameras for images of `width` x `height` pixels; intrinsics scale with the image."""
    cameras = []
    v, u = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    for channel, (translation, rotation, focal, centre) in _CAMERAS.items():
        sx, sy = width / 1600, height / 900
        intrinsic = np.array([[focal * sx, 0, centre[0] * sx], [0, focal * sy, centre[1] * sy], [0, 0, 1]])
        rays = np.stack(
            [(u - intrinsic[0, 2]) / intrinsic[0, 0], (v - intrinsic[1, 2]) / intrinsic[1, 1], np.ones_like(u)], axis=-1
        ).reshape(-1, 3)
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        cameras.append(CameraModel(channel, translation, rotation, intrinsic, (width, height), rays.astype(np.float32)))
    return cameras


def lidar_translation(layout: LidarLayout) -> list[float]:
    """Mounting of the LiDAR in the ego frame, metres."""
    return [LIDAR_FORWARD, 0.0, layout.height]


def elevations(layout: LidarLayout) -> NDArray[np.float64]:
    """Elevations of the beams in radians, lowest first; the index is the ring number in the files."""
    angles: NDArray[np.float64] = np.radians(np.linspace(layout.lowest, layout.highest, layout.beams))
    return angles


def lidar_rays(layout: LidarLayout, steps: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Directions of one turn in firing order: clockwise from straight left, all beams from the lowest up.

    Args:
        layout: number of beams and their elevations.
        steps: firings a turn.

    Returns:
        float32 [steps * beams, 3] unit vectors in the LiDAR frame, float32 [steps * beams] ring numbers.
    """
    azimuth = np.repeat(np.pi - 2 * np.pi * np.arange(steps) / steps, layout.beams)
    elevation = np.tile(elevations(layout), steps)
    flat = np.cos(elevation)
    rays = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], axis=-1)
    return rays.astype(np.float32), np.tile(np.arange(layout.beams, dtype=np.float32), steps)
