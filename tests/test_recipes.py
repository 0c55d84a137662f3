"""Every recipe of conf/experiment composes, its arms can be built, DVC resolves its graph, and it is documented."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.configure import compose
from pipeline.params import Params, camera_method, lidar_method
from pipeline.strict_yaml import build_model

ROOT = Path(__file__).parents[1]
RECIPES = sorted(path.stem for path in (ROOT / "conf/experiment").glob("*.yaml") if path.stem != "main")
MADE = re.compile(r"data/checkpoints/(pretrain_lidar|distill_camera)/(\w+)")


def params_of(recipe: str) -> Params:
    return build_model(Params, yaml.safe_load(compose(ROOT / "conf", [f"experiment={recipe}"])), "params.yaml")


def commands(recipe: str) -> list[str]:
    """The lines of the head comment that call dvc."""
    comment = (ROOT / f"conf/experiment/{recipe}.yaml").read_text()
    return re.findall(r"^#   (dvc .*)$", comment, flags=re.MULTILINE)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_arm_of_a_recipe_has_weights_that_the_recipe_makes(recipe: str) -> None:
    params = params_of(recipe)
    assert set(params.finetune.arms) <= set(params.arms)
    assert params.report.reference_arm in params.finetune.arms
    assert {fraction for task in ("detection", "map") for fraction in params.finetune.fractions(task)} <= set(
        params.prepare.fractions
    )
    for name in params.finetune.arms:
        arm = params.arms[name]
        assert name.endswith("-L") == (arm.modality == "L")
        for source in (arm.lidar, arm.camera):
            if made := MADE.fullmatch(source):
                stage, method = made.groups()
                methods = params.pretrain_lidar.methods if stage == "pretrain_lidar" else params.distill_camera.methods
                assert method in methods, f"{recipe}: {name} starts from {source}, which nothing makes"
            else:
                assert source.startswith("data/imported/") or (ROOT / source).is_file(), source
    assert params.distill_camera.teacher in params.pretrain_lidar.methods
    for method in params.pretrain_lidar.methods:
        lidar_method(method)
    for method in params.distill_camera.methods:
        camera_method(method)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_head_of_a_recipe_says_question_claim_command_and_result(recipe: str) -> None:
    head = (ROOT / f"conf/experiment/{recipe}.yaml").read_text().split("\n\n")[0]
    assert "?" in head and "# Paper" in head
    (title,) = re.findall(r'^# Result: docs/results\.md, "(.+)"\.$', head, flags=re.MULTILINE)
    results = (ROOT / "docs/results.md").read_text()
    assert f"\n### {title}\n" in results
    assert f"`{recipe}`" in results and f"`{recipe}`" in (ROOT / "README.md").read_text()
    assert commands(recipe), "no dvc command"


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_commands_of_a_recipe_compose(recipe: str) -> None:
    """Every value of every sweep; the names of its stages are those of dvc.yaml."""
    stages = set(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
    composed: set[str] = set()
    for command in commands(recipe):
        words = command.partition("&&")[0].replace("'", "").split()
        if words[1:3] == ["exp", "run"]:
            overrides = [words[place + 1] for place, word in enumerate(words) if word == "-S"]
            plain = [word for word in overrides if "," not in word]
            sweeps = [word.partition("=") for word in overrides if "," in word]
            for key, _, values in sweeps or [("", "", "")]:
                for value in values.split(","):
                    text = compose(ROOT / "conf", [*plain, f"{key}={value}"] if key else plain)
                    assert text not in composed, "two commands run the same"
                    composed.add(text)
            assert set(words[words.index(overrides[-1]) + 1 :]) <= stages
    assert composed


def test_dvc_resolves_the_graph_of_a_recipe_with_arms_of_its_own(tmp_path: Path) -> None:
    """Real `dvc` on dvc.yaml with a recipe's params: one stage for each arm, checkpoint and cell."""
    recipe = "camera_pretraining"
    for name in ("dvc.yaml", ".dvcignore"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "params.yaml").write_text(compose(ROOT / "conf", [f"experiment={recipe}"]))
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--no-scm", "--quiet"], cwd=tmp_path, check=True)
    done = subprocess.run([*dvc, "stage", "list", "--name-only"], cwd=tmp_path, check=True, capture_output=True)
    listed = set(done.stdout.decode().split())
    params = params_of(recipe)
    assert {f"start@{name}" for name in params.arms} <= listed
    assert {f"distill_camera@{method}" for method in params.distill_camera.methods} <= listed
    cells = {
        f"finetune@{arm}-{trial}-{seed}"
        for arm in params.finetune.arms
        for trial in params.finetune.trials
        for seed in params.finetune.seeds
    }
    assert cells == {name for name in listed if name.startswith("finetune@")}
