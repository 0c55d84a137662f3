"""The data set as a whole: the devkit's view, links, counts, digests, reproducibility."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.geometry.transforms import inverse, matrix_from_pose
from pipeline.params import Runtime, Simulate
from pipeline.simulation.schema import token
from pipeline.simulation.world import build_world

CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")


def _box_from_lidar(devkit: Any, annotation: dict[str, Any], lidar: dict[str, Any]) -> np.ndarray[Any, Any]:
    pose, mount = (
        devkit.get("ego_pose", lidar["ego_pose_token"]),
        devkit.get("calibrated_sensor", lidar["calibrated_sensor_token"]),
    )
    global_from_lidar = matrix_from_pose(pose["rotation"], pose["translation"]) @ matrix_from_pose(
        mount["rotation"], mount["translation"]
    )
    return inverse(matrix_from_pose(annotation["rotation"], annotation["translation"])) @ global_from_lidar


def test_chains_and_counts(devkit: Any, world_params: Simulate) -> None:
    frames = world_params.keyframes_per_scene
    for scene in devkit.scene:
        name, stamps = scene["first_sample_token"], []
        while name:
            sample = devkit.get("sample", name)
            stamps.append(sample["timestamp"])
            assert set(sample["data"]) == {"LIDAR_TOP", *CAMERAS}
            if sample["next"]:
                assert devkit.get("sample", sample["next"])["prev"] == name
            name = sample["next"]
        assert len(stamps) == scene["nbr_samples"] == frames
        assert set(np.diff(stamps)) == {500_000}
        lidar = devkit.get("sample", scene["first_sample_token"])["data"]["LIDAR_TOP"]
        row, history = devkit.get("sample_data", lidar), 0
        while row["prev"]:
            after, row = row, devkit.get("sample_data", row["prev"])
            assert row["next"] == after["token"] and after["timestamp"] - row["timestamp"] == 50_000
            history += 1
        assert history == 9
        count = 1
        while row["next"]:
            row, count = devkit.get("sample_data", row["next"]), count + 1
            assert row["is_key_frame"] == ("samples/" in row["filename"])
        assert count == 10 * frames
    for row in devkit.sample_data:
        assert (Path(devkit.dataroot) / row["filename"]).is_file()
        sample = devkit.get("sample", row["sample_token"])
        assert row["timestamp"] <= sample["timestamp"] < row["timestamp"] + 500_000
    for instance in devkit.instance:
        name, seen = instance["first_annotation_token"], 0
        while name:
            annotation, seen = devkit.get("sample_annotation", name), seen + 1
            assert annotation["instance_token"] == instance["token"]
            last, name = name, annotation["next"]
        assert seen == instance["nbr_annotations"] and last == instance["last_annotation_token"]


def test_points_lie_in_their_boxes_and_are_counted(devkit: Any) -> None:
    inside_all: list[bool] = []
    for sample in devkit.sample:
        lidar = devkit.get("sample_data", sample["data"]["LIDAR_TOP"])
        points = np.fromfile(devkit.get_sample_data_path(lidar["token"]), np.float32).reshape(-1, 5)
        panoptic = np.load(Path(devkit.dataroot) / devkit.get("panoptic", lidar["token"])["filename"])["data"]
        assert panoptic.dtype == np.uint16 and len(panoptic) == len(points)
        scene = next(i for i, s in enumerate(devkit.scene) if s["token"] == sample["scene_token"])
        numbers = {token("instance", scene, n): n for n in range(1, 400)}
        labelled = set()
        for name in sample["anns"]:
            annotation = devkit.get("sample_annotation", name)
            number = numbers[annotation["instance_token"]]
            own = panoptic % 1000 == number
            labelled.add(number)
            assert own.sum() == annotation["num_lidar_pts"]
            index = devkit.lidarseg_name2idx_mapping[annotation["category_name"]]
            assert np.all(panoptic[own] // 1000 == index)
            matrix = _box_from_lidar(devkit, annotation, lidar)
            local = points[own, :3] @ matrix[:3, :3].T + matrix[:3, 3]
            width, length, height = annotation["size"]
            # Range noise of 2 cm may carry a point a few centimetres out.
            inside = np.abs(local) <= np.array([length, width, height]) / 2 + 0.08
            inside_all.extend(inside.all(axis=1).tolist())
        assert set(np.unique(panoptic % 1000)) <= labelled | {0}
    assert len(inside_all) > 1000 and np.mean(inside_all) > 0.998


def test_every_class_and_attribute(devkit: Any, world: Path) -> None:
    from nuscenes.eval.detection.constants import DETECTION_NAMES
    from nuscenes.eval.detection.utils import category_to_detection_name
    from nuscenes.utils.splits import get_scenes_of_split

    splits = json.loads((world / "v1.0-embedded/splits.json").read_text())
    assert splits["train"] == ["scene-0001", "scene-0002"] and splits["val"] == ["scene-0003"]
    assert get_scenes_of_split("embedded_val", devkit) == splits["val"]
    classes: dict[str, set[str]] = {"train": set(), "val": set()}
    names = {row["token"]: row["name"] for row in devkit.attribute}
    for annotation in devkit.sample_annotation:
        scene = devkit.get("scene", devkit.get("sample", annotation["sample_token"])["scene_token"])["name"]
        kind = category_to_detection_name(annotation["category_name"])
        classes["train" if scene in splits["train"] else "val"].add(kind)
        attributes = [names[t].split(".")[0] for t in annotation["attribute_tokens"]]
        expected = {"pedestrian": ["pedestrian"], "bicycle": ["cycle"], "motorcycle": ["cycle"]}.get(kind, ["vehicle"])
        assert attributes == ([] if kind in ("traffic_cone", "barrier") else expected)
        assert annotation["visibility_token"] in "1234"
    assert classes == {"train": set(DETECTION_NAMES), "val": set(DETECTION_NAMES)}


def test_velocity_follows_the_attribute(devkit: Any) -> None:
    names = {row["token"]: row["name"] for row in devkit.attribute}
    speeds: dict[str, list[float]] = {}
    for annotation in devkit.sample_annotation:
        if annotation["attribute_tokens"] and (annotation["prev"] or annotation["next"]):
            speed = np.linalg.norm(devkit.box_velocity(annotation["token"])[:2])
            speeds.setdefault(names[annotation["attribute_tokens"][0]], []).append(float(speed))
    assert max(speeds["vehicle.parked"]) < 1e-3 and max(speeds["pedestrian.standing"]) < 1e-3
    assert 2.0 < np.median(speeds["vehicle.moving"]) < 13
    assert min(speeds["pedestrian.moving"]) > 0.6 and max(speeds["pedestrian.moving"]) < 1.8


def test_ground_truth_scores_one(devkit: Any, tmp_path: Path) -> None:
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.detection.evaluate import DetectionEval
    from nuscenes.eval.detection.utils import category_to_detection_name

    names = {row["token"]: row["name"] for row in devkit.attribute}
    results: dict[str, list[dict[str, Any]]] = {}
    for sample in devkit.sample:
        if devkit.get("scene", sample["scene_token"])["name"] == "scene-0003":
            results[sample["token"]] = [
                {
                    "sample_token": sample["token"],
                    "translation": a["translation"],
                    "size": a["size"],
                    "rotation": a["rotation"],
                    "velocity": np.nan_to_num(devkit.box_velocity(a["token"])[:2]).tolist(),
                    "detection_name": category_to_detection_name(a["category_name"]),
                    "detection_score": 0.9,
                    "attribute_name": names[a["attribute_tokens"][0]] if a["attribute_tokens"] else "",
                }
                for a in (devkit.get("sample_annotation", t) for t in sample["anns"])
                if a["num_lidar_pts"] > 0  # the devkit drops the others from the ground truth
            ]
    meta = {f"use_{m}": m == "lidar" for m in ("camera", "lidar", "radar", "map", "external")}
    file = tmp_path / "results.json"
    file.write_text(json.dumps({"meta": meta, "results": results}))
    config = config_factory("detection_cvpr_2019")
    score = DetectionEval(devkit, config, str(file), "embedded_val", str(tmp_path / "out"), verbose=False)
    metrics, _ = score.evaluate()
    assert all(metrics.mean_dist_aps[name] > 0.95 for name in metrics.mean_dist_aps), metrics.mean_dist_aps
    assert metrics.mean_ap > 0.97


def test_devkit_renders(devkit: Any, tmp_path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    sample = devkit.sample[1]
    out = tmp_path / "lidar.png"
    devkit.render_sample_data(
        sample["data"]["LIDAR_TOP"], nsweeps=5, underlay_map=True, out_path=str(out), verbose=False
    )
    devkit.render_sample(sample["token"], out_path=str(tmp_path / "sample.png"), verbose=False)
    assert out.stat().st_size > 5000


def test_checksums_cover_every_file(world: Path) -> None:
    listed = json.loads((world / "v1.0-embedded/checksums.json").read_text())
    tables = world / "v1.0-embedded"
    found = {
        str(p.relative_to(world)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in world.rglob("*")
        if p.is_file() and p.parent != tables
    }
    assert listed == found and list(listed) == sorted(listed)


@pytest.fixture(scope="module")
def tiny() -> Simulate:
    return Simulate(
        seed=5, train_scenes=1, val_scenes=1, keyframes_per_scene=1, azimuth_steps=60, range_noise=0.02, dropout=0.1,
        max_range=50.0, image_width=48, image_height=27, jpeg_quality=80,
    )  # fmt: skip


def _digests(root: Path) -> dict[str, str]:
    return {
        str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in root.rglob("*") if p.is_file()
    }


def test_same_bytes_whatever_the_workers(tiny: Simulate, world_runtime: Runtime, tmp_path: Path) -> None:
    for name, params, workers in (("one", tiny, 1), ("two", tiny, 2), ("other", replace(tiny, seed=6), 1)):
        (tmp_path / name).mkdir()
        build_world(params, "v1.0-embedded", tmp_path / name, replace(world_runtime, workers=workers))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "other", "two"]
    one = _digests(tmp_path / "one")
    assert one == _digests(tmp_path / "two")
    other = _digests(tmp_path / "other")
    clouds = [k for k in one if k.endswith("pcd.bin")]
    assert clouds and all(one[k] != other.get(k) for k in clouds)


def test_impossible_params_are_refused(tiny: Simulate, world_runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"simulate\.val_scenes[\s\S]*at least 1"):
        build_world(replace(tiny, val_scenes=0), "v1.0-embedded", tmp_path, world_runtime)
    assert not list(tmp_path.iterdir())
