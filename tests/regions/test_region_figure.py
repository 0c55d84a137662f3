"""The figure shows each region in a colour and everything else in grey."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.regions.counts import REASONS
from pipeline.regions.ids import GROUND, NOISE, REJECTED
from pipeline.regions.rejections import Rejection
from pipeline.reporting.figures.picture import save_figure
from pipeline.reporting.figures.regions import REASON_COLOURS, draw_regions


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


def test_rejected_clusters_are_outlined_in_the_colour_of_their_reason(tmp_path: Path) -> None:
    nothing = np.empty((0, 3), np.float32), np.empty(0, np.int16)
    square = np.array([[-30, -30], [-20, -30], [-20, -20], [-30, -20]], np.float64)
    outside = Rejection(square + 200, 90, ("small",))
    figure = draw_regions(*nothing, rejections=[Rejection(square, 90, ("large", "thin")), outside])
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert entries[-1] == "rejected: large (1)" and not any("small" in entry for entry in entries)
    assert [note.get_text() for note in figure.axes[0].texts] == ["large, thin"]
    path = tmp_path / "figure.png"
    save_figure(figure, path)
    image = cv2.imread(str(path))
    assert image is not None
    wanted = [int(REASON_COLOURS["large"][at : at + 2], 16) for at in (5, 3, 1)]
    rows, columns = np.nonzero(np.abs(image.astype(int) - wanted).max(axis=2) < 12)
    height = image.shape[0]
    inside = (rows > height * 0.5) & (columns < height * 0.5)  # left and behind: lower left
    assert np.ptp(rows[inside]) > 60 and np.ptp(columns[inside]) > 60


def test_every_reason_has_a_colour() -> None:
    assert set(REASON_COLOURS) == set(REASONS)
    assert len(set(REASON_COLOURS.values())) == len(REASONS)
