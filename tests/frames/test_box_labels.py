"""Annotated boxes in the sensor's frame, and which points they hold."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.frames.box_labels import BoxLabels, box_members, read_box_labels
from pipeline.frames.index import FrameIndex
from pipeline.frames.points import read_points
from pipeline.geometry.transforms import matrix_from_pose, rotation_about_z
from pipeline.params import Dataset
from tests.frames.tiny_dataset import START, VERSION
from tests.reference.boxes import members_by_hand


@pytest.mark.parametrize("seed", range(5))
def test_members_against_one_point_after_the_other(seed: int) -> None:
    """Boxes in any attitude, overlapping, of any size; points far away and repeated ones."""
    rng = np.random.default_rng(seed)
    matrices = np.stack([matrix_from_pose(rng.normal(size=4), rng.uniform(-8, 8, 3)) for _ in range(12)])
    boxes = BoxLabels(("car",) * 12, matrices, rng.uniform(0.05, 9, (12, 3)))
    points = rng.uniform(-10, 10, (600, 5)).astype(np.float32)
    points[:50] = points[50:100]
    points[100:103] *= 1e4
    found = box_members(points, boxes)
    expected = [members_by_hand(points, matrix, size) for matrix, size in zip(matrices, boxes.size, strict=True)]
    assert [members.tolist() for members in found] == expected
    assert sum(map(len, expected)) > 30
    assert all(members.dtype == np.int64 for members in found)


def test_borders_belong_to_the_box() -> None:
    boxes = BoxLabels(("a",), np.eye(4)[None], np.array([[4.0, 2.0, 1.0]]))
    corners = np.array([[x, y, z] for x in (-2, 2) for y in (-1, 1) for z in (-0.5, 0.5)], np.float32)
    assert box_members(corners, boxes)[0].tolist() == list(range(8))
    for axis in range(3):
        outside = corners.copy()
        outside[:, axis] *= np.float32(1.0001)
        assert len(box_members(outside, boxes)[0]) == 0


def test_length_lies_along_x_of_the_box() -> None:
    boxes = BoxLabels(("a",), rotation_about_z(np.pi / 2)[None], np.array([[6.0, 1.0, 1.0]]))
    points = np.array([[0, 2.9, 0], [2.9, 0, 0]], np.float32)
    assert box_members(points, boxes)[0].tolist() == [0]


def test_no_boxes_and_no_points() -> None:
    none = BoxLabels((), np.empty((0, 4, 4)), np.empty((0, 3)))
    assert box_members(np.zeros((3, 5), np.float32), none) == []
    one = BoxLabels(("a",), np.eye(4)[None], np.ones((1, 3)))
    assert [len(members) for members in box_members(np.empty((0, 5), np.float32), one)] == [0]


def test_every_category_of_the_tables_in_the_sensor_frame(tiny_root: Path, tiny_index: FrameIndex) -> None:
    frames = [tiny_index[position] for position in range(len(tiny_index))]
    found = dict(zip(tiny_index.tokens, read_box_labels(tiny_root, VERSION, frames), strict=True))
    assert {token: len(boxes) for token, boxes in found.items()} == {
        f"scene-{name}-{number}": 2 - number for name in "abcd" for number in (0, 1)
    }
    boxes, frame = found["scene-a-0"], frames[tiny_index.tokens.index("scene-a-0")]
    assert boxes.categories == ("vehicle.car", "animal")
    np.testing.assert_allclose(boxes.size, [[4.6, 1.9, 1.7], [0.8, 0.3, 0.5]])
    in_world = frame.global_from_lidar @ boxes.lidar_from_box
    np.testing.assert_allclose(in_world[1, :3, 3], [START[0], START[1] + 9, 0.5], atol=1e-6)
    np.testing.assert_allclose(in_world[1, :3, :3], np.eye(3), atol=1e-6)  # roll and pitch of the sensor included
    assert np.abs(boxes.lidar_from_box[1, 2, :2]).max() > 1e-3


def test_tables_that_do_not_belong_together(tiny_copy: Path, tiny_index: FrameIndex) -> None:
    for name, change in (
        ("instance", {"category_token": "another"}), ("sample_annotation", {"instance_token": "another"}),
        ("category", {"token": "another"}),
    ):  # fmt: skip
        table = tiny_copy / VERSION / f"{name}.json"
        sound = table.read_text()
        table.write_text(json.dumps([{**row, **change} for row in json.loads(sound)]))
        with pytest.raises(UserError, match="do not belong together") as caught:
            read_box_labels(tiny_copy, VERSION, [tiny_index[0]])
        assert "nuscenes.org" in caught.value.remedy
        table.write_text(sound)
    table = tiny_copy / VERSION / "category.json"
    table.write_text(json.dumps([{"name": "car"}]))
    with pytest.raises(UserError, match="lacks 'token'"):
        read_box_labels(tiny_copy, VERSION, [tiny_index[0]])


@pytest.mark.real_data
def test_recorded_boxes_hold_as_many_points_as_the_tables_say(real_dataset: Dataset, real_index: FrameIndex) -> None:
    root = Path(real_dataset.root)
    frames = [real_index[position] for position in range(len(real_index)) if real_index[position].scene != "scene-0006"]
    rows = json.loads((root / real_dataset.version / "sample_annotation.json").read_text())
    found = read_box_labels(root, real_dataset.version, frames)
    assert [len(boxes) for boxes in found] == [69, 23, 55]
    for frame, boxes in zip(frames, found, strict=True):
        told = [row["num_lidar_pts"] for row in rows if row["sample_token"] == frame.token]
        counted = [len(members) for members in box_members(read_points(root / frame.lidar_path), boxes)]
        assert np.mean([abs(a - b) <= 1 for a, b in zip(counted, told, strict=True)]) > 0.95
