"""Effect sizes of lost images, blur and few colours against RoboBEV's numbers."""

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.frames.frame import CAMERA_CHANNELS
from pipeline.robustness.camera_sensor import (
    camera_crash,
    colour_quantisation,
    crashed_cameras,
    frame_lost,
    motion_blur,
)
from tests.robustness.pictures import picture

SEVERITIES = (1, 2, 3)


@pytest.mark.parametrize(("severity", "count"), [(1, 2), (2, 4), (3, 5)])
def test_so_many_cameras_crash_and_every_camera_as_often(severity: int, count: int) -> None:
    draws = [crashed_cameras(severity, np.random.default_rng(seed)) for seed in range(600)]
    assert {len(crashed) for crashed in draws} == {count}
    often = Counter(channel for crashed in draws for channel in crashed)
    assert set(often) == set(CAMERA_CHANNELS)
    assert max(abs(n - 600 * count / 6) for n in often.values()) < 4 * np.sqrt(600 / 4)
    assert not camera_crash(picture(160, 90), severity, np.random.default_rng(0)).any()


@pytest.mark.parametrize(("severity", "share"), [(1, 2 / 6), (2, 4 / 6), (3, 5 / 6)])
def test_share_of_lost_frames(severity: int, share: float) -> None:
    image = picture(160, 90)
    results = [frame_lost(image, severity, np.random.default_rng(seed)) for seed in range(900)]
    lost = sum(not result.any() for result in results)
    assert abs(lost / 900 - share) < 4 * np.sqrt(share * (1 - share) / 900)
    assert all(np.array_equal(result, image) for result in results if result.any())


@pytest.mark.parametrize(("severity", "levels"), [(1, 16), (2, 8), (3, 4)])
def test_number_of_colours(severity: int, levels: int) -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    result = colour_quantisation(ramp, severity, np.random.default_rng(0))
    assert len(np.unique(result)) == levels
    assert result[0, 0, 0] == 0
    error = ramp.astype(int) - result
    assert (error.min(), error.max()) == (0, 256 // levels - 1)


def spread(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variances along and across the main direction of the light, pixels^2, and that direction."""
    light = pixels[..., 0].astype(np.float64)
    rows, columns = np.nonzero(light)
    covariance = np.cov(np.stack([columns, rows]), aweights=light[rows, columns])
    values, vectors = np.linalg.eigh(covariance)
    return values, vectors[:, 1]


@pytest.mark.parametrize("width", [1600, 800, 400])
@pytest.mark.parametrize(("severity", "radius", "sigma"), [(1, 15, 5), (2, 15, 12), (3, 20, 15)])
def test_a_lamp_is_smeared_as_far_as_half_a_gaussian(width: int, severity: int, radius: float, sigma: float) -> None:
    lamp = np.zeros((200, 300, 3), np.uint8)
    side = 24 * width // 1600
    lamp[90 : 90 + side, 140 : 140 + side] = 255
    image = np.zeros((200, width, 3), np.uint8)
    image[:, 50:350] = lamp
    clean, _ = spread(image)
    # The kernel's own variance, in pixels of an image 1600 wide: exp(-s^2 / 2 sigma^2) on 0..2 radius.
    along = np.linspace(0, 2 * radius, 2000)
    weights = np.exp(-(along**2) / (2 * sigma**2))
    mean = np.average(along, weights=weights)
    expected = np.average((along - mean) ** 2, weights=weights) * (width / 1600) ** 2
    angles = []
    for seed in range(6):
        (across, longest), direction = spread(motion_blur(image, severity, np.random.default_rng(seed)))
        blur = 1 / 6  # of lines drawn between pixels: the variance of two of them, on average
        assert longest - clean[1] == pytest.approx(expected + blur, rel=0.03, abs=0.15)
        assert across - clean[0] == pytest.approx(blur, abs=0.2)
        angles.append(np.arctan(direction[1] / direction[0]))
    assert max(np.abs(angles)) < np.pi / 4 + 0.05
    assert np.std(angles) > 0.1


def test_blur_keeps_the_light_and_nothing_but_blurs() -> None:
    flat = np.full((90, 160, 3), 77, np.uint8)
    assert (motion_blur(flat, 3, np.random.default_rng(0)) == 77).all()
    image = picture(800, 450)
    detail = [
        np.abs(np.diff(motion_blur(image, severity, np.random.default_rng(1)).astype(int), axis=1)).mean()
        for severity in SEVERITIES
    ]
    assert np.abs(np.diff(image.astype(int), axis=1)).mean() > detail[0] > detail[1] > detail[2] > 0
