from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.frames.augmentation import ImageAugmentation
from pipeline.frames.images import load_image

SIZE = (400, 225)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A smooth blob at (240, 150), red."""
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    blob = 255 * np.exp(-((columns - 240) ** 2 + (rows - 150) ** 2) / (2 * 6.0**2))
    bgr = np.stack([np.zeros_like(blob), np.zeros_like(blob), blob], axis=-1).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "blob.jpg"), bgr, [cv2.IMWRITE_JPEG_QUALITY, 98])
    return tmp_path / "blob.jpg"


@pytest.mark.parametrize("resize", [0.24, 0.42, 0.55, 0.8, 1.0])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("rotation", [0.0, 0.09])
def test_pixels_follow_the_matrix(picture: Path, resize: float, flip: bool, rotation: float) -> None:
    crop = (int(240 * resize) - 80, int(150 * resize) - 30)
    augmentation = ImageAugmentation(resize, crop, (176, 64), flip, rotation)
    pixels = load_image(picture, SIZE, augmentation)
    assert pixels.shape == (3, 64, 176)
    assert pixels.dtype == np.uint8
    red = pixels[0] / 255
    assert 0.75 < red.max() < 1.05
    red = np.where(red > 0.15, red, 0)
    rows, columns = np.mgrid[:64, :176]
    centre = [(red * columns).sum() / red.sum(), (red * rows).sum() / red.sum()]
    np.testing.assert_allclose(centre, (augmentation.matrix @ [240, 150, 1])[:2], atol=0.15)


def test_channels_are_rgb(picture: Path) -> None:
    red, green, blue = load_image(picture, SIZE, ImageAugmentation(1.0, (152, 118), (176, 64)))
    assert red.max() > 240
    assert max(green.max(), blue.max()) < 30


@pytest.mark.parametrize("keep", [0, 40, 1500])
def test_cut_off_image_names_the_file(picture: Path, keep: int) -> None:
    picture.write_bytes(picture.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"(?s)cannot be decoded.*blob\.jpg.*copy this file again"):
        load_image(picture, SIZE, ImageAugmentation(0.5, (0, 0), (176, 64)))


def test_missing_image(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.jpg"):
        load_image(tmp_path / "gone.jpg", SIZE, ImageAugmentation(0.5, (0, 0), (176, 64)))


@pytest.mark.parametrize("resize", [0.5, 1.0])
def test_image_of_another_size(picture: Path, resize: float) -> None:
    with pytest.raises(UserError, match=r"(?s)400|200.*blob\.jpg.*sample_data"):
        load_image(picture, (1600, 900), ImageAugmentation(resize, (0, 0), (176, 64)))
