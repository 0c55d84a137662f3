"""Decodes a JPEG at the scale that is needed and warps it to the network input in one step."""

from collections.abc import Callable
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


def load_image(
    path: Path,
    stored: tuple[int, int],
    augmentation: ImageAugmentation,
    out: NDArray[np.uint8] | None = None,
    disturb: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None,
) -> NDArray[np.uint8]:
    """Reads one camera image at the size and under the view of the network input.

    Args:
        path: a JPEG file.
        stored: its width and height in pixels as the index says.
        augmentation: what to do with it; its `matrix` says where each pixel goes.
        out: uint8 [3, H, W], contiguous, to write to instead of a new array.
        disturb: takes the decoded image, uint8 [h, w, 3], and returns what to load instead; see `Disturbance.image`.

    Returns:
        uint8 [3, H, W], RGB; black outside the image. Normalised where the batch is made, on its device.

    Raises:
        UserError: the file is missing, cut off, no JPEG, or not as large as the index says.
    """
    divisor = _decoding_divisor(augmentation.resize)
    decoded = decode_jpeg(path, stored, divisor)
    if disturb is not None:
        decoded = np.ascontiguousarray(disturb(decoded))
    # A decoded pixel is the mean of divisor x divisor stored ones: image = divisor * decoded + (divisor - 1) / 2.
    image_from_decoded = np.diag([divisor, divisor, 1.0])
    image_from_decoded[:2, 2] = (divisor - 1) / 2
    augmented_from_decoded = augmentation.matrix @ image_from_decoded
    cv2.setNumThreads(0)  # a warp this small is no work for several threads; they only disturb the training's
    warped = cv2.warpAffine(decoded, augmented_from_decoded[:2], augmentation.size, flags=cv2.INTER_LINEAR)
    pixels = np.empty((3, *warped.shape[:2]), np.uint8) if out is None else out
    cv2.split(warped, list(pixels))
    return pixels


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
