"""The report's figures from files, as `evaluate` leaves them."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluation.detection import ScoredBoxes, build_submission
from pipeline.evaluation.map_segmentation import MapPictures
from pipeline.evaluation.record import MAPS, SUBMISSION
from pipeline.frames.index import FrameIndex
from pipeline.frames.index_building import build_index
from pipeline.frames.labels import Labels, build_labels
from pipeline.params import Dataset, Prepare
from pipeline.reporting.figures.gallery import (
    choose_frames,
    draw_detection_figures,
    draw_map_figures,
    draw_projection_figures,
)
from tests.evaluation.nuscenes_by_hand import ByHand, write_by_hand


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> ByHand:
    return write_by_hand(tmp_path_factory.mktemp("byhand") / "root")


@pytest.fixture(scope="module")
def index(by_hand: ByHand, tmp_path_factory: pytest.TempPathFactory) -> FrameIndex:
    out = tmp_path_factory.mktemp("index")
    build_index(by_hand.dataset, out)
    return FrameIndex.open(out, Path(by_hand.dataset.root))


def test_one_picture_for_each_frame(by_hand: ByHand, index: FrameIndex, tmp_path: Path) -> None:
    build_labels(by_hand.dataset, Prepare(0.2, [1.0]), index, tmp_path)
    labels = Labels.open(tmp_path)
    predictions = {
        token: ScoredBoxes(boxes, classes, np.full(len(boxes), 0.9, np.float32))
        for token, (boxes, classes) in by_hand.truth.items()
    }
    mask = np.zeros((2, 6, 10, 10), np.bool_)
    cells = {}
    for arm in ("scratch-L", "calico"):
        cells[arm] = tmp_path / arm
        cells[arm].mkdir()
        submission = build_submission(by_hand.poses, predictions, camera=False)
        (cells[arm] / SUBMISSION).write_text(json.dumps(submission))
        MapPictures(("sample0", "sample1"), mask, mask).save(cells[arm] / MAPS)
    positions = choose_frames(index, by_hand.dataset.val_split, 5)
    assert positions == [0, 1]
    for heading, pictures in (
        draw_detection_figures(index, positions, labels, cells, 32.0, tmp_path),
        draw_map_figures(index, positions, cells, 30.0, tmp_path),
    ):
        assert heading in ("Detections", "Map segmentation")
        assert [picture.png for picture in pictures] == [(tmp_path / f"{p.name}.png").read_bytes() for p in pictures]
        assert len({picture.name for picture in pictures}) == 2
        assert all("scene-9001" in picture.caption for picture in pictures)


def test_projections_of_frames_with_cameras_only(
    world: Path, by_hand: ByHand, index: FrameIndex, tmp_path: Path
) -> None:
    train, val = "embedded_train", "embedded_val"
    simulated = Dataset("embedded", str(world), "v1.0-embedded", ["embedded"], train, train, val, {})
    for name in ("index", "labels", "none"):
        (tmp_path / name).mkdir()
    build_index(simulated, tmp_path / "index")
    seen = FrameIndex.open(tmp_path / "index", world)
    build_labels(simulated, Prepare(0.2, [1.0]), seen, tmp_path / "labels")
    heading, pictures = draw_projection_figures(seen, seen.split(val)[:1], Labels.open(tmp_path / "labels"), tmp_path)
    assert heading == "Projection"
    (picture,) = pictures
    assert picture.png == (tmp_path / f"{picture.name}.png").read_bytes()
    build_labels(by_hand.dataset, Prepare(0.2, [1.0]), index, tmp_path / "none")
    assert draw_projection_figures(index, [0, 1], Labels.open(tmp_path / "none"), tmp_path)[1] == []


def test_true_boxes_of_the_labels_are_those_of_the_tables(by_hand: ByHand, index: FrameIndex, tmp_path: Path) -> None:
    """Index, labels and the hand-made truth agree on every box, so figures and scores speak of the same ones."""
    build_labels(by_hand.dataset, Prepare(0.2, [1.0]), index, tmp_path)
    labels = Labels.open(tmp_path)
    for token, (boxes, classes) in by_hand.truth.items():
        found, found_classes, points = labels.boxes(token)
        assert np.allclose(found[:, :6], boxes[:, :6], atol=1e-3)
        assert np.allclose(np.cos(found[:, 6] - boxes[:, 6]), 1, atol=1e-5)
        assert np.allclose(found[:, 7:], boxes[:, 7:], atol=1e-3)
        assert np.array_equal(found_classes, classes)
        assert (points == 20).all()
