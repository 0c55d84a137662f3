"""What one key frame is: its files, poses and matrices. No labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Order of the cameras wherever six of them are stacked.
CAMERA_CHANNELS = ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT")
POINT_BYTES = 20  # of a nuScenes sweep file: five float32 a point: x, y, z, intensity, ring


@dataclass(frozen=True)
class Sweep:
    """An earlier LiDAR sweep.

    Attributes:
        path: relative to the dataset root.
        lidar_from_sweep: float64 [4, 4] into the key frame's LiDAR frame, ego motion included.
        lag: seconds before the key frame, > 0.
    """

    path: str
    lidar_from_sweep: NDArray[np.float64]
    lag: float


@dataclass(frozen=True)
class Camera:
    """An image of the key frame.

    Attributes:
        channel: one of `CAMERA_CHANNELS`.
        path: relative to the dataset root.
        image_from_lidar: float64 [4, 4]; LiDAR point (x, y, z, 1) to (u d, v d, d, 1), pixels of the stored image, ego
            motion between the two time stamps included.
        size: width, height of the stored image, pixels.
    """

    channel: str
    path: str
    image_from_lidar: NDArray[np.float64]
    size: tuple[int, int]


@dataclass(frozen=True)
class Frame:
    """A key frame.

    Attributes:
        token: sample token.
        lidar_token: sample_data token of its LIDAR_TOP sweep.
        scene: scene name.
        timestamp: microseconds.
        location: map location.
        lidar_path: relative to the dataset root.
        points: number of points in that file.
        global_from_lidar: float64 [4, 4] at the LiDAR's time stamp; likewise the next two.
        ego_from_lidar: float64 [4, 4].
        global_from_ego: float64 [4, 4].
        sweeps: earlier sweeps, newest first; may be empty.
        cameras: in the order of `CAMERA_CHANNELS`; empty where the frame has none.
    """

    token: str
    lidar_token: str
    scene: str
    timestamp: int
    location: str
    lidar_path: str
    points: int
    global_from_lidar: NDArray[np.float64]
    ego_from_lidar: NDArray[np.float64]
    global_from_ego: NDArray[np.float64]
    sweeps: tuple[Sweep, ...]
    cameras: tuple[Camera, ...]
