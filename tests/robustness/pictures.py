"""A street in a few strokes: all colours and sizes of detail, without any recorded data."""

import cv2
import numpy as np
from numpy.typing import NDArray


def picture(width: int = 1600, height: int = 900) -> NDArray[np.uint8]:
    """uint8 [height, width, 3]: blocks of colour over a slope of grey, from black to white, slightly blurred."""
    rng = np.random.default_rng(5)
    slope = np.linspace(0, 255, width)[None, :, None] * np.linspace(1, 0.2, height)[:, None, None]
    pixels = np.repeat(slope, 3, axis=2)
    for _ in range(60):
        left, top = rng.uniform(0, 1, 2) * (width, height)
        across, down = rng.uniform(0.01, 0.15, 2) * width
        pixels[int(top) : int(top + down), int(left) : int(left + across)] = rng.uniform(0, 255, 3)
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), width / 800).round(), np.uint8)


def halved(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What a JPEG decoder makes of it at half scale: means of 2 x 2 pixels."""
    height, width = pixels.shape[:2]
    return np.asarray(cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.uint8)
