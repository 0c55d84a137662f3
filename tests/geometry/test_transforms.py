import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.geometry.transforms import (
    inverse,
    matrix_from_pose,
    quaternion_from_matrix,
    rotation_about_z,
    transform_points,
    yaw_of,
)

numbers = st.floats(-1.0, 1.0, allow_nan=False)
quaternions = (
    st.tuples(numbers, numbers, numbers, numbers)
    .map(np.array)
    .filter(lambda q: float(np.linalg.norm(q)) > 0.1)
    .map(lambda q: q / np.linalg.norm(q))
)
places = st.tuples(*[st.floats(-1e3, 1e3)] * 3)
HALF = np.sqrt(0.5)


@given(quaternions)
def test_quaternion_round_trip(quaternion: NDArray[np.float64]) -> None:
    back = quaternion_from_matrix(matrix_from_pose(quaternion, [0, 0, 0]))
    assert back[0] >= 0
    assert np.linalg.norm(back) == pytest.approx(1.0)
    # q and -q are the same rotation.
    assert abs(float(back @ quaternion)) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("half_turn", [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
def test_half_turns_survive(half_turn: list[int]) -> None:
    """Where w = 0 the textbook formula divides by zero."""
    back = quaternion_from_matrix(matrix_from_pose(half_turn, [0, 0, 0]))
    np.testing.assert_allclose(np.abs(back), half_turn, atol=1e-12)


@given(quaternions, places)
def test_inverse_undoes(quaternion: NDArray[np.float64], place: tuple[float, float, float]) -> None:
    matrix = matrix_from_pose(quaternion, place)
    np.testing.assert_allclose(matrix @ inverse(matrix), np.eye(4), atol=1e-9)
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1.0)


def test_pose_by_hand() -> None:
    """A quarter turn about each axis moves the next axis onto the one after it."""
    x, y, z = np.eye(3)
    for axis, source, target in ((x, y, z), (y, z, x), (z, x, y)):
        matrix = matrix_from_pose([HALF, *(HALF * axis)], [1.0, 2.0, 3.0])
        wanted = target + np.array([1.0, 2.0, 3.0])
        np.testing.assert_allclose(matrix @ [*source, 1.0], [*wanted, 1.0], atol=1e-12)


def test_pose_of_a_quaternion_of_another_length() -> None:
    np.testing.assert_allclose(matrix_from_pose([2.0, 0, 0, 2.0], [0, 0, 0]), rotation_about_z(np.pi / 2), atol=1e-12)


@given(st.floats(-3.1, 3.1))
def test_yaw_of_a_rotation(angle: float) -> None:
    assert yaw_of(rotation_about_z(angle)) == pytest.approx(angle, abs=1e-9)


def test_points_move_and_carry_their_other_columns() -> None:
    matrix = rotation_about_z(np.pi / 2)
    matrix[:3, 3] = [10.0, 20.0, 30.0]
    points = np.array([[1, 2, 3, 0.5, 0.1], [0, 0, 0, 0.7, 0.2]], np.float32)
    before = points.copy()
    moved = transform_points(matrix, points)
    assert moved.dtype == np.float32
    np.testing.assert_allclose(moved, [[8, 21, 33, 0.5, 0.1], [10, 20, 30, 0.7, 0.2]], rtol=1e-6)
    np.testing.assert_array_equal(points, before)
