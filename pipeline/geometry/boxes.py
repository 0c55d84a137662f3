"""3D boxes as rows of one array."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.transforms import Matrix

# One box a row: centre x y z (m), length width height (m), yaw (rad, x axis to y axis), velocity x y (m/s).
BOX_FIELDS = ("x", "y", "z", "length", "width", "height", "yaw", "vx", "vy")


def transform_boxes(matrix: Matrix, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Moves boxes with a similarity on the x-y plane: rotation, flip, scale, translation.

    Args:
        matrix: `target_from_source`, [4, 4]; its upper-left block may hold a uniform scale and a mirror image.
        boxes: float32 [N, 9] in `BOX_FIELDS` order, source frame.

    Returns:
        float32 [N, 9] in the target frame. A mirror image turns the heading with it.
    """
    moved = boxes.copy()
    linear = matrix[:3, :3]
    scale = float(np.cbrt(abs(np.linalg.det(linear))))
    moved[:, :3] = boxes[:, :3] @ linear.T + matrix[:3, 3]
    moved[:, 3:6] = boxes[:, 3:6] * scale
    heading = np.stack([np.cos(boxes[:, 6]), np.sin(boxes[:, 6])], axis=-1) @ linear[:2, :2].T
    moved[:, 6] = np.arctan2(heading[:, 1], heading[:, 0])
    moved[:, 7:9] = boxes[:, 7:9] @ linear[:2, :2].T
    return moved


def footprint_corners(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Corners on the x-y plane, float32 [N, 4, 2], counter-clockwise from front left, for `boxes` [N, 9]."""
    forward = np.stack([np.cos(boxes[:, 6]), np.sin(boxes[:, 6])], axis=-1) * boxes[:, 3:4] / 2
    left = np.stack([-np.sin(boxes[:, 6]), np.cos(boxes[:, 6])], axis=-1) * boxes[:, 4:5] / 2
    centre = boxes[:, :2]
    return np.stack(
        [centre + forward + left, centre - forward + left, centre - forward - left, centre + forward - left], axis=1
    )


def points_in_box(points: NDArray[np.floating[Any]], box: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of `points` [N, >=3] lie inside one `box` [9] of the same frame; bool [N], borders included."""
    offset = points[:, :3] - box[:3]
    cos, sin = np.cos(box[6]), np.sin(box[6])
    along = offset[:, 0] * cos + offset[:, 1] * sin
    across = -offset[:, 0] * sin + offset[:, 1] * cos
    inside = (np.abs(along) <= box[3] / 2) & (np.abs(across) <= box[4] / 2) & (np.abs(offset[:, 2]) <= box[5] / 2)
    return np.asarray(inside)
