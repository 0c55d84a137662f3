"""What a camera's projection matrix is made of: intrinsics and pose."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import rq

from pipeline.geometry.transforms import Matrix


class Pinhole(NamedTuple):
    """Intrinsics and pose of a camera.

    Attributes:
        intrinsics: float64 [3, 3], `image_from_camera`, upper triangular with a positive diagonal and 1 last; pixels.
        lidar_from_camera: float64 [4, 4], rigid; of the camera's axes x points right, y down, z along the view.
    """

    intrinsics: NDArray[np.float64]
    lidar_from_camera: Matrix


def decompose(image_from_lidar: Matrix) -> Pinhole:
    """Splits `Camera.image_from_lidar` [4, 4] = K [R | t] by an RQ decomposition.

    Hartley and Zisserman, "Multiple View Geometry in Computer Vision", 2nd edition, section 6.2.4.
    """
    scaled, rotation = rq(image_from_lidar[:3, :3])
    signs = np.diag(np.sign(np.diag(scaled)))  # the one choice that leaves the diagonal positive
    scaled, rotation = scaled @ signs, signs @ rotation
    lidar_from_camera = np.eye(4)
    lidar_from_camera[:3, :3] = rotation.T
    # The centre is the one point without a depth: u d = v d = d = 0.
    lidar_from_camera[:3, 3] = -np.linalg.solve(image_from_lidar[:3, :3], image_from_lidar[:3, 3])
    return Pinhole(scaled / scaled[2, 2], lidar_from_camera)
