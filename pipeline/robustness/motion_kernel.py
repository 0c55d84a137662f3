"""The trace that a moving point of light leaves in an image, as a convolution kernel."""

import numpy as np
from numpy.typing import NDArray

REFERENCE_WIDTH = 1600  # pixels; the width at which lengths in pixels are given: nuScenes' images, RoboBEV's


def motion_kernel(radius: float, sigma: float, angle: float, width: int) -> NDArray[np.float32]:
    """Half a Gaussian along a straight line, as ImageMagick's motion blur, which ImageNet-C uses.

    Args:
        radius: the line is 2 `radius` long; pixels of an image `REFERENCE_WIDTH` wide, likewise `sigma`.
        sigma: deviation of the whole Gaussian.
        angle: radians, of the line against the image's rows.
        width: of the image, pixels.

    Returns:
        float32 [2 R + 1, 2 R + 1], sums to 1; the line starts in its middle.
    """
    length, deviation = (value * width / REFERENCE_WIDTH for value in (2 * radius, sigma))
    length = min(length, 4 * deviation)  # what follows is less than a thousandth
    samples = int(2 * length) + 2
    along = (np.arange(samples) + 0.5) * length / samples
    weights = np.exp(-(along**2) / (2 * deviation**2))
    reach = int(np.ceil(length)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    column, row = reach + along * np.cos(angle), reach + along * np.sin(angle)
    left, top = np.floor(column).astype(int), np.floor(row).astype(int)
    right_share, lower_share = column - left, row - top
    for down, vertical in ((0, 1 - lower_share), (1, lower_share)):  # every sample to its four nearest cells
        for aside, horizontal in ((0, 1 - right_share), (1, right_share)):
            np.add.at(kernel, (top + down, left + aside), weights * vertical * horizontal)
    return np.asarray(kernel / kernel.sum(), np.float32)
