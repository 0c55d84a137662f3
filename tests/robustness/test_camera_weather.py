"""Effect sizes of fog, snow and light against the numbers of ImageNet-C and RoboBEV; alike at every size."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.robustness.camera_weather import brightness, fog, low_light, snow
from tests.robustness.pictures import halved, picture

Image = NDArray[np.uint8]
IMAGE = picture(800, 450)
BLACK, WHITE = np.zeros_like(IMAGE), np.full_like(IMAGE, 255)
SEVERITIES = (1, 2, 3)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("severity", "thickness"), [(1, 2.0), (2, 2.5), (3, 3.0)])
def test_fog_divides_the_contrast_by_one_and_its_thickness(severity: int, thickness: float) -> None:
    veil = fog(BLACK, severity, rng()).astype(float)
    np.testing.assert_allclose(fog(IMAGE, severity, rng()), IMAGE / (1 + thickness) + veil, atol=1.01)
    np.testing.assert_allclose(fog(WHITE, severity, rng()), 255 / (1 + thickness) + veil, atol=1.01)
    whole = fog(np.zeros((512, 512, 3), np.uint8), severity, rng())  # as large as the field: its full range is seen
    assert whole.min() == 0
    assert whole.max() == pytest.approx(255 * thickness / (1 + thickness), abs=0.6)
    assert 0.3 < whole.mean() / whole.max() < 0.7
    assert (veil == veil[..., :1]).all()  # grey


def test_thicker_fog_is_more_ragged() -> None:
    """A slower decay of the octaves leaves more of the fine ones: 2, 1.5, 1.4."""
    ragged = []
    for severity in SEVERITIES:
        veils = [fog(BLACK, severity, rng(seed))[..., 0].astype(float) for seed in range(4)]
        ragged.append(np.mean([np.abs(np.diff(veil, axis=1)).mean() / veil.std() for veil in veils]))
    assert ragged[0] < 0.5 * ragged[1]
    assert ragged[1] < ragged[2]


@pytest.mark.parametrize(
    ("severity", "numbers"), [(1, (0.1, 0.3, 3, 0.5, 0.8)), (2, (0.2, 0.3, 2, 0.5, 0.7)), (3, (0.55, 0.3, 4, 0.9, 0.7))]
)
def test_flakes_give_the_light_of_imagenet_c(severity: int, numbers: tuple[float, float, int, float, float]) -> None:
    """Against ImageNet-C's recipe at full size: noise, enlarged, then a threshold."""
    mean, deviation, size, threshold, kept = numbers
    noise = rng(1).normal(mean, deviation, (900 // size, 1600 // size))
    layer = cv2.resize(noise, (1600, 900), interpolation=cv2.INTER_LINEAR)
    light = np.where(layer < threshold, 0, layer.clip(0, 1)).mean()
    on_black = snow(BLACK, severity, rng()).astype(float)
    ground = 255 * (1 - kept) * 0.5  # of black, the grey lift 1.5 g + 0.5 by its share
    assert on_black.min() == pytest.approx(ground, abs=0.6)
    # Traces of two layers that lie over each other stay below white on black.
    assert on_black.mean() - ground == pytest.approx(255 * 2 * light, rel=0.2)
    assert (snow(WHITE, severity, rng()) == 255).all()


def test_snow_falls_and_takes_colour() -> None:
    flakes = snow(BLACK, 3, rng())[..., 0].astype(float)
    assert np.abs(np.diff(flakes, axis=1)).mean() > 1.3 * np.abs(np.diff(flakes, axis=0)).mean()  # traces are steep
    lights, colours = [], []
    for severity in SEVERITIES:
        result = snow(IMAGE, severity, rng()).astype(float)
        lights.append(snow(BLACK, severity, rng()).mean())
        colours.append((result.max(2) - result.min(2)).mean())
    assert lights == sorted(lights)
    assert IMAGE.max(2).mean() - IMAGE.min(2).mean() > colours[0] > colours[1]


@pytest.mark.parametrize(("severity", "more"), [(1, 0.2), (2, 0.4), (3, 0.5)])
def test_brightness_adds_to_the_value_and_keeps_hue_and_saturation(severity: int, more: float) -> None:
    result = brightness(IMAGE, severity, rng()).astype(float)
    value = IMAGE.max(2).astype(float)
    np.testing.assert_allclose(result.max(2), np.minimum(value + 255 * more, 255), atol=0.51)
    lit = value > 40
    shares, before = result[lit] / result[lit].max(1, keepdims=True), IMAGE[lit] / value[lit][:, None]
    np.testing.assert_allclose(shares, before, atol=0.01)
    assert (brightness(BLACK, severity, rng()) == round(255 * more)).all()


@pytest.mark.parametrize(
    ("severity", "white", "photons", "read"), [(1, 0.4, 120, 0.018), (2, 0.3, 50, 0.026), (3, 0.2, 30, 0.038)]
)
def test_low_light_has_the_mean_and_noise_of_its_photons(
    severity: int, white: float, photons: float, read: float
) -> None:
    for level in (255, 230):
        grey = np.full((225, 1600, 3), level, np.uint8)
        dark = white * (level / 255) ** 2
        deviation = np.sqrt(dark / photons + read**2)
        result = low_light(grey, severity, rng()) / 255
        assert result.mean() == pytest.approx(dark, rel=0.03)
        assert result.std() == pytest.approx(deviation, rel=0.05)
        assert low_light(halved(grey), severity, rng()).std() / 255 == pytest.approx(deviation / 2, rel=0.03)
    assert low_light(BLACK, severity, rng()).mean() / 255 == pytest.approx(read / 2 / np.sqrt(2 * np.pi), rel=0.05)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize(("corrupt", "apart"), [(fog, 1.0), (snow, 3.0), (brightness, 1.0), (low_light, 2.5)])
def test_half_the_size_shows_the_same(
    corrupt: Callable[[Image, int, np.random.Generator], Image], apart: float, severity: int
) -> None:
    """The same banks of fog and flakes at the same places; noise of single pixels is averaged out before comparing.

    Where it is dark, noise lifts large images more: black is the least that a pixel can say.
    """
    image = picture(1600, 900)
    half, whole = corrupt(halved(image), severity, rng()), corrupt(image, severity, rng())
    small, reduced = (
        cv2.resize(result, (160, 90), interpolation=cv2.INTER_AREA).astype(float) for result in (half, whole)
    )
    assert np.abs(small - reduced).mean() < apart
    assert half.std() == pytest.approx(halved(whole).std(), rel=0.08)
