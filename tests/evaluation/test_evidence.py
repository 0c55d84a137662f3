"""Kept evidence against the unmodified devkit: on a split, on parts of it, and on scenes counted twice."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.evaluation.devkit import DevkitScorer
from pipeline.evaluation.evidence import DetectionEvidence, MapEvidence, read_evidence
from pipeline.evaluation.map_segmentation import MapCounts, count_cells
from pipeline.evaluation.matching import match_boxes
from pipeline.evaluation.resampling import average_precisions, scores
from pipeline.frames.labels import DETECTION_CLASSES
from pipeline.params import Dataset, Evaluate
from tests.evaluation.nuscenes_by_hand import write_by_hand

VERSION = "v1.0-embedded"
EVALUATE = Evaluate("detection_cvpr_2019", 40.0, [0.35, 0.5, 0.65], batch=2, calibration_frames=2)


@dataclass(frozen=True)
class Scenes:
    """The small world with every scene in the split `all`, and one split more for each scene that is dropped."""

    dataset: Dataset
    names: list[str]
    tokens: dict[str, list[str]]  # scene -> samples
    submission: dict[str, Any]

    def scorer(self, split: str, scratch: Path) -> DevkitScorer:
        return DevkitScorer(replace(self.dataset, val_split=split), EVALUATE, scratch)

    def part(self, scenes: list[str]) -> dict[str, Any]:
        kept = {token for scene in scenes for token in self.tokens[scene]}
        results = {token: boxes for token, boxes in self.submission["results"].items() if token in kept}
        return {**self.submission, "results": results}


@pytest.fixture(scope="module")
def scenes(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    """With a box that no point hits, a bicycle in a rack, and noisy predictions of which many have equal scores."""
    root = tmp_path_factory.mktemp("evidence") / "root"
    root.mkdir()
    for folder in world.iterdir():
        if folder.name != VERSION:
            (root / folder.name).symlink_to(folder)
    shutil.copytree(world / VERSION, root / VERSION)

    def table(name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads((root / VERSION / f"{name}.json").read_bytes())
        return rows

    category, instance, annotation = table("category"), table("instance"), table("sample_annotation")
    by_name = {row["name"]: row["token"] for row in category}
    if "static_object.bicycle_rack" not in by_name:
        category.append({**category[0], "token": "rack", "name": "static_object.bicycle_rack"})
    car = next(row for row in instance if row["category_token"] == by_name["vehicle.car"])
    car["category_token"] = by_name["vehicle.bicycle"]
    parked = next(row for row in annotation if row["instance_token"] == car["token"])
    parked["num_lidar_pts"] = 5
    instance.append({**car, "token": "rack", "category_token": by_name.get("static_object.bicycle_rack", "rack")})
    annotation.append(
        {**parked, "token": "rack", "instance_token": "rack", "size": [9.0, 9.0, 9.0], "prev": "", "next": ""}
    )
    sample, scene = table("sample"), table("scene")
    name_of = {row["token"]: row["name"] for row in scene}
    names = sorted(name_of.values())
    splits = {"all": names} | {f"without-{name}": [other for other in names if other != name] for name in names}
    for name, rows in (("category", category), ("instance", instance), ("sample_annotation", annotation)):
        (root / VERSION / f"{name}.json").write_text(json.dumps(rows))
    (root / VERSION / "splits.json").write_text(json.dumps(splits))
    tokens: dict[str, list[str]] = {name: [] for name in names}
    for row in sample:
        tokens[name_of[row["scene_token"]]].append(row["token"])
    results = noisy_boxes(annotation, {row["token"]: row for row in instance}, {v: k for k, v in by_name.items()})
    results = {row["token"]: results.get(row["token"], []) for row in sample}
    meta = {f"use_{kind}": kind == "lidar" for kind in ("camera", "lidar", "radar", "map", "external")}
    dataset = Dataset("evidence", str(root), VERSION, [], "all", "all", "all", {})
    return Scenes(dataset, names, tokens, {"meta": meta, "results": results})


def noisy_boxes(
    annotations: list[dict[str, Any]], instances: dict[str, dict[str, Any]], names: dict[str, str]
) -> dict[str, list[dict[str, Any]]]:
    """Two guesses of most objects, one centimetre to some metres off, sometimes as another class; scores in tenths."""
    from nuscenes.eval.detection.utils import category_to_detection_name

    generator, results = np.random.default_rng(5), dict[str, list[dict[str, Any]]]()
    for row in annotations:
        name = category_to_detection_name(names.get(instances[row["instance_token"]]["category_token"], ""))
        for _ in range(2 if name else 0):
            guess = name if generator.random() < 0.9 else str(generator.choice(DETECTION_CLASSES))
            place = np.array(row["translation"]) + np.append(
                generator.normal(0, generator.choice([0.1, 1.0, 3.0]), 2), 0
            )
            results.setdefault(row["sample_token"], []).append(
                {
                    "sample_token": row["sample_token"], "translation": place.tolist(), "size": row["size"],
                    "rotation": row["rotation"], "velocity": [0.0, 0.0], "detection_name": guess,
                    "detection_score": round(float(generator.random()), 1), "attribute_name": "",
                }
            )  # fmt: skip
    return {token: boxes[:500] for token, boxes in results.items()}


@pytest.fixture(scope="module")
def evidence(scenes: Scenes, tmp_path_factory: pytest.TempPathFactory) -> DetectionEvidence:
    folder = tmp_path_factory.mktemp("whole")
    scenes.scorer("all", folder / "scratch").score(scenes.submission, evidence=folder / "evidence.npz")
    found = read_evidence(folder / "evidence.npz")
    assert isinstance(found, DetectionEvidence)
    return found


def by_class(evidence: DetectionEvidence, weights: list[int]) -> dict[str, float]:
    found = np.nan_to_num(average_precisions(evidence, np.array([weights]))[0]).mean(axis=1)
    return dict(zip(DETECTION_CLASSES, found.tolist(), strict=True))


@pytest.mark.parametrize("dropped", [None, 0, 1, 2])
def test_every_choice_of_scenes_scores_as_the_devkit_scores_that_split(
    scenes: Scenes, evidence: DetectionEvidence, dropped: int | None, tmp_path: Path
) -> None:
    kept = [name for number, name in enumerate(scenes.names) if number != dropped]
    split = "all" if dropped is None else f"without-{scenes.names[dropped]}"
    devkit = scenes.scorer(split, tmp_path).score(scenes.part(kept))
    weights = [int(name in kept) for name in evidence.scenes]
    assert by_class(evidence, weights) == pytest.approx(devkit["AP"], abs=1e-9)
    found = scores(evidence, np.array([weights]))
    assert found["mAP"][0] == pytest.approx(devkit["mAP"], abs=1e-9)
    assert found["mAP_present"][0] == pytest.approx(devkit["mAP_present"], abs=1e-9)
    assert 0.05 < devkit["mAP_present"] < 0.9


def test_a_scene_drawn_twice_scores_as_two_scenes(scenes: Scenes, tmp_path: Path) -> None:
    """`accumulate` on boxes of which those of one scene stand there again under other sample tokens."""
    from nuscenes.eval.common.data_classes import EvalBoxes
    from nuscenes.eval.detection.algo import accumulate, calc_ap
    from nuscenes.eval.detection.evaluate import DetectionEval

    scorer, path = scenes.scorer("all", tmp_path), tmp_path / "submission.json"
    unique, ranks = json.loads(json.dumps(scenes.submission)), np.random.default_rng(1).permutation(100_000)
    for number, box in enumerate(box for boxes in unique["results"].values() for box in boxes):
        box["detection_score"] = float(ranks[number]) / 1e5  # no two alike, so that the ranking is unique
    path.write_text(json.dumps(unique))
    devkit = DetectionEval(scorer.tables, scorer.config, str(path), "all", str(tmp_path / "out"), verbose=False)
    scene_of = {token: name for name, tokens in scenes.tokens.items() for token in tokens}
    evidence = match_boxes(devkit.gt_boxes, devkit.pred_boxes, scene_of, scorer.config)
    doubled = []
    for boxes in (devkit.gt_boxes, devkit.pred_boxes):
        more = EvalBoxes()
        for token in boxes.sample_tokens:
            for copy in range(3 if scene_of[token] == scenes.names[1] else 1):
                again = [type(box).deserialize(box.serialize()) for box in boxes[token]]
                for box in again:
                    box.sample_token = f"{token}-{copy}"
                more.add_boxes(f"{token}-{copy}", again)
        doubled.append(more)
    weights = [3 if name == scenes.names[1] else 1 for name in evidence.scenes]
    found = np.nan_to_num(average_precisions(evidence, np.array([weights]))[0])
    for number, name in enumerate(DETECTION_CLASSES):
        for t, threshold in enumerate(scorer.config.dist_ths):
            data = accumulate(*doubled, name, scorer.config.dist_fcn_callable, threshold)
            expected = calc_ap(data, scorer.config.min_recall, scorer.config.min_precision)
            assert found[number, t] == pytest.approx(expected, abs=1e-9), (name, threshold)


def test_the_devkits_filters_are_respected(scenes: Scenes, evidence: DetectionEvidence, tmp_path: Path) -> None:
    from nuscenes.eval.detection.evaluate import DetectionEval

    scorer, path = scenes.scorer("all", tmp_path), tmp_path / "submission.json"
    path.write_text(json.dumps(scenes.submission))
    boxes = DetectionEval(scorer.tables, scorer.config, str(path), "all", str(tmp_path / "out"), verbose=False).gt_boxes
    for number, name in enumerate(evidence.scenes):
        kept = [box.detection_name for token in scenes.tokens[name] for box in boxes[token]]
        assert evidence.truth[:, number].tolist() == [kept.count(label) for label in DETECTION_CLASSES]
    rows = json.loads(Path(scenes.dataset.root, VERSION, "sample_annotation.json").read_bytes())
    rack = next(row for row in rows if row["token"] == "rack")
    hit = [row for row in rows if row["num_lidar_pts"] > 0 and row["token"] != "rack"]
    assert any(row["translation"] == rack["translation"] for row in hit)  # the bicycle in the rack would count
    lidar = scorer.tables.get("sample", rack["sample_token"])["data"]["LIDAR_TOP"]
    ego = scorer.tables.get("ego_pose", scorer.tables.get("sample_data", lidar)["ego_pose_token"])["translation"]
    assert np.hypot(*np.subtract(rack["translation"], ego)[:2]) < scorer.config.class_range["bicycle"]
    assert rack["translation"] not in [list(box.translation) for box in boxes[rack["sample_token"]]]
    assert 30 < evidence.truth.sum() < len(hit)


def test_hand_made_predictions_count_as_by_hand(tmp_path: Path) -> None:
    by_hand = write_by_hand(tmp_path / "root")
    scorer = DevkitScorer(by_hand.dataset, by_hand.evaluate, tmp_path / "scratch")
    rows = json.loads(Path(by_hand.dataset.root, by_hand.dataset.version, "sample_annotation.json").read_bytes())
    car = next(row for row in rows if row["token"] == "box0-0")

    def guess(offset: float, score: float) -> dict[str, Any]:
        x, y, z = car["translation"]
        return {
            "sample_token": "sample0", "translation": [x + offset, y, z], "size": car["size"],
            "rotation": car["rotation"], "velocity": [0.0, 0.0], "detection_name": "car", "detection_score": score,
            "attribute_name": "vehicle.moving",
        }  # fmt: skip

    # The best one lies 1.5 m off and takes the car at 2 and 4 m; the next, 0.3 m off, has it at 0.5 and 1 m.
    results = {"sample0": [guess(0.3, 0.6), guess(1.5, 0.9), guess(0.1, 0.2)], "sample1": []}
    meta = {f"use_{kind}": False for kind in ("camera", "lidar", "radar", "map", "external")}
    metrics = scorer.score({"meta": meta, "results": results}, evidence=tmp_path / "evidence.npz")
    evidence = read_evidence(tmp_path / "evidence.npz")
    assert isinstance(evidence, DetectionEvidence)
    assert evidence.hits.tolist() == [[False, False, True, True], [True, True, False, False], [False] * 4]
    assert evidence.score.tolist() == pytest.approx([0.9, 0.6, 0.2])
    assert evidence.truth[0].tolist() == [6] and evidence.truth[5].tolist() == [4] and evidence.truth.sum() == 10
    assert by_class(evidence, [1]) == pytest.approx(metrics["AP"], abs=1e-12)
    assert by_class(evidence, [0])["car"] == 0  # no scene, no true box
    assert np.isnan(scores(evidence, np.array([[0]]))["mAP_present"][0])


def test_empty_predictions_score_zero(scenes: Scenes, tmp_path: Path) -> None:
    empty = {**scenes.submission, "results": {token: [] for token in scenes.submission["results"]}}
    scenes.scorer("all", tmp_path / "scratch").score(empty, evidence=tmp_path / "evidence.npz")
    found = scores(read_evidence(tmp_path / "evidence.npz"), np.ones((1, 3), np.int64))
    assert (found["mAP"][0], found["mAP_present"][0]) == (0.0, 0.0)


def map_counts(generator: np.random.Generator) -> MapCounts:
    truth = generator.random((2, 6, 8, 8)) < 0.3
    truth[:, 4] = False  # a class that never occurs
    return count_cells(np.clip(truth * 0.4 + generator.random(truth.shape) * 0.6, 0, 1), truth, [0.35, 0.65])


def test_maps_of_chosen_scenes_score_as_their_summed_counts(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    counts = {name: map_counts(generator) for name in ("b", "a", "c")}
    calibrated = np.array([0.35, 0.35, 0.65, 0.5, np.nan, np.nan])  # the last one could not be: 0.5
    MapEvidence.of(counts, [0.35, 0.65], calibrated).save(tmp_path / "evidence.npz")
    evidence = read_evidence(tmp_path / "evidence.npz")
    assert evidence.scenes == ("a", "b", "c")
    found = scores(evidence, np.array([[1, 1, 1], [2, 0, 1], [0, 0, 0]]))
    for row, chosen in enumerate((["a", "b", "c"], ["a", "a", "c"])):
        iou = (counts[chosen[0]] + counts[chosen[1]] + counts[chosen[2]]).iou()
        present = [0, 1, 2, 3, 5]
        by_hand = {
            "mIoU_best": [max(iou[c, 0], iou[c, 2]) for c in present],
            "mIoU_at_half": [iou[c, 1] for c in present],
            "mIoU_calibrated": [iou[0, 0], iou[1, 0], iou[2, 2], iou[3, 1], iou[5, 1]],
        }
        for name, values in by_hand.items():
            assert found[name][row] == pytest.approx(float(np.mean(values)), abs=1e-12)
    assert np.isnan(found["mIoU_best"][2])
    assert "mIoU_calibrated" not in scores(MapEvidence.of(counts, [0.35]), np.ones((1, 3), np.int64))


def test_files_are_canonical_and_broken_ones_say_what_to_do(evidence: DetectionEvidence, tmp_path: Path) -> None:
    for name in ("first", "second"):
        evidence.save(tmp_path / f"{name}.npz")
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()
    np.savez(tmp_path / "other.npz", kind=np.array("map"), scenes=np.array(["a"]))
    np.savez(tmp_path / "pickled.npz", kind=np.array({"a": 1}, object))
    (tmp_path / "text.npz").write_text("no archive")
    for name in ("missing", "other", "pickled", "text"):
        with pytest.raises(UserError, match="dvc repro"):
            read_evidence(tmp_path / f"{name}.npz")
    with pytest.raises(ValueError, match="do not fit 3 scenes"):
        scores(evidence, np.ones((1, 2), np.int64))
