"""Rigid and affine transforms as 4x4 matrices named `target_from_source`."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.float64]


def matrix_from_pose(rotation: ArrayLike, translation: ArrayLike) -> Matrix:
    """nuScenes poses as matrices.

    Args:
        rotation: [..., 4], quaternion (w, x, y, z), not zero.
        translation: [..., 3], (x, y, z), metres.

    Returns:
        float64 [..., 4, 4], `parent_from_child`.
    """
    quaternion = np.asarray(rotation, np.float64)
    w, x, y, z = np.moveaxis(quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True), -1, 0)
    matrix = np.zeros((*w.shape, 4, 4))
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[..., :3, :3] = np.moveaxis(np.array(rows), (0, 1), (-2, -1))
    matrix[..., :3, 3] = translation
    matrix[..., 3, 3] = 1
    return matrix


def quaternion_from_matrix(matrix: Matrix) -> NDArray[np.float64]:
    """The rotation part of a rigid matrix as a unit quaternion (w, x, y, z) with w >= 0."""
    r = matrix[:3, :3]
    # Shepperd's method on all four components at once: the largest one is the stable divisor.
    squares = np.array(
        [1 + r[0, 0] + r[1, 1] + r[2, 2], 1 + r[0, 0] - r[1, 1] - r[2, 2],
         1 - r[0, 0] + r[1, 1] - r[2, 2], 1 - r[0, 0] - r[1, 1] + r[2, 2]]
    )  # fmt: skip
    best = int(np.argmax(squares))
    products = np.array(
        [[squares[0], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
         [r[2, 1] - r[1, 2], squares[1], r[1, 0] + r[0, 1], r[0, 2] + r[2, 0]],
         [r[0, 2] - r[2, 0], r[1, 0] + r[0, 1], squares[2], r[2, 1] + r[1, 2]],
         [r[1, 0] - r[0, 1], r[0, 2] + r[2, 0], r[2, 1] + r[1, 2], squares[3]]]
    )  # fmt: skip
    quaternion: NDArray[np.float64] = products[best] / np.linalg.norm(products[best])
    return quaternion if quaternion[0] >= 0 else -quaternion


def rotation_about_z(angle: float) -> Matrix:
    """float64 [4, 4], counter-clockwise by `angle` radians seen from above."""
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return matrix


def inverse(matrix: Matrix) -> Matrix:
    """`source_from_target` of rigid `target_from_source`, [..., 4, 4]."""
    result = np.zeros_like(matrix, np.float64)
    result[..., :3, :3] = turned = matrix[..., :3, :3].swapaxes(-1, -2)
    result[..., :3, 3] = -(turned @ matrix[..., :3, 3, None])[..., 0]
    result[..., 3, 3] = 1
    return result


def transform_points(matrix: Matrix, points: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Moves points; columns after the third are carried along unchanged.

    Args:
        matrix: `target_from_source`, [4, 4].
        points: [N, 3 + C], x y z in metres first.

    Returns:
        float32 [N, 3 + C].
    """
    moved = np.array(points, np.float32, copy=True)
    moved[:, :3] = points[:, :3] @ matrix[:3, :3].T + matrix[:3, 3]
    return moved


def yaw_of(matrix: Matrix) -> float:
    """Heading of a frame's x axis on the x-y plane, radians in (-pi, pi]."""
    return float(np.arctan2(matrix[1, 0], matrix[0, 0]))
