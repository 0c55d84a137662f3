"""Hand-made predictions with known answers through the unmodified devkit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import UserError
from pipeline.evaluation.detection import (
    MAX_BOXES,
    MOVING,
    STANDING,
    ScoredBoxes,
    attribute_of,
    build_submission,
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


def nds(mean_ap: float, errors: dict[str, float]) -> float:
    """The detection score of the nuScenes paper (Caesar et al. 2020, equation 3)."""
    return (5 * mean_ap + sum(1 - min(1, error) for error in errors.values())) / 10


def test_shift_is_told_per_class_and_distance(scorer: DevkitScorer, by_hand: ByHand) -> None:
    metrics = score(scorer, by_hand, shifted(perfect(by_hand), 0.6))
    for name in ("car", "pedestrian"):
        assert metrics["AP_at"][name] == pytest.approx({"0.5": 0.0, "1": 1.0, "2": 1.0, "4": 1.0}, abs=1e-6)
        errors = metrics["TP_by_class"][name]
        assert errors == pytest.approx({"ATE": 0.6, "ASE": 0, "AOE": 0, "AVE": 0, "AAE": 0}, abs=2e-3)
    assert list(metrics["AP_at"]) == list(metrics["TP_by_class"]) == metrics["present"]
    # mAP is (0.75 + 0.75) / 10; cars and pedestrians alone have errors below the 1 of the classes that never occur.
    assert metrics["NDS"] == pytest.approx((5 * 0.15 + 2 * 0.4 / 10 + 2 / 10 + 2 / 9 + 2 / 8 + 2 / 8) / 10, abs=1e-3)
    assert metrics["NDS"] == pytest.approx(nds(metrics["mAP"], metrics["TP_errors"]), abs=1e-9)


@pytest.mark.parametrize(
    ("short", "change", "error"),
    [
        ("AVE", {7: 1.0}, 1.0),  # m/s along x
        ("AOE", {6: np.pi / 6}, np.pi / 6),
        ("ASE", {4: 2.0}, 0.5),  # twice as wide: IoU of aligned boxes 1/2
    ],
)
def test_one_error_changes_one_mean(
    scorer: DevkitScorer, by_hand: ByHand, short: str, change: dict[int, float], error: float
) -> None:
    """AP stays 1; NDS follows the mean by the paper's formula."""
    predictions = {}
    for token, frame in perfect(by_hand).items():
        boxes = frame.boxes.copy()
        for column, by in change.items():
            boxes[:, column] = boxes[:, column] * by if short == "ASE" else boxes[:, column] + by
        predictions[token] = replace(frame, boxes=boxes)
    metrics = score(scorer, by_hand, predictions)
    assert metrics["mAP_present"] == pytest.approx(1, abs=1e-6)
    means = {"AVE": (6 + 2 * error) / 8, "AOE": (7 + 2 * error) / 9, "ASE": (8 + 2 * error) / 10}
    assert metrics["TP_errors"][f"m{short}"] == pytest.approx(means[short], abs=2e-3)
    for name in ("car", "pedestrian"):
        found = metrics["TP_by_class"][name]
        assert found[short] == pytest.approx(error, abs=2e-3)
        others = {"ATE", "ASE", "AOE", "AVE"} - {short}
        assert [found[other] for other in sorted(others)] == pytest.approx([0] * 3, abs=2e-3)
    assert metrics["NDS"] == pytest.approx(nds(0.2, metrics["TP_errors"]), abs=1e-6)


def test_wrong_attributes_are_all_that_is_wrong(scorer: DevkitScorer, by_hand: ByHand) -> None:
    submission = build_submission(by_hand.poses, perfect(by_hand), camera=False)
    swap = {"vehicle.moving": "vehicle.stopped", "vehicle.parked": "vehicle.moving"}
    for box in (box for boxes in submission["results"].values() for box in boxes):
        box["attribute_name"] = swap.get(box["attribute_name"], box["attribute_name"])
    metrics = scorer.score(submission)
    assert metrics["TP_by_class"]["car"]["AAE"] == pytest.approx(1)
    assert metrics["TP_by_class"]["pedestrian"]["AAE"] == pytest.approx(0)
    assert metrics["TP_errors"]["mAAE"] == pytest.approx(7 / 8)  # six classes without truth, cars
    assert metrics["mAP_present"] == pytest.approx(1, abs=1e-6)
    assert metrics["NDS"] == pytest.approx((5 * 0.2 + 0.2 + 0.2 + 2 / 9 + 0.25 + 1 / 8) / 10, abs=1e-3)


def average_precision(hits: list[bool], truth: int) -> float:
    """AP of the nuScenes paper, of predictions in the order of their scores.

    The mean of max(precision - .1, 0) / .9 over the recalls .11, .12 … 1; precision is interpolated over recall, and 0
    beyond the highest one.
    """
    true = np.cumsum(hits)
    recalls, precisions = true / truth, true / np.arange(1, len(hits) + 1)
    sampled = np.interp(np.linspace(0, 1, 101), recalls, precisions, right=0)[11:]
    return float(np.mean(np.clip(sampled - 0.1, 0, None)) / 0.9)


def test_half_of_the_boxes_missing(scorer: DevkitScorer, by_hand: ByHand) -> None:
    """Sample 1 has no prediction: precision 1 up to recall 1/2."""
    predictions = {"sample0": perfect(by_hand)["sample0"]}
    metrics = score(scorer, by_hand, predictions)
    expected = average_precision([True] * 3, 6)
    assert expected == pytest.approx(40 / 90, abs=1e-9)  # recalls .11 … .50 of the 90 above .1
    assert metrics["AP"] == pytest.approx(
        dict.fromkeys(DETECTION_CLASSES, 0) | {"car": expected, "pedestrian": expected}
    )
    assert metrics["TP_by_class"]["car"]["ATE"] == pytest.approx(0, abs=2e-3)  # of those found
    assert metrics["NDS"] == pytest.approx((expected + 0.2 + 0.2 + 2 / 9 + 0.25 + 0.25) / 10, abs=1e-3)


@pytest.mark.parametrize("false_first", [False, True])
def test_ranking_decides(scorer: DevkitScorer, by_hand: ByHand, false_first: bool) -> None:
    """Six true cars and six that are 9.9 m from these and so from all; the same boxes, scores the other way round."""
    predictions = {}
    for number, (token, frame) in enumerate(perfect(by_hand).items()):
        cars = frame.classes == 0
        true, false = frame.boxes[cars], frame.boxes[cars] + np.array([7, 7, 0, 0, 0, 0, 0, 0, 0], np.float32)
        order = [false, true] if false_first else [true, false]
        scores = np.linspace(0.9, 0.4, 6, dtype=np.float32) - np.float32(0.01) * number
        predictions[token] = ScoredBoxes(np.concatenate(order), np.zeros(6, np.int64), scores)
    metrics = score(scorer, by_hand, predictions)
    hits = [not false_first] * 6 + [false_first] * 6
    assert metrics["AP"]["car"] == pytest.approx(average_precision(hits, 6), abs=1e-6)


def test_precision_over_recall_is_written(scorer: DevkitScorer, by_hand: ByHand, tmp_path: Path) -> None:
    """Half of the boxes, shifted by 0.6 m: all of them hit at 2 m, up to recall 1/2."""
    half = shifted({"sample0": perfect(by_hand)["sample0"]}, 0.6)
    path = tmp_path / "curves.csv"
    scorer.score(build_submission(by_hand.poses, half, camera=False), curves=path)
    table = pd.read_csv(path)
    assert list(table) == ["recall", "mean", *DETECTION_CLASSES]
    assert table["recall"].tolist() == pytest.approx(np.linspace(0, 1, 101).tolist())
    assert (table["car"] == (table["recall"] <= 0.5)).all() and (table["mean"] == table["car"]).all()
    assert table["bus"].isna().all()


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
    by_paper = average_precision([True, False] * 6, 6)  # six cars: a hit, then its duplicate
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
