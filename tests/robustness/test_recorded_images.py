"""The camera corruptions on the six recorded images of one key frame."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.frames.images import decode_jpeg
from pipeline.robustness.corruption import CAMERA_CORRUPTIONS, SEVERITIES
from tests.robustness.pictures import halved


def blur_of(clean: NDArray[np.uint8], result: NDArray[np.uint8]) -> float:
    edges = [np.mean([cv2.Laplacian(image, cv2.CV_32F).std() for image in images]) for images in (clean, result)]
    return 1 - float(edges[1] / edges[0])


def brighter(clean: NDArray[np.uint8], result: NDArray[np.uint8]) -> float:
    return float(result.mean() - clean.mean())


def darker(clean: NDArray[np.uint8], result: NDArray[np.uint8]) -> float:
    return -brighter(clean, result)


def differs(clean: NDArray[np.uint8], result: NDArray[np.uint8]) -> float:
    return float(cv2.absdiff(clean.reshape(-1, 3), result.reshape(-1, 3)).mean())


def black_share(clean: NDArray[np.uint8], result: NDArray[np.uint8]) -> float:
    return float((result.reshape(6, -1).max(1) == 0).mean())


STRENGTH = {
    "camera_crash": black_share, "frame_lost": black_share, "motion_blur": blur_of, "colour_quantisation": differs,
    "brightness": brighter, "low_light": darker, "fog": blur_of, "snow": brighter,
}  # fmt: skip
LEAST = {
    "camera_crash": 0.9, "frame_lost": 0.1, "motion_blur": 0.3, "colour_quantisation": 5.0, "brightness": 35.0,
    "low_light": 50.0, "fog": 0.6, "snow": 20.0,
}  # fmt: skip


@pytest.mark.real_data
def test_recorded_images() -> None:
    """Six cameras: darker and brighter as they should, grey where colours go, and the same at half the size."""
    root = Path(os.environ.get("CALICO_REAL_DATA", Path(__file__).parents[3] / "shared" / "data" / "nuscenes"))
    files = sorted(root.glob("samples/CAM_*/*.jpg"))
    if not files:
        pytest.skip(f"no recorded images at {root}; set CALICO_REAL_DATA to a nuScenes root")
    images = [decode_jpeg(file, (1600, 900), 2) for file in files]
    assert len(images) == 6
    for name, corrupt in CAMERA_CORRUPTIONS.items():
        strength = []
        for severity in SEVERITIES:
            results = [corrupt(image, severity, np.random.default_rng(c)) for c, image in enumerate(images)]
            small = [corrupt(halved(image), severity, np.random.default_rng(c)) for c, image in enumerate(images)]
            for image, result, half in zip(images, results, small, strict=True):
                assert result.shape == image.shape and result.dtype == np.uint8
                assert abs(result.mean() - half.mean()) < 2.5, (name, severity)
            strength.append(STRENGTH[name](np.stack(images), np.stack(results)))
        assert strength == sorted(strength), (name, strength)
        assert strength[0] > LEAST[name], (name, strength)
