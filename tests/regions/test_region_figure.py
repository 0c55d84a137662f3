"""The figure shows each region in a colour and everything else in grey."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.regions.ids import GROUND, NOISE, REJECTED
from pipeline.reporting.picture import save_figure
from pipeline.reporting.regions import draw_regions


@pytest.mark.parametrize("identity", [0, 7, GROUND, NOISE, REJECTED])
def test_colour_means_region(tmp_path: Path, identity: int) -> None:
    spot = np.random.default_rng(0).uniform(-30, -20, (800, 2)).astype(np.float32)  # left and behind: lower left
    path = tmp_path / "figure.png"
    save_figure(draw_regions(spot, np.full(800, identity, np.int16)), path)
    image = cv2.imread(str(path))
    assert image is not None
    height, width = image.shape[:2]
    corner = image[height // 2 :, : width // 2].astype(int)
    saturated = (corner.max(axis=2) - corner.min(axis=2) > 100).sum()
    assert (saturated > 500) == (identity >= 0)


def test_nothing_to_draw(tmp_path: Path) -> None:
    save_figure(draw_regions(np.empty((0, 3), np.float32), np.empty(0, np.int16)), tmp_path / "empty.png")
    assert (tmp_path / "empty.png").stat().st_size > 0
