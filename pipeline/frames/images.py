"""Decodes a JPEG at the scale that is needed and warps it to the network input in one step."""

from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.frames.augmentation import ImageAugmentation

# ImageNet statistics of RGB values in 0..1.
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
_GAIN, _SHIFT = 1 / (255 * DEVIATION), -MEAN / DEVIATION


def load_image(
    path: Path, stored: tuple[int, int], augmentation: ImageAugmentation
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Reads one camera image as network input.

    Args:
        path: a JPEG file.
        stored: its width and height in pixels as the index says.
        augmentation: what to do with it.

    Returns:
        pixels: float32 [3, H, W], RGB, ImageNet-normalised; black (before normalisation) outside the image.
        augmented_from_image: float64 [3, 3] on pixel coordinates (u, v, 1) of the stored image.

    Raises:
        UserError: the file is missing, cut off, no JPEG, or not as large as the index says.
    """
    matrix = augmentation.matrix
    divisor = _decoding_divisor(augmentation.resize)
    decoded = decode_jpeg(path, stored, divisor)
    # A decoded pixel is the mean of divisor x divisor stored ones: image = divisor * decoded + (divisor - 1) / 2.
    image_from_decoded = np.diag([divisor, divisor, 1.0])
    image_from_decoded[:2, 2] = (divisor - 1) / 2
    cv2.setNumThreads(0)  # a warp this small is no work for several threads; they only disturb the training's
    warped = cv2.warpAffine(decoded, (matrix @ image_from_decoded)[:2], augmentation.size, flags=cv2.INTER_LINEAR)
    pixels = np.ascontiguousarray((warped * _GAIN + _SHIFT).transpose(2, 0, 1))
    return pixels, matrix


def decode_jpeg(path: Path, stored: tuple[int, int], divisor: int) -> NDArray[np.uint8]:
    """RGB pixels, uint8 [ceil(height / divisor), ceil(width / divisor), 3]; arguments and errors as `load_image`."""
    width, height = -(-stored[0] // divisor), -(-stored[1] // divisor)
    try:
        data = path.read_bytes()
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, "RGB", min_width=width if divisor > 1 else 0, min_height=height if divisor > 1 else 0
        )
    except FileNotFoundError:
        raise UserError("the image is missing", where=str(path), remedy="copy it from the archive again") from None
    except ValueError as error:
        raise UserError(
            f"the image cannot be decoded ({error})", where=str(path), remedy="copy this file again from the archive"
        ) from error
    if pixels.shape[:2] != (height, width):
        raise UserError(
            f"the image decodes to {pixels.shape[1]} x {pixels.shape[0]} pixels, expected {width} x {height}",
            where=str(path),
            remedy="width and height in the table sample_data are wrong, or the image was resized: restore the file",
        )
    return pixels


def _decoding_divisor(resize: float) -> int:
    """libjpeg decodes halves and quarters faster and with less aliasing; at most a fifth is then scaled up again."""
    return max(divisor for divisor in (1, 2, 4, 8) if divisor == 1 or resize * divisor <= 1.2)
