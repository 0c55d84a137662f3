import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import DETECTION_CLASS_OF, DETECTION_CLASSES, Labels, build_labels
from pipeline.geometry.boxes import transform_boxes
from pipeline.geometry.transforms import yaw_of
from pipeline.params import Dataset, Prepare
from tests.frames.tiny_dataset import SPEED, START, VERSION, dataset_at

PREPARE = Prepare(map_resolution=0.2, fractions=[0.5, 1.0])


@pytest.fixture(scope="module")
def labels(tiny_root: Path, tiny_index: FrameIndex, tmp_path_factory: pytest.TempPathFactory) -> Labels:
    out = tmp_path_factory.mktemp("labels")
    build_labels(dataset_at(tiny_root), PREPARE, tiny_index, out)
    return Labels.open(out)


def test_classes_are_those_of_the_devkit() -> None:
    from nuscenes.eval.detection.constants import DETECTION_NAMES
    from nuscenes.eval.detection.utils import category_to_detection_name

    assert list(DETECTION_CLASSES) == DETECTION_NAMES
    for category, name in DETECTION_CLASS_OF.items():
        assert category_to_detection_name(category) == name
    assert category_to_detection_name("human.pedestrian.stroller") is None


def test_box_returns_to_global(labels: Labels, tiny_index: FrameIndex) -> None:
    frame = tiny_index[1]
    boxes, classes, points = labels.boxes(frame.token)
    assert boxes.shape == (1, 9)
    assert boxes.dtype == np.float32
    assert (classes.tolist(), points.tolist()) == ([0], [7])
    box = transform_boxes(frame.global_from_lidar, boxes)[0]
    np.testing.assert_allclose(box[:3], [START[0] + 10 + 1.5, START[1] + 5 + 0.5, 1.0], atol=1e-3)
    np.testing.assert_allclose(box[3:6], [4.6, 1.9, 1.7], rtol=1e-6)
    assert box[6] == pytest.approx(np.arctan2(SPEED[1], SPEED[0]), abs=2e-3)
    # The LiDAR is tilted by a degree, so a small part of a horizontal velocity is lost on its x-y plane.
    np.testing.assert_allclose(box[7:9], SPEED[:2], atol=5e-3)


def test_classes_outside_the_ten_are_left_out(labels: Labels) -> None:
    assert len(labels.boxes("scene-a-0")[0]) == 1


def test_fraction_lists(labels: Labels) -> None:
    assert labels.fraction(1.0) == ["scene-a-0", "scene-a-1", "scene-b-0", "scene-b-1", "scene-d-0", "scene-d-1"]
    assert labels.fraction(0.5) == ["scene-a-0", "scene-a-1", "scene-d-0", "scene-d-1"]
    with pytest.raises(UserError, match=r"(?s)prepare\.fractions.*0\.5"):
        labels.fraction(0.25)


def test_impossible_fraction_writes_nothing(tiny_root: Path, tiny_index: FrameIndex, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)0\.3.*prepare\.fractions.*1/3"):
        build_labels(dataset_at(tiny_root), Prepare(0.2, [1.0, 0.3]), tiny_index, tmp_path)
    assert not list(tmp_path.iterdir())


def test_broken_annotation_link(tiny_copy: Path, tiny_index: FrameIndex, tmp_path: Path) -> None:
    path = tiny_copy / VERSION / "instance.json"
    path.write_text(json.dumps(json.loads(path.read_text())[1:]))
    with pytest.raises(UserError, match=r"sample_annotation\.json"):
        build_labels(dataset_at(tiny_copy), PREPARE, tiny_index, tmp_path)


def test_no_labels(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc repro"):
        Labels.open(tmp_path)


@pytest.mark.real_data
def test_devkit_agrees_on_the_real_boxes(real_index: FrameIndex, real_dataset: Dataset, tmp_path: Path) -> None:
    from nuscenes.eval.detection.utils import category_to_detection_name
    from nuscenes.nuscenes import NuScenes

    build_labels(real_dataset, PREPARE, real_index, tmp_path)
    labels = Labels.open(tmp_path)
    nusc = NuScenes(real_dataset.version, real_dataset.root, verbose=False)
    compared = 0
    for position in range(len(real_index)):
        frame = real_index[position]
        _, theirs, _ = nusc.get_sample_data(frame.lidar_token)
        theirs = [box for box in theirs if category_to_detection_name(box.name)]
        ours, classes, points = labels.boxes(frame.token)
        assert [DETECTION_CLASSES[c] for c in classes] == [category_to_detection_name(box.name) for box in theirs]
        for box, row, count in zip(theirs, ours, points, strict=True):
            np.testing.assert_allclose(row[:3], box.center, atol=2e-3)
            np.testing.assert_allclose(row[3:6], box.wlh[[1, 0, 2]], rtol=1e-5)
            turned = np.eye(4)
            turned[:3, :3] = box.rotation_matrix
            assert np.cos(row[6] - yaw_of(turned)) > 1 - 1e-6
            velocity = np.nan_to_num(nusc.box_velocity(box.token))
            expected = frame.global_from_lidar[:3, :3].T @ velocity
            np.testing.assert_allclose(row[7:9], expected[:2], atol=1e-3)
            assert count == nusc.get("sample_annotation", box.token)["num_lidar_pts"]
            compared += 1
    assert compared > 600
