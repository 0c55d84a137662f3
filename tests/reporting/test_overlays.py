"""Predicted boxes in the colour of their class, true ones white, in the images."""

from pathlib import Path

import cv2
import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from pipeline.evaluation.detection import ScoredBoxes
from pipeline.frames.frame import Camera, Frame
from pipeline.frames.labels import DETECTION_CLASSES
from pipeline.reporting.figures.bev import CLASS_COLOURS, SHOWN_SCORE
from pipeline.reporting.figures.overlays import draw_overlays
from pipeline.reporting.figures.picture import save_picture

# As in test_projection: it looks forward from the LiDAR's place.
LOOKING_FORWARD = np.array([[100.0, 80.0, 0, 0], [0, 60.0, -100.0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]])
BOX = np.array([[0, 10, 0, 2, 2, 2, 0.0, 0, 0]], np.float32)
NONE = np.zeros((0, 9), np.float32)


def draw(folder: Path, truth: NDArray[np.float32], scores: list[float], name: str) -> NDArray[np.float64]:
    cv2.imwrite(str(folder / "front.jpg"), np.full((120, 160, 3), 60, np.uint8))
    eye = np.eye(4)
    frame = Frame(
        "t",
        "l",
        "scene",
        0,
        "here",
        "sweep.bin",
        1,
        eye,
        eye,
        eye,
        (),
        (Camera("CAM_FRONT", "front.jpg", LOOKING_FORWARD, (160, 120)),),
    )
    car = DETECTION_CLASSES.index("car")
    predicted = ScoredBoxes(np.repeat(BOX, len(scores), 0), np.full(len(scores), car), np.array(scores, np.float32))
    save_picture(draw_overlays(folder, frame, truth, predicted), folder, name, "")
    image = cv2.imread(str(folder / f"{name}.png"))
    assert image is not None
    height = image.shape[0]
    shown = image[: height // 2, image.shape[1] // 3 : 2 * image.shape[1] // 3, ::-1]  # the panel of the front camera
    return np.asarray(shown[int(0.1 * height) :], np.float64)


def close_to(image: NDArray[np.float64], colour: str) -> int:
    wanted = 255 * np.array(to_rgb(CLASS_COLOURS.get(colour, colour)))
    return int((np.abs(image - wanted).max(axis=-1) < 40).sum())


def test_a_box_is_drawn_where_it_is_sure_enough(tmp_path: Path) -> None:
    sure = draw(tmp_path, NONE, [SHOWN_SCORE + 0.1], "sure")
    faint = draw(tmp_path, NONE, [SHOWN_SCORE - 0.1], "faint")
    assert close_to(sure, "car") > 100 and close_to(faint, "car") == 0
    truth, none = draw(tmp_path, BOX, [], "truth"), draw(tmp_path, NONE, [], "none")
    changed = np.abs(truth - none).max(axis=-1) > 60
    rows, columns = np.nonzero(changed)
    assert len(rows) > 50
    assert np.ptp(rows) > 0.7 * np.ptp(columns) > 20  # the square side of the box, and around it the nearer one
    assert (tmp_path / "sure.svg").read_text().count("<image") == 1  # one image, lines as lines


def test_equal_twice(tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw(tmp_path, BOX, [0.9], name)
    for suffix in ("png", "svg"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
