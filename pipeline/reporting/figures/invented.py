"""Which points a disturbance made."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

ELSEWHERE = 0.5  # metres from every point of the undisturbed sweep
COLOUR = "#ff5040"


def find_invented(clean: cKDTree, points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Bool [N]: the points [N, >= 3], metres, that lie `ELSEWHERE`.

    Args:
        clean: of the undisturbed sweep, x y z.
        points: of the disturbed one.
    """
    return np.asarray(clean.query(points[:, :3], distance_upper_bound=ELSEWHERE)[0] > ELSEWHERE)
