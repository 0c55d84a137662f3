"""Camera corruptions of weather and light: fog, snow, glaring and low light.

Fog, snow and brightness are those of ImageNet-C (Hendrycks and Dietterich 2019) at the severities that RoboBEV (Xie et
al. 2023) calls easy, moderate and hard; low light is RoboBEV's. Fog and snow know no depth: near and far things are
veiled alike, as in both benchmarks.

Signatures and units as in `pipeline.robustness.camera_sensor`. Fields of noise are drawn on grids of a fixed size that
span the image's width and are then scaled: an image at half the size shows the same flakes and the same banks of fog.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.robustness.motion_kernel import REFERENCE_WIDTH, motion_kernel

Image = NDArray[np.uint8]
Field = NDArray[np.float32]

FOG = ((2.0, 2.0), (2.5, 1.5), (3.0, 1.4))  # thickness, decay of the haze's octaves [ImageNet-C 2, 4, 5]
FOG_WIDTH = 512  # cells of the haze over the width of the image
FOG_OCTAVES = 8  # the finest structure is a 256th of the width
# Mean and deviation of the noise, size of a flake (pixels), threshold, radius and sigma of its trace (pixels), share of
# the image that keeps its light [ImageNet-C 1, 2, 3]
SNOW = ((0.1, 0.3, 3, 0.5, 10, 4, 0.8), (0.2, 0.3, 2, 0.5, 12, 4, 0.7), (0.55, 0.3, 4, 0.9, 12, 8, 0.7))
SNOW_STEP = 2  # pixels; the layer of flakes, which are 2 to 4 large, is made of every second one
SNOW_WIDTH = REFERENCE_WIDTH // SNOW_STEP
SNOW_ANGLES = (np.pi / 4, 3 * np.pi / 4)  # of the traces [ImageNet-C]
BRIGHTNESS = (0.2, 0.4, 0.5)  # added to V of HSV [ImageNet-C 2, 4, 5]
LOW_LIGHT = (0.4, 0.3, 0.2)  # what white becomes [RoboBEV]
LOW_LIGHT_GAMMA = 2  # [RoboBEV]
PHOTONS = (120, 50, 30)  # that a pixel of white counts, before it is dimmed [RoboBEV]
READ_NOISE = (0.018, 0.026, 0.038)  # deviation, of white [RoboBEV]
LEVELS = np.arange(256, dtype=np.float32) / 255


def fog(pixels: Image, severity: int, rng: np.random.Generator) -> Image:
    """A cloudy veil p in 0..1 of thickness t over the image x in 0..1: (x + t p) / (1 + t).

    That is ImageNet-C's formula for an image whose brightest pixel is white.
    """
    thickness, decay = FOG[severity - 1]
    veil = _fit(_fractal_noise(decay, rng), pixels)
    veil *= 255 * thickness / (1 + thickness)
    return np.asarray(cv2.addWeighted(pixels, 1 / (1 + thickness), cv2.merge([veil] * 3), 1, 0, dtype=cv2.CV_8U))


def snow(pixels: Image, severity: int, rng: np.random.Generator) -> Image:
    """Falling flakes with their traces, twice over each other, over an image that lost colour and gained light."""
    mean, deviation, size, threshold, radius, sigma, kept = SNOW[severity - 1]
    rows = _rows(SNOW_WIDTH, pixels)
    cells = [length * SNOW_STEP // size + 2 for length in (rows, SNOW_WIDTH)]
    noise = rng.standard_normal(cells, np.float32) * np.float32(deviation) + np.float32(mean)
    # Sampled between the cells as an enlargement by `size` does: the mean of neighbours passes the threshold less
    # often.
    step, start = SNOW_STEP / size, 0.5 + 0.5 / size
    cell_from_layer = np.array([[step, 0, start], [0, step, start]])
    layer = cv2.warpAffine(noise, cell_from_layer, (SNOW_WIDTH, rows), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    layer = np.where(layer < threshold, np.float32(0), layer.clip(0, 1))
    layer = cv2.filter2D(layer, -1, motion_kernel(radius, sigma, float(rng.uniform(*SNOW_ANGLES)), SNOW_WIDTH))
    flakes = 255 * _fit(layer + layer[::-1, ::-1], pixels)
    grey = cv2.LUT(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), 255 * (1.5 * LEVELS + np.float32(0.5)))
    whitened = cv2.max(pixels.astype(np.float32), cv2.merge([grey] * 3))
    lit = cv2.addWeighted(pixels, kept, whitened, 1 - kept, 0, dtype=cv2.CV_32F)
    return np.asarray(cv2.add(lit, cv2.merge([flakes] * 3), dtype=cv2.CV_8U))


def brightness(pixels: Image, severity: int, rng: np.random.Generator) -> Image:
    """More of V in HSV: hue and saturation stay as they are, what would be more than white is white."""
    value = pixels.max(2)
    brighter = np.minimum(LEVELS + np.float32(BRIGHTNESS[severity - 1]), 1)
    gain = cv2.LUT(value, np.divide(brighter, LEVELS, where=LEVELS > 0, out=np.zeros_like(LEVELS)))
    result = np.asarray(cv2.multiply(pixels, cv2.merge([gain] * 3), dtype=cv2.CV_8U), np.uint8)
    result[value == 0] = round(255 * BRIGHTNESS[severity - 1])  # black has no hue that a factor could keep
    return result


def low_light(pixels: Image, severity: int, rng: np.random.Generator) -> Image:
    """A short exposure: c x^2 of the image x in 0..1, with the noise of few photons and of the amplifier.

    The variance of a pixel's noise is y / photons + read^2 (Foi et al. 2008, "Practical Poissonian-Gaussian noise
    modeling and fitting"), with one normal number for both; narrower images average over the pixels of a wide one.
    """
    dark = np.float32(LOW_LIGHT[severity - 1]) * LEVELS**LOW_LIGHT_GAMMA
    averaged = pixels.shape[1] / REFERENCE_WIDTH
    deviation = np.sqrt(dark / PHOTONS[severity - 1] + READ_NOISE[severity - 1] ** 2) * np.float32(averaged)
    noise = rng.standard_normal(pixels.shape, np.float32)
    noise *= cv2.LUT(pixels, 255 * deviation)
    return np.asarray(cv2.add(cv2.LUT(pixels, 255 * dark), noise, dtype=cv2.CV_8U))


def _fractal_noise(decay: float, rng: np.random.Generator) -> Field:
    """Sum of octaves of smooth noise, each half as large and 1 / `decay` as strong as the one before; 0 to 1.

    Stands for the plasma of ImageNet-C (midpoint displacement after Fournier, Fussell and Carpenter 1982).

    Returns:
        float32 [FOG_WIDTH, FOG_WIDTH].
    """
    total = np.zeros((FOG_WIDTH, FOG_WIDTH), np.float32)
    for octave in range(1, FOG_OCTAVES + 1):
        corners = rng.uniform(-1, 1, (2**octave + 1, 2**octave + 1)).astype(np.float32)
        total += cv2.resize(corners, total.shape, interpolation=cv2.INTER_CUBIC) * np.float32(decay**-octave)
    low, high = total.min(), total.max()
    return np.asarray((total - low) / (high - low))


def _rows(width: int, pixels: Image) -> int:
    """Rows of a field that is `width` wide and has the shape of the image."""
    return int(np.ceil(width * pixels.shape[0] / pixels.shape[1]))


def _fit(field: Field, pixels: Image) -> Field:
    """The upper rows of a field, scaled to the image: float32 [h, w]."""
    height, width = pixels.shape[:2]
    part = field[: _rows(field.shape[1], pixels)]
    method = cv2.INTER_AREA if width < field.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (width, height), interpolation=method))
