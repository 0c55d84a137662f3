"""What surfaces look like to the LiDAR and to the cameras."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Material(IntEnum):
    """Ground surfaces first (they are the values of the surface raster), then what objects are made of."""

    GRASS = 0
    WALKWAY = 1
    ROAD = 2
    CARPARK = 3
    WHITE_PAINT = 4
    YELLOW_PAINT = 5
    KERB = 6
    BODY = 7
    GLASS = 8
    RUBBER = 9
    METAL = 10
    CLOTH = 11
    PLASTIC = 12
    FACADE = 13
    CONCRETE = 14
    BARK = 15
    FOLIAGE = 16
    REFLECTOR = 17


# Surfaces that lie a kerb's height above the carriageway.
RAISED = np.zeros(len(Material), np.bool_)
RAISED[[Material.GRASS, Material.WALKWAY]] = True

# Share of 905 nm light sent back at normal incidence, of the order of the intensities in recorded nuScenes sweeps.
REFLECTIVITY: NDArray[np.float32] = np.array(
    [0.22, 0.16, 0.08, 0.09, 0.45, 0.30, 0.18, 0.35, 0.08, 0.05, 0.30, 0.25, 0.35, 0.22, 0.20, 0.14, 0.24, 0.95],
    np.float32,
)

# Share of rays that come back at all when everything else is favourable; glass mostly passes light on.
RETURN_RATE: NDArray[np.float32] = np.array(
    [0.97, 1, 0.97, 0.97, 1, 1, 1, 0.95, 0.35, 0.80, 0.97, 1, 1, 0.97, 1, 1, 0.80, 1], np.float32
)

# Colours of the ground surfaces, RGB 0..1; objects carry a colour per triangle.
GROUND_COLOUR: NDArray[np.float32] = np.array(
    [
        [0.27, 0.36, 0.17], [0.56, 0.54, 0.51], [0.26, 0.26, 0.28], [0.34, 0.33, 0.33],
        [0.83, 0.83, 0.81], [0.80, 0.66, 0.22], [0.66, 0.65, 0.62],
    ],
    np.float32,
)  # fmt: skip

# nuScenes-lidarseg / panoptic category indices of what is no annotated object.
SEMANTIC_ROAD, SEMANTIC_WALKWAY, SEMANTIC_TERRAIN = 24, 26, 27
SEMANTIC_MANMADE, SEMANTIC_OTHER, SEMANTIC_VEGETATION = 28, 29, 30
GROUND_SEMANTIC: NDArray[np.uint8] = np.array([27, 26, 24, 24, 24, 24, 26], np.uint8)
