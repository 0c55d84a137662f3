import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.geometry.boxes import BOX_FIELDS, footprint_corners, points_in_box, transform_boxes
from pipeline.geometry.transforms import rotation_about_z

YAW = BOX_FIELDS.index("yaw")


def box(**values: float) -> NDArray[np.float32]:
    """One box [1, 9], 4 x 2 x 1.5 m at the origin where nothing else is said."""
    standard = dict.fromkeys(BOX_FIELDS, 0.0) | {"length": 4.0, "width": 2.0, "height": 1.5}
    assert set(values) <= set(standard)
    return np.array([[*(standard | values).values()]], np.float32)


def same_angle(one: float, other: float) -> bool:
    return abs(float(np.angle(np.exp(1j * (one - other))))) < 1e-5


@given(st.floats(-3.1, 3.1))
def test_yaw_under_flips_and_turns(yaw: float) -> None:
    """Mirroring x turns a heading to pi - yaw, mirroring y to -yaw, both to pi + yaw; a rotation adds to it."""
    moved = {
        name: float(transform_boxes(matrix, box(yaw=yaw))[0, YAW])
        for name, matrix in {
            "x": np.diag([-1.0, 1.0, 1.0, 1.0]),
            "y": np.diag([1.0, -1.0, 1.0, 1.0]),
            "both": np.diag([-1.0, -1.0, 1.0, 1.0]),
            "turn": rotation_about_z(0.8),
        }.items()
    }
    assert same_angle(moved["x"], np.pi - yaw)
    assert same_angle(moved["y"], -yaw)
    assert same_angle(moved["both"], np.pi + yaw)
    assert same_angle(moved["turn"], yaw + 0.8)


def test_a_similarity_by_hand() -> None:
    """Mirror x, turn by 90 degrees, double, shift: (1, 2) -> (-1, 2) -> (-2, -1) -> (-4, -2) -> (6, 18)."""
    matrix = np.diag([2.0, 2.0, 2.0, 1.0]) @ rotation_about_z(np.pi / 2) @ np.diag([-1.0, 1.0, 1.0, 1.0])
    matrix[:3, 3] = [10.0, 20.0, 1.0]
    before = box(x=1, y=2, z=0.5, yaw=0.3, vx=3, vy=1)
    moved = transform_boxes(matrix, before)[0]
    np.testing.assert_allclose(moved[:6], [6, 18, 2, 8, 4, 3], atol=1e-5)
    assert same_angle(float(moved[YAW]), np.pi - 0.3 + np.pi / 2)
    # Velocity (3, 1) -> (-3, 1) -> (-1, -3) -> (-2, -6): no shift.
    np.testing.assert_allclose(moved[7:], [-2, -6], atol=1e-5)
    np.testing.assert_array_equal(before, box(x=1, y=2, z=0.5, yaw=0.3, vx=3, vy=1))


def test_no_box_stays_no_box() -> None:
    assert transform_boxes(np.eye(4), np.zeros((0, 9), np.float32)).shape == (0, 9)
    assert footprint_corners(np.zeros((0, 9), np.float32)).shape == (0, 4, 2)


def test_footprint_corners_by_hand() -> None:
    """Counter-clockwise from front left; a box that looks along y has its front at larger y."""
    np.testing.assert_allclose(footprint_corners(box(x=10, y=5))[0], [[12, 6], [8, 6], [8, 4], [12, 4]])
    turned = footprint_corners(box(x=10, y=5, yaw=np.pi / 2))[0]
    np.testing.assert_allclose(turned, [[9, 7], [9, 3], [11, 3], [11, 7]], atol=1e-6)


@given(st.floats(-3.1, 3.1))
def test_corners_enclose_the_footprint(yaw: float) -> None:
    x, y = footprint_corners(box(x=3, y=-2, yaw=yaw))[0].astype(np.float64).T
    area = (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2  # positive where counter-clockwise
    assert area == pytest.approx(8.0, abs=1e-4)


@given(st.floats(-3.1, 3.1), st.floats(0.5, 1.5))
def test_points_in_box_ends_at_the_corners(yaw: float, z: float) -> None:
    """A little inside each corner is in, a little outside is not; the same for the height."""
    one = box(x=3, y=-2, z=z, yaw=yaw)[0]
    corners = footprint_corners(one[None])[0]
    for factor, inside in ((0.99, True), (1.01, False)):
        around = np.concatenate([one[:2] + factor * (corners - one[:2]), np.full((4, 1), z)], axis=1)
        assert (points_in_box(around, one) == inside).all()
        above = np.array([[3.0, -2.0, z + factor * 0.75, 0.4, 0.0]], np.float32)
        assert points_in_box(above, one).tolist() == [inside]
