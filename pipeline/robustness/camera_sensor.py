"""Camera corruptions of the sensor: lost images, motion blur, few colours.

Types and strengths are those of RoboBEV (Xie et al. 2023, "RoboBEV: Towards Robust Bird's Eye View Perception under
Corruptions"): its levels easy, moderate and hard are severities 1 to 3 here. Blur is that of ImageNet-C (Hendrycks and
Dietterich 2019, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations") at its severities 2,
4, 5.

Every function takes an image uint8 [h, w, 3] (RGB, any size), a severity (1..3) and random numbers, and returns uint8
[h, w, 3]. Lengths in pixels are those of an image 1600 wide and follow w.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.frames.frame import CAMERA_CHANNELS
from pipeline.robustness.motion_kernel import motion_kernel

Image = NDArray[np.uint8]

CRASHED = (2, 4, 5)  # cameras of six [RoboBEV; it draws with replacement, here they are distinct]
LOST = (2 / 6, 4 / 6, 5 / 6)  # probability of each image [RoboBEV]
BLUR = ((15, 5), (15, 12), (20, 15))  # radius, sigma: pixels of 1600 [ImageNet-C 2, 4, 5, as RoboBEV uses them]
BLUR_ANGLE = np.pi / 4  # at most, to either side of horizontal [ImageNet-C]
BITS = (4, 3, 2)  # a colour channel [RoboBEV]


def crashed_cameras(severity: int, rng: np.random.Generator) -> set[str]:
    """Channels whose images are black."""
    return set(rng.permutation(CAMERA_CHANNELS)[: CRASHED[severity - 1]].tolist())


def camera_crash(pixels: Image, severity: int, rng: np.random.Generator) -> Image:
    """A black image; which cameras crash, `crashed_cameras` says."""
    return np.zeros_like(pixels)


def frame_lost(pixels: Image, severity: int, rng: np.random.Generator) -> Image:
    """A black image with the probability `LOST`, else the image."""
    return np.zeros_like(pixels) if rng.random() < LOST[severity - 1] else pixels


def motion_blur(pixels: Image, severity: int, rng: np.random.Generator) -> Image:
    """The whole image is smeared along a line, mostly sideways: a turning or shaking car."""
    radius, sigma = BLUR[severity - 1]
    angle = float(rng.uniform(-BLUR_ANGLE, BLUR_ANGLE))
    kernel = motion_kernel(radius, sigma, angle, pixels.shape[1])
    return np.asarray(cv2.filter2D(pixels, -1, kernel, borderType=cv2.BORDER_REFLECT_101))


def colour_quantisation(pixels: Image, severity: int, rng: np.random.Generator) -> Image:
    """Only the first `BITS` of every colour are left: 16, 8 or 4 levels."""
    return pixels & np.uint8(256 - (256 >> BITS[severity - 1]))
