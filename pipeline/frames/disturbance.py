"""What can go wrong between the world and a model: the door through which corruptions and spoofed points come in."""

import numpy as np
from numpy.typing import NDArray

from pipeline.frames.frame import Camera, Frame


class Disturbance:
    """Changes what the sensors of a frame say; a function of the frame alone: batches and processes change nothing.

    This one changes nothing; others override what they strike. They may write to the arrays that they are given.
    """

    def sweep(self, frame: Frame, lag: float, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Changes one sweep, before the own car is cut out and before ego motion is compensated.

        Args:
            frame: the key frame that the sweep is loaded for.
            lag: seconds before the key frame; 0 is the key frame's own sweep.
            points: float32 [N, 5]: x, y, z (m, frame of this sweep: x right, y forward, z up), intensity (0..1), ring.

        Returns:
            float32 [M, 5].
        """
        return points

    def camera(self, frame: Frame, camera: Camera) -> Camera:
        """Changes what the model believes of a camera, or which file its image comes from."""
        return camera

    def image(self, frame: Frame, camera: Camera, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Changes an image before it is resized to the network input.

        Args:
            frame: the key frame.
            camera: as the dataset has it; `size` is that of the stored image.
            pixels: uint8 [h, w, 3], RGB; the whole image, at 1, 1/2, 1/4 or 1/8 of the stored size. What is measured in
                pixels has to follow w, so that an effect is the same at every size.

        Returns:
            uint8 [h, w, 3].
        """
        return pixels
