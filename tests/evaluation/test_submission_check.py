"""What the official server refuses is refused here, by rule and by sample; what passes the devkit loads."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.evaluation.detection import MAX_BOXES, ScoredBoxes, build_submission
from pipeline.evaluation.submission_check import ATTRIBUTES, check_submission
from pipeline.frames.labels import DETECTION_CLASSES
from tests.evaluation.nuscenes_by_hand import Pose

TOKENS = ["a", "b"]
Change = Callable[[dict[str, Any]], object]


def submission() -> dict[str, Any]:
    """Boxes of all classes in sample a, standing and moving, and the most that is allowed; none in b."""
    count = MAX_BOXES
    boxes = np.random.default_rng(0).uniform(0.1, 5, (count, 9)).astype(np.float32)
    boxes[::2, 7:] = 0
    boxes[0, 3:6] = 1e-5  # rounds to no extent at all
    classes, scores = np.arange(count) % 10, np.linspace(0, 1, count, dtype=np.float32)
    found = {"a": ScoredBoxes(boxes, classes, scores)}
    return build_submission([Pose(token, np.eye(4)) for token in TOKENS], found, camera=True)


def box_of(written: dict[str, Any]) -> dict[str, Any]:
    """A moving car."""
    boxes: list[dict[str, Any]] = written["results"]["a"]
    return next(box for box in boxes if box["attribute_name"] == "vehicle.moving")


def test_a_submission_passes_and_the_devkit_loads_it(tmp_path: Path) -> None:
    from nuscenes.eval.common.loaders import load_prediction
    from nuscenes.eval.detection.data_classes import DetectionBox

    path = tmp_path / "submission.json"
    path.write_text(json.dumps(submission()))
    check_submission(json.loads(path.read_bytes()), TOKENS)
    boxes, meta = load_prediction(str(path), MAX_BOXES, DetectionBox)
    assert sorted(boxes.sample_tokens) == TOKENS and len(boxes["a"]) == MAX_BOXES and boxes["b"] == []
    assert meta["use_camera"] and not meta["use_external"]
    assert min(min(box.size) for box in boxes["a"]) > 0


def test_attributes_are_the_devkits() -> None:
    from nuscenes.eval.detection.utils import detection_name_to_rel_attributes

    for name in DETECTION_CLASSES:
        assert sorted(ATTRIBUTES[name]) == sorted(detection_name_to_rel_attributes(name) or [""])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda s: s.pop("meta"), "meta must say"),
        (lambda s: s["meta"].pop("use_map"), "meta must say"),
        (lambda s: s["meta"].update(use_lidar=1), "meta must say"),
        (lambda s: s.update(results=[]), "no mapping"),
        (lambda s: s["results"].pop("b"), "1 samples of the split are missing"),
        (lambda s: s["results"].update(c=[]), "1 samples are not of the split"),
        (lambda s: s["results"].update(b=None), "no list"),
        (lambda s: s["results"]["a"].append(box_of(s)), "501 boxes, at most 500"),
        (lambda s: box_of(s).update(sample_token="b"), "its sample_token is 'b'"),
        (lambda s: box_of(s).pop("velocity"), "velocity must be 2 finite numbers"),
        (lambda s: box_of(s).update(translation=[0.0, 1.0]), "translation must be 3"),
        (lambda s: box_of(s).update(translation=[0.0, 1.0, float("nan")]), "translation must be 3 finite"),
        (lambda s: box_of(s).update(size=[0.0, 1.0, 1.0]), "size must be positive"),
        (lambda s: box_of(s).update(size=["1", 1.0, 1.0]), "size must be 3 finite"),
        (lambda s: box_of(s).update(rotation=[1.0, 0.0, 0.0, 1.0]), "unit quaternion"),
        (lambda s: box_of(s).update(detection_name="vehicle.car"), "no detection class"),
        (lambda s: box_of(s).update(detection_score=1), "must be a float"),
        (lambda s: box_of(s).update(detection_score=1.5), "in 0..1"),
        (lambda s: box_of(s).update(detection_score=float("nan")), "in 0..1"),
        (lambda s: box_of(s).update(attribute_name="pedestrian.moving"), "cannot have the attribute"),
        (lambda s: box_of(s).update(attribute_name=""), "cannot have the attribute"),
    ],
)
def test_a_broken_rule_is_named(change: Change, problem: str) -> None:
    written = submission()
    change(written)
    with pytest.raises(UserError, match=problem) as caught:
        check_submission(written, TOKENS)
    assert caught.value.where.startswith(("sample ", "meta", "results"))
    assert "dvc repro evaluate" in caught.value.remedy


def test_the_box_is_named() -> None:
    written = submission()
    written["results"]["a"][7]["detection_score"] = -0.1
    with pytest.raises(UserError) as caught:
        check_submission(written, TOKENS)
    assert caught.value.where == "sample a, box 7"
