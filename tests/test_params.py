"""params.yaml and runtime.yaml as committed, and values that params refuses."""

from pathlib import Path

import pytest
import yaml

from pipeline.errors import UserError
from pipeline.params import Params, Runtime, load_params, load_runtime, parse_trial
from pipeline.strict_yaml import build_model

ROOT = Path(__file__).parents[1]


def test_committed_files_load() -> None:
    assert load_params(ROOT / "params.yaml").dataset.name
    assert load_runtime(ROOT / "runtime.yaml").workers >= 1


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("regions.eps", 0.0, "eps must be above 0"),
        ("regions.dims", 4, "dims is 2"),
        ("regions.max_area", 0.1, "min_area is above max_area"),
        ("prepare.fractions", [0.0], "fractions must lie in"),
        ("finetune.trials", ["detection-1.0", "map-1.5"], "fractions must lie in"),
        ("finetune.trials", ["detection-nan"], "fractions must lie in"),
        ("finetune.trials", ["depth-0.1"], "not depth"),
        ("finetune.trials", ["detection"], "a trial is <task>-<label fraction>"),
        ("finetune.trials", ["detection-1"], "write detection-1.0"),
        ("pretrain_lidar.alpha", 1.5, "alpha must lie in [0, 1]"),
        ("finetune.augmentation.resize", [0.5, 0.4], "lowest, highest"),
        ("distill_camera.augmentation.bev_rotation", -1.0, "must not be negative"),
        ("pretrain_lidar.proposals.radius", 0.0, "radius must be above 0"),
        ("networks.grid.z_max", -9.0, "z_min must lie below"),
        ("networks.lidar.max_points_per_pillar", 0, "max_points_per_pillar must be above 0"),
        ("networks.lidar.max_pillars", [9, 9], "max_pillars needs max_points_per_pillar"),
        ("networks.lidar.voxel_channels", [], "voxel_channels must not be empty"),
        ("pretrain_lidar.schedule.steps", None, "give epochs, steps or both"),
        ("finetune.schedule.epochs", 0.0, "give epochs, steps or both, above 0"),
        ("pretrain_lidar.schedule.micro_batch", 3, "micro_batch must divide batch"),
        ("finetune.schedule.ema", 1.0, "ema must lie between 0 and 1"),
        ("finetune.schedule.steps", -1, "give epochs, steps or both, above 0"),
        ("finetune.pretrained_lr", -0.1, "pretrained_lr must not lie below 0"),
        ("arms.calico.modality", "C", "modality is L or LC"),
        ("networks.heads.groups", [["car"], ["truck"]], "groups must hold each of car, truck"),
        ("networks.heads.nms_radii", {"car": 2.0}, "nms_radii must name each of car, truck"),
        ("networks.heads.nms_ious", {"tram": 0.2}, "nms_ious must name each of car, truck"),
        ("networks.heads.min_score", 1.0, "min_score must lie in [0, 1)"),
        ("networks.heads.transfusion.attention_heads", 5, "channels must be a multiple of attention_heads"),
        ("networks.heads.transfusion.dropout", 1.0, "dropout must lie in [0, 1)"),
    ],
)
def test_impossible_values_are_refused(key: str, value: object, problem: str) -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    *groups, last = key.split(".")
    group = content
    for name in groups:
        group = group[name]
    assert last in group
    group[last] = value
    with pytest.raises(UserError) as caught:
        build_model(Params, content, "params.yaml")
    assert problem in caught.value.problem
    assert caught.value.where == f"params.yaml: {'.'.join(groups)}"


@pytest.mark.parametrize(
    ("key", "value", "problem", "remedy"),
    [
        ("ground", "ransac", "expected plane_fit or patchwork or none", "choose one of plane_fit, patchwork, none"),
        ("ground", "patchwerk", "expected plane_fit or patchwork or none", "did you mean patchwork?"),
        ("clustering", 3, "expected grid or dbscan or sklearn", "choose one of grid, dbscan, sklearn"),
    ],
)
def test_choices_are_closed(key: str, value: object, problem: str, remedy: str) -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["regions"][key] = value
    with pytest.raises(UserError, match=problem) as caught:
        build_model(Params, content, "params.yaml")
    assert (caught.value.where, caught.value.remedy) == (f"params.yaml: regions.{key}", remedy)


def test_trial_is_task_and_fraction() -> None:
    assert parse_trial("detection-0.1") == ("detection", 0.1)
    assert parse_trial("map-1.0") == ("map", 1.0)


@pytest.mark.parametrize("trial", ["detection", "detection-", "0.1", "detection-0.1-0", "detection-few", ""])
def test_other_forms_are_no_trial(trial: str) -> None:
    with pytest.raises(ValueError, match="a trial is <task>-<label fraction>, e.g. detection-0.1, not"):
        parse_trial(trial)


def test_a_trial_without_a_token_list_is_refused() -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["prepare"]["fractions"] = [0.1, 1.0]
    content["finetune"]["trials"] = ["detection-0.1", "map-0.2"]
    with pytest.raises(UserError, match=r"finetune\.trials has map-0\.2, but prepare\.fractions lacks 0\.2: 0\.1, 1"):
        build_model(Params, content, "params.yaml")
    content["finetune"]["trials"] = []
    content["prepare"]["fractions"] = []
    assert build_model(Params, content, "params.yaml").finetune.fractions("map") == []


def test_fractions_of_a_task_keep_their_order() -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["finetune"]["trials"] = ["detection-1.0", "detection-0.1"]
    finetune = build_model(Params, content, "params.yaml").finetune
    assert finetune.fractions("detection") == [1.0, 0.1]
    assert finetune.fractions("map") == []


@pytest.mark.parametrize(("key", "value"), [("device", "tpu"), ("workers", 0), ("threads", -1)])
def test_impossible_runtime_is_refused(key: str, value: object) -> None:
    content = yaml.safe_load((ROOT / "runtime.yaml").read_text())
    with pytest.raises(UserError, match=key):
        build_model(Runtime, content | {key: value}, "runtime.yaml")
