"""One loaded frame as plain arrays: what worker processes send, without importing torch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_REGION = -4  # a point of an earlier sweep: it was never clustered


@dataclass(frozen=True)
class LoadedCameras:
    """The six cameras of a frame in the order of `CAMERA_CHANNELS`.

    Attributes:
        pixels: uint8 [6, 3, H, W], RGB; zero where the frame has no such image.
        augmented_from_image: float64 [6, 3, 3] on pixels (u, v, 1) of the stored image; identity where absent.
        bev_from_image: float64 [6, 4, 4], see `FrameBatch`; identity where absent.
        present: bool [6].
    """

    pixels: NDArray[np.uint8]
    augmented_from_image: NDArray[np.float64]
    bev_from_image: NDArray[np.float64]
    present: NDArray[np.bool_]


@dataclass(frozen=True)
class LoadedFrame:
    """A frame under one augmentation; frames and units as in `FrameBatch`. What was not asked for is None.

    Attributes:
        token: of the sample.
        points: float32 [N, 5].
        bev_from_lidar: float64 [4, 4].
        region_ids: int16 [N].
        cameras: images and their geometry.
        boxes: float32 [K, 9].
        classes: int64 [K].
        map_masks: bool [6, S, S].
    """

    token: str
    points: NDArray[np.float32]
    bev_from_lidar: NDArray[np.float64]
    region_ids: NDArray[np.int16] | None = None
    cameras: LoadedCameras | None = None
    boxes: NDArray[np.float32] | None = None
    classes: NDArray[np.int64] | None = None
    map_masks: NDArray[np.bool_] | None = None
