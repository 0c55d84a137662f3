"""The figure of objects: green where a region holds one, red where none does, grey where nothing is asked."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.frames.box_labels import BoxLabels
from pipeline.geometry.transforms import rotation_about_z
from pipeline.regions.ids import GROUND, NOISE, REJECTED
from pipeline.reporting.figures.picture import save_figure
from pipeline.reporting.figures.region_objects import FAINT_COLOUR, MISSED_COLOUR, RECALLED_COLOUR, draw_objects


def box_at(x: float, y: float, yaw: float = 0.0, length: float = 12.0, width: float = 8.0) -> BoxLabels:
    matrix = rotation_about_z(yaw)
    matrix[:2, 3] = x, y
    return BoxLabels(("vehicle.car",), matrix[None], np.array([[length, width, 4.0]]))


def outline(path: Path, colour: str) -> NDArray[np.float64]:
    """[n, 2], x to the right and y ahead in pixels from the middle, of the pixels in a colour outside the legend."""
    image = cv2.imread(str(path))
    assert image is not None
    wanted = np.array([int(colour[at : at + 2], 16) for at in (5, 3, 1)])
    height, width = image.shape[:2]
    rows, columns = np.nonzero(np.abs(image.astype(np.int64) - wanted).max(axis=2) <= 12)
    # The legend lies above, the words of the axes to the left and below.
    inside = (rows > height * 0.25) & (rows < height * 0.88) & (columns > width * 0.12)
    places: NDArray[np.float64] = np.stack([columns[inside] - width / 2, height / 2 - rows[inside]], axis=1)
    away: NDArray[np.bool_] = np.abs(places).max(axis=1) > 70
    return places[away]  # the own car is drawn in the middle


@pytest.mark.parametrize(
    ("ids", "colour"),
    [
        ([4] * 6 + [NOISE] * 5, RECALLED_COLOUR),
        ([4] * 5 + [5] * 5, MISSED_COLOUR),
        ([GROUND] * 8, MISSED_COLOUR),
        ([REJECTED] * 8, MISSED_COLOUR),
        ([4] * 4, FAINT_COLOUR),
        ([], FAINT_COLOUR),
    ],
)
def test_colour_says_what_became_of_an_object(tmp_path: Path, ids: list[int], colour: str) -> None:
    points = np.zeros((len(ids), 3), np.float32) + np.array([-25, -20, 0], np.float32)
    save_figure(draw_objects(points, np.array(ids, np.int16), box_at(-25, -20)), tmp_path / "figure.png")
    for other in (RECALLED_COLOUR, MISSED_COLOUR, FAINT_COLOUR):
        assert (len(outline(tmp_path / "figure.png", other)) > 150) == (other == colour), other


def test_outlines_lie_where_the_boxes_are(tmp_path: Path) -> None:
    """x to the right, y upwards; the length along the box's own x."""
    nothing = np.empty((0, 3), np.float32), np.empty(0, np.int16)
    path = tmp_path / "figure.png"
    save_figure(draw_objects(*nothing, box_at(25, -25, length=20, width=4)), path)
    along = outline(path, FAINT_COLOUR)
    save_figure(draw_objects(*nothing, box_at(25, -25, yaw=np.pi / 2, length=20, width=4)), path)
    across = outline(path, FAINT_COLOUR)
    for found in (along, across):
        right, ahead = found.mean(axis=0)
        assert right > 100 and ahead < -100
    assert np.ptp(along[:, 0]) > 3 * np.ptp(along[:, 1])
    assert np.ptp(across[:, 1]) > 3 * np.ptp(across[:, 0])
    save_figure(draw_objects(*nothing, box_at(-25, 10, length=20, width=4)), path)
    assert outline(path, FAINT_COLOUR).mean(axis=0)[0] < -100


def test_points_in_regions_are_darker(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(-45, -5, (3000, 3)).astype(np.float32)
    none = BoxLabels((), np.empty((0, 4, 4)), np.empty((0, 3)))
    darkness = []
    for identity in (3, NOISE):
        save_figure(draw_objects(points, np.full(3000, identity, np.int16), none), tmp_path / "figure.png")
        image = cv2.imread(str(tmp_path / "figure.png"))
        assert image is not None
        height, width = image.shape[:2]
        darkness.append(int((image[height // 2 :, : width // 2].max(axis=2) < 140).sum()))
    assert darkness[0] > darkness[1] + 2000


def test_equal_figures_are_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        figure = draw_objects(np.ones((9, 3), np.float32), np.zeros(9, np.int16), box_at(1, 1))
        save_figure(figure, tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
