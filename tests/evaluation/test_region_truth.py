"""What a case knows about the points of a frame, read from the small world."""

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.evaluation.region_truth import Case, collect_cases
from pipeline.frames.index import FrameIndex
from pipeline.params import Dataset, load_params
from tests.reference.boxes import members_by_hand


@pytest.fixture(scope="module")
def index(region_template: Path, world: Path) -> FrameIndex:
    return FrameIndex.open(region_template / "data/index", world)


@pytest.fixture(scope="module")
def dataset(region_template: Path) -> Dataset:
    return load_params(region_template / "params.yaml").dataset


def test_objects_and_classes_of_every_frame(index: FrameIndex, dataset: Dataset) -> None:
    cases = collect_cases(index, dataset, "panoptic", range(len(index)))
    assert len(cases) == len(index)
    held = 0
    for position, case in enumerate(cases):
        points = case.read_points()
        assert len(points) == index[position].points
        truth = case.read_truth(points)
        assert truth.classes is not None and truth.ground is not None and truth.instances is not None
        assert case.labels is not None
        stored = np.load(case.labels)["data"]
        assert np.array_equal(truth.classes, stored // 1000)
        assert np.array_equal(truth.instances, stored)
        low = np.sort(points[truth.ground[truth.classes], 2])
        assert np.median(low) < -1.5  # metres; the sensor stands at 1.84
        for thing, matrix in zip(truth.objects, case.boxes.lidar_from_box, strict=True):
            assert thing.distance == pytest.approx(np.linalg.norm(matrix[:2, 3]))
            above = thing.members[~truth.ground[truth.classes[thing.members]]]
            if len(above) >= 20:
                kinds = truth.instances[above]
                assert (kinds == np.bincount(kinds).argmax()).mean() > 0.8, thing.category
                held += 1
    assert held > 10


def test_members_by_hand(index: FrameIndex, dataset: Dataset) -> None:
    (case,) = collect_cases(index, dataset, None, [4])
    points = case.read_points()[::7]
    found = [thing.members.tolist() for thing in case.read_truth(points).objects]
    boxes = zip(case.boxes.lidar_from_box, case.boxes.size, strict=True)
    assert found == [members_by_hand(points, matrix, size) for matrix, size in boxes]


def test_a_frame_without_point_labels_has_objects_only(index: FrameIndex, dataset: Dataset) -> None:
    (case,) = collect_cases(index, dataset, None, [2])
    truth = case.read_truth(case.read_points())
    assert truth.objects
    assert (truth.classes, truth.ground, truth.instances) == (None, None, None)


def test_cases_travel_to_workers(index: FrameIndex, dataset: Dataset) -> None:
    (case,) = collect_cases(index, dataset, "panoptic", [0])
    sent = pickle.dumps(case)
    assert len(sent) < 20_000
    copy: Case = pickle.loads(sent)
    assert copy.path.is_absolute()
    assert copy.read_truth(copy.read_points()).objects[0].category == case.boxes.categories[0]


def test_a_sweep_that_is_not_the_one_of_the_index(index: FrameIndex, dataset: Dataset) -> None:
    (case,) = collect_cases(index, dataset, None, [0])
    with pytest.raises(UserError, match="the index says") as caught:
        replace(case, points=case.points + 1).read_points()
    assert caught.value.where == str(case.path)
    assert "dvc repro prepare" in caught.value.remedy


def test_labels_of_no_frame_and_a_missing_table(
    index: FrameIndex, dataset: Dataset, world: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="the dataset has no table lidarseg16") as caught:
        collect_cases(index, dataset, "lidarseg16", [0])
    assert "region_quality.point_labels=null" in caught.value.remedy
    shutil.copytree(world / dataset.version, tmp_path / dataset.version)
    table = tmp_path / dataset.version / "panoptic.json"
    rows = json.loads(table.read_text())
    elsewhere = replace(dataset, root=str(tmp_path))
    table.write_text(json.dumps([{**row, "sample_data_token": f"x{row['sample_data_token']}"} for row in rows]))
    with pytest.raises(UserError, match="panoptic labels no key frame of the index") as caught:
        collect_cases(index, elsewhere, "panoptic", [0])
    assert "to a table of this dataset, or to null" in caught.value.remedy
    table.write_text(json.dumps(rows[:1]))  # labels of one frame are enough
    cases = collect_cases(index, elsewhere, "panoptic", range(len(index)))
    assert sum(case.labels is not None for case in cases) == 1
