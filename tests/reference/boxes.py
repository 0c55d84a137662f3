"""Which points a box holds, one point after the other."""

from typing import Any

import numpy as np


def members_by_hand(points: Any, lidar_from_box: Any, size: Any) -> list[int]:
    """Rows of `points` inside a box, in the frame of the box; its borders belong to it."""
    box_from_lidar = np.linalg.inv(lidar_from_box)
    inside = []
    for row, point in enumerate(points[:, :3].astype(np.float64)):
        x, y, z, _ = box_from_lidar @ [*point, 1.0]
        if abs(x) <= size[0] / 2 and abs(y) <= size[1] / 2 and abs(z) <= size[2] / 2:
            inside.append(row)
    return inside
