from pathlib import Path

import cv2
import numpy as np

from pipeline.frames.frame import Camera, Frame
from pipeline.reporting.figures.picture import save_figure
from pipeline.reporting.figures.projection import box_edges, draw_projection, project

# A camera in the LiDAR's place that looks forward: right is x, down is -z, depth is y; focal length 100 pixels.
LOOKING_FORWARD = np.array([[100.0, 80.0, 0, 0], [0, 60.0, -100.0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]])
CAMERA = Camera("CAM_FRONT", "front.jpg", LOOKING_FORWARD, (160, 120))


def test_only_points_in_front_and_inside_the_image() -> None:
    points = np.array([[1, 10, 2], [1, -10, 2], [20, 10, 0], [0, 0.5, 0]], np.float32)
    pixels, depth = project(CAMERA, points)
    np.testing.assert_allclose(pixels, [[90, 40]])
    np.testing.assert_allclose(depth, [10])


def test_box_edges_by_hand() -> None:
    """A box of 2 m x 2 m x 2 m whose front is 9 m away, and one beside the camera that is left out."""
    boxes = np.array([[0, 10, 0, 2, 2, 2, 0.0, 0, 0], [0, 0, 0, 2, 2, 2, 0.0, 0, 0]], np.float32)
    edges = box_edges(CAMERA, boxes)
    assert edges.shape == (12, 2, 2)
    expected = {
        (round(80 + 100 * x / y, 3), round(60 - 100 * z / y, 3)) for x in (-1, 1) for y in (9, 11) for z in (-1, 1)
    }
    assert {(round(float(u), 3), round(float(v), 3)) for u, v in edges.reshape(-1, 2)} == expected
    # Every edge runs along one axis of the box: never from a near lower corner to a far upper one.
    lengths = np.linalg.norm(edges[:, 0] - edges[:, 1], axis=1)
    assert lengths.max() < 100 * 2 / 9 + 1e-6


def test_figure_shows_the_points_in_their_panel(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "front.jpg"), np.zeros((120, 160, 3), np.uint8))
    eye, figures = np.eye(4), []
    for distance in (10, -10):
        np.array([[0, distance, 0, 9, 0]], np.float32).tofile(tmp_path / "sweep.bin")
        frame = Frame("t", "l", "scene", 0, "here", "sweep.bin", 1, eye, eye, eye, (), (CAMERA,))
        save_figure(draw_projection(tmp_path, frame, np.zeros((0, 9), np.float32)), tmp_path / "figure.png")
        figure = cv2.imread(str(tmp_path / "figure.png"))
        assert figure is not None
        figures.append(figure.astype(int))
    rows, columns = np.nonzero(np.abs(figures[0] - figures[1]).max(2) > 40)
    assert 1 <= len(rows) < 100
    height, width = figures[0].shape[:2]
    assert (rows < height / 2).all()
    assert ((columns > width * 0.3) & (columns < width * 0.65)).all()
