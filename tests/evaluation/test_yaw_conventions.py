"""A hand-made box: ours, submission file, devkit, its own boxes, and back. Heading, sides and velocity by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluation.detection import ScoredBoxes, build_submission, read_submission
from pipeline.frames.labels import DETECTION_CLASSES
from pipeline.geometry.boxes import footprint_corners
from pipeline.geometry.transforms import matrix_from_pose, rotation_about_z
from tests.evaluation.nuscenes_by_hand import Pose

# The car looks north (global +y); its LiDAR's x points right, which is east, and y ahead.
NORTH = rotation_about_z(np.pi / 2)
LIDAR_IN_CAR = matrix_from_pose([np.cos(-np.pi / 4), 0.0, 0.0, np.sin(-np.pi / 4)], [1.0, 0.0, 1.8])
CAR = DETECTION_CLASSES.index("car")


def pose() -> Pose:
    global_from_ego = NORTH.copy()
    global_from_ego[:3, 3] = [100.0, 200.0, 0.0]
    return Pose("here", global_from_ego @ LIDAR_IN_CAR)


@pytest.mark.parametrize(
    ("yaw", "way"),  # heading in the LiDAR frame, and the unit vector of it in the global frame
    [(np.pi / 2, (0, 1)), (0.0, (1, 0)), (np.pi, (-1, 0)), (-np.pi / 2, (0, -1)), (np.pi / 4, (0.5**0.5, 0.5**0.5))],
)
def test_a_box_through_the_devkit(tmp_path: Path, yaw: float, way: tuple[float, float]) -> None:
    from nuscenes.eval.common.loaders import load_prediction
    from nuscenes.eval.common.utils import quaternion_yaw
    from nuscenes.eval.detection.data_classes import DetectionBox
    from nuscenes.utils.data_classes import Box
    from pyquaternion import Quaternion

    speed = 5.0
    # 10 m ahead and 3 m right of the LiDAR, which is 1 m ahead of the car's origin: global (103, 211, 0.8).
    velocity = [speed * np.cos(yaw), speed * np.sin(yaw)]
    ours = np.array([[3.0, 10.0, -1.0, 4.6, 1.9, 1.5, yaw, *velocity]], np.float32)
    scored = ScoredBoxes(ours, np.array([CAR]), np.array([0.75], np.float32))
    submission = build_submission([pose()], {"here": scored}, camera=False)
    path = tmp_path / "submission.json"
    path.write_text(json.dumps(submission))

    loaded, _ = load_prediction(str(path), 500, DetectionBox)
    (theirs,) = loaded["here"]
    np.testing.assert_allclose(theirs.translation, [103.0, 211.0, 0.8], atol=2e-3)
    assert theirs.size == (1.9, 4.6, 1.5)  # the devkit says width first
    heading = quaternion_yaw(Quaternion(theirs.rotation))
    np.testing.assert_allclose([np.cos(heading), np.sin(heading)], way, atol=1e-5)
    np.testing.assert_allclose(theirs.velocity, speed * np.array(way), atol=2e-3)
    assert (theirs.detection_name, theirs.detection_score) == ("car", 0.75)
    assert theirs.attribute_name == "vehicle.moving"

    # The devkit's corners: the first four are the front. Its front lies along the heading, half a length ahead.
    corners = Box(theirs.translation, theirs.size, Quaternion(theirs.rotation)).corners()
    front = corners[:2, :4].mean(1) - np.array([103.0, 211.0])
    np.testing.assert_allclose(front, 2.3 * np.array(way), atol=2e-3)
    # And our footprint, front left first, moved by hand (east and north are the LiDAR's x and y), is theirs.
    footprint = footprint_corners(ours)[0] + np.array([100.0, 201.0])
    bottom = corners[:2, [2, 3, 7, 6]].T
    ours_sorted, theirs_sorted = (of[np.lexsort(np.round(of, 1).T)] for of in (footprint, bottom))
    np.testing.assert_allclose(ours_sorted, theirs_sorted, atol=5e-3)
    left = np.array([-way[1], way[0]])
    assert (footprint[0] - [103.0, 211.0]) @ left == pytest.approx(0.95, abs=1e-3)

    back = read_submission(json.loads(path.read_text()), pose())
    np.testing.assert_allclose(back.boxes[:, :6], ours[:, :6], atol=2e-3)
    assert abs(np.angle(np.exp(1j * (float(back.boxes[0, 6]) - yaw)))) < 1e-5
    np.testing.assert_allclose(back.boxes[:, 7:], ours[:, 7:], atol=2e-3)
    assert back.classes.tolist() == [CAR]
