"""Hand-made predictions with known answers through the unmodified devkit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.evaluation.detection import (
    MAX_BOXES,
    MOVING,
    STANDING,
    ScoredBoxes,
    attribute_of,
    build_submission,
    is_degenerate,
    read_submission,
)
from pipeline.evaluation.devkit import DevkitScorer
from pipeline.frames.labels import DETECTION_CLASSES
from tests.evaluation.nuscenes_by_hand import VERSION, ByHand, write_by_hand

Predictions = dict[str, ScoredBoxes]


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> ByHand:
    return write_by_hand(tmp_path_factory.mktemp("byhand") / "root")


@pytest.fixture(scope="module")
def scorer(by_hand: ByHand, tmp_path_factory: pytest.TempPathFactory) -> DevkitScorer:
    return DevkitScorer(by_hand.dataset, by_hand.evaluate, tmp_path_factory.mktemp("scratch"))


def perfect(by_hand: ByHand) -> Predictions:
    return {
        token: ScoredBoxes(boxes, classes, np.linspace(0.9, 0.5, len(boxes), dtype=np.float32))
        for token, (boxes, classes) in by_hand.truth.items()
    }


def shifted(predictions: Predictions, metres: float) -> Predictions:
    offset = np.array([metres, 0, 0, 0, 0, 0, 0, 0, 0], np.float32)
    return {token: replace(frame, boxes=frame.boxes + offset) for token, frame in predictions.items()}


def score(scorer: DevkitScorer, by_hand: ByHand, predictions: Predictions) -> dict[str, Any]:
    return scorer.score(build_submission(by_hand.poses, predictions, camera=False))


def test_perfect_predictions_score_one(scorer: DevkitScorer, by_hand: ByHand) -> None:
    metrics = score(scorer, by_hand, perfect(by_hand))
    assert metrics["present"] == ["car", "pedestrian"]  # the truck stands at 45 m, beyond the cap of 32 m
    assert metrics["mAP_present"] == pytest.approx(1.0, abs=1e-6)
    assert metrics["mAP"] == pytest.approx(0.2, abs=1e-6)  # two classes of ten
    # Eight classes without truth count as error 1 in the devkit (cones have no heading, speed or attribute, barriers no
    # speed or attribute), two are exact: so the means are 8/10, 7/9 and 6/8.
    errors = metrics["TP_errors"]
    assert errors["mATE"] == pytest.approx(0.8, abs=1e-3)
    assert errors["mASE"] == pytest.approx(0.8, abs=1e-3)
    assert errors["mAOE"] == pytest.approx(7 / 9, abs=1e-3)
    assert errors["mAVE"] == pytest.approx(6 / 8, abs=1e-3)
    assert errors["mAAE"] == pytest.approx(6 / 8, abs=1e-3)
    nds = (5 * 0.2 + 0.2 + 0.2 + 2 / 9 + 0.25 + 0.25) / 10
    assert metrics["NDS"] == pytest.approx(nds, abs=1e-3)
    assert metrics["boxes"] == 12


def test_shift_of_60_cm_misses_the_tightest_threshold(scorer: DevkitScorer, by_hand: ByHand) -> None:
    metrics = score(scorer, by_hand, shifted(perfect(by_hand), 0.6))
    assert metrics["mAP_present"] == pytest.approx(0.75, abs=1e-6)  # hits at 1, 2 and 4 m of 0.5, 1, 2 and 4 m
    assert metrics["TP_errors"]["mATE"] == pytest.approx((8 + 2 * 0.6) / 10, abs=2e-3)


def test_wrong_class_scores_zero(scorer: DevkitScorer, by_hand: ByHand) -> None:
    wrong = {
        token: replace(frame, classes=np.full_like(frame.classes, DETECTION_CLASSES.index("bus")))
        for token, frame in perfect(by_hand).items()
    }
    metrics = score(scorer, by_hand, wrong)
    assert metrics["mAP"] == 0 and metrics["NDS"] == 0


def test_duplicates_are_false_positives(scorer: DevkitScorer, by_hand: ByHand) -> None:
    """Each duplicate ranks right behind its original, so the precision after n true cars of 6 is n / (2n - 1)."""
    doubled = {
        token: ScoredBoxes(
            np.repeat(frame.boxes, 2, axis=0),
            np.repeat(frame.classes, 2),
            np.repeat(frame.scores, 2) - np.tile(np.array([0, 1e-3], np.float32), len(frame.scores)),
        )
        for token, frame in perfect(by_hand).items()
    }
    # Distinct scores over both frames make the ranking unique.
    doubled["sample1"] = replace(doubled["sample1"], scores=doubled["sample1"].scores - np.float32(0.03))
    metrics = score(scorer, by_hand, doubled)
    recalls, precisions = [], []
    for true in range(1, 7):  # six cars: a hit, then its duplicate
        recalls += [true / 6, true / 6]
        precisions += [true / (2 * true - 1), true / (2 * true)]
    sampled = np.interp(np.linspace(0, 1, 101), recalls, precisions, right=0)[11:]
    by_paper = float(np.mean(np.clip(sampled - 0.1, 0, None)) / 0.9)
    assert metrics["AP"]["car"] == pytest.approx(by_paper, abs=1e-6)
    assert 0.5 < by_paper < 0.8


def test_empty_predictions_score_zero_instead_of_failing(scorer: DevkitScorer, by_hand: ByHand) -> None:
    metrics = score(scorer, by_hand, {})
    assert (metrics["mAP"], metrics["NDS"], metrics["boxes"]) == (0.0, 0.0, 0)
    assert metrics["present"] == ["car", "pedestrian"]


def test_scoring_is_quiet_and_repeatable(
    scorer: DevkitScorer, by_hand: ByHand, capfd: pytest.CaptureFixture[str]
) -> None:
    first = score(scorer, by_hand, shifted(perfect(by_hand), 0.3))
    score(scorer, by_hand, {})
    assert score(scorer, by_hand, shifted(perfect(by_hand), 0.3)) == first
    assert capfd.readouterr() == ("", "")


def test_submission_with_a_missing_sample_is_refused(scorer: DevkitScorer, by_hand: ByHand) -> None:
    with pytest.raises(UserError, match="dvc repro prepare"):
        scorer.score(build_submission(by_hand.poses[:1], {}, camera=False))


@pytest.mark.parametrize(("split", "splits"), [("mine", {"mine": ["scene-9001"]}), ("val", {}), ("mini_val", {})])
def test_split_that_the_devkit_cannot_resolve_says_which_it_can(
    by_hand: ByHand, tmp_path: Path, split: str, splits: dict[str, list[str]]
) -> None:
    """Known to params only, and names that the devkit keeps for tables of other versions."""
    dataset = replace(by_hand.dataset, val_split=split, splits=splits)
    with pytest.raises(UserError, match=split) as caught:
        DevkitScorer(dataset, by_hand.evaluate, tmp_path)
    assert "dataset.val_split" in caught.value.where
    assert "byhand_val" in caught.value.remedy


@pytest.mark.parametrize(("root", "version"), [("nowhere", VERSION), (None, "v1.0-nothing")])
def test_wrong_dataset_says_what_to_do(by_hand: ByHand, tmp_path: Path, root: str | None, version: str) -> None:
    dataset = replace(by_hand.dataset, root=root or by_hand.dataset.root, version=version)
    with pytest.raises(UserError, match=r"check dataset\.root"):
        DevkitScorer(dataset, by_hand.evaluate, tmp_path)


def test_unknown_configuration_says_what_to_do(by_hand: ByHand, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="detection_cvpr_2019"):
        DevkitScorer(by_hand.dataset, replace(by_hand.evaluate, detection_config="cvpr"), tmp_path)


def test_submission_keeps_the_best_500_boxes(by_hand: ByHand) -> None:
    many = MAX_BOXES + 20
    boxes = np.tile(np.array([1, 2, 0, 4, 2, 1.5, 0, 0, 0], np.float32), (many, 1))
    scores = np.linspace(0, 1, many, dtype=np.float32)
    frame = ScoredBoxes(boxes, np.zeros(many, np.int64), scores)
    rows = build_submission(by_hand.poses, {"sample0": frame}, camera=True)["results"]["sample0"]
    assert len(rows) == MAX_BOXES
    assert min(row["detection_score"] for row in rows) > 0.035


def test_submission_is_in_the_global_frame(by_hand: ByHand) -> None:
    row = build_submission(by_hand.poses, perfect(by_hand), camera=False)["results"]["sample0"][0]
    assert np.allclose(row["translation"], [610.0, 1600.0, 0.8], atol=2e-3)
    assert row["size"] == [1.9, 4.5, 1.6]  # width, length, height
    assert np.allclose(row["rotation"], [np.cos(0.15), 0, 0, np.sin(0.15)], atol=1e-5)
    assert np.allclose(row["velocity"], [5, 0], atol=1e-3)
    assert row["attribute_name"] == "vehicle.moving"


def test_submission_reads_back(by_hand: ByHand) -> None:
    predictions = perfect(by_hand)
    submission = build_submission(by_hand.poses, predictions, camera=False)
    for pose in by_hand.poses:
        back = read_submission(submission, pose)
        turn = back.boxes[:, 6] - predictions[pose.token].boxes[:, 6]
        assert np.allclose(np.cos(turn), 1, atol=1e-4)
        assert np.allclose(np.delete(back.boxes - predictions[pose.token].boxes, 6, axis=1), 0, atol=2e-3)
        assert np.array_equal(back.classes, predictions[pose.token].classes)
    assert len(read_submission({"results": {}}, by_hand.poses[0]).scores) == 0


def test_submission_refuses_strays_and_nan(by_hand: ByHand) -> None:
    frame = perfect(by_hand)["sample0"]
    with pytest.raises(ValueError, match="outside the split"):
        build_submission(by_hand.poses[:1], {"sample1": frame}, camera=False)
    broken = replace(frame, boxes=np.full_like(frame.boxes, np.nan))
    with pytest.raises(ValueError, match="not finite"):
        build_submission(by_hand.poses, {"sample0": broken}, camera=False)


def test_names_and_attributes_are_the_devkits() -> None:
    from nuscenes.eval.detection.constants import DETECTION_NAMES
    from nuscenes.eval.detection.utils import detection_name_to_rel_attributes

    assert list(DETECTION_CLASSES) == DETECTION_NAMES
    for name in DETECTION_CLASSES:
        allowed = detection_name_to_rel_attributes(name) or [""]
        assert MOVING[name] in allowed and STANDING[name] in allowed
    assert attribute_of("car", 0.21) == "vehicle.moving" and attribute_of("car", 0.2) == "vehicle.parked"


def test_boxes_of_every_class_load_as_the_devkits_boxes(by_hand: ByHand) -> None:
    """Standing and moving boxes of all classes pass the devkit's own checks, with attributes that their class has."""
    from nuscenes.eval.common.data_classes import EvalBoxes
    from nuscenes.eval.detection.data_classes import DetectionBox
    from nuscenes.eval.detection.utils import detection_name_to_rel_attributes

    boxes = np.tile(np.array([5, -7, 0.5, 4, 2, 1.5, 0.3, 0, 0], np.float32), (20, 1))
    boxes[10:, 7] = 3.0
    found = ScoredBoxes(boxes, np.tile(np.arange(10), 2), np.linspace(1, 0, 20, dtype=np.float32))
    results = build_submission(by_hand.poses, {"sample0": found}, camera=False)["results"]
    loaded = EvalBoxes.deserialize(results, DetectionBox)["sample0"]
    assert [box.detection_name for box in loaded] == [*DETECTION_CLASSES, *DETECTION_CLASSES]
    assert all(box.attribute_name in (detection_name_to_rel_attributes(box.detection_name) or [""]) for box in loaded)
    standing, moving = [box.attribute_name for box in loaded[:10]], [box.attribute_name for box in loaded[10:]]
    # The rule of mmdetection3d's nuScenes export, in the order of the classes.
    assert standing == [
        "vehicle.parked", "vehicle.parked", "vehicle.stopped", "vehicle.parked", "vehicle.parked",
        "pedestrian.standing", "cycle.without_rider", "cycle.without_rider", "", "",
    ]  # fmt: skip
    assert moving == [*["vehicle.moving"] * 5, "pedestrian.moving", *["cycle.with_rider"] * 2, "", ""]
    assert np.allclose([np.hypot(*box.velocity) for box in loaded], [0] * 10 + [3] * 10, atol=1e-2)


def boxes_at(*rows: tuple[float, float], scores: list[float]) -> ScoredBoxes:
    boxes: NDArray[np.float32] = np.ones((len(rows), 9), np.float32)
    boxes[:, :2] = np.array(rows, np.float32).reshape(-1, 2)
    return ScoredBoxes(boxes, np.zeros(len(rows), np.int64), np.array(scores, np.float32))


def test_degenerate_predictions_are_flagged() -> None:
    varied = [boxes_at((1, 2), (3, 4), scores=[0.9, 0.2]), boxes_at((5, 1), scores=[0.4])]
    assert not is_degenerate(varied)
    assert is_degenerate([boxes_at(scores=[]), boxes_at(scores=[])])
    assert is_degenerate([boxes_at((1, 2), scores=[0.5]), boxes_at((3, 4), scores=[0.5])])
    assert is_degenerate([boxes_at((1, 2), (3, 4), scores=[0.9, 0.2])] * 3)
