"""conf/ and params.yaml stay equal, by `calico configure` and by DVC's own composition."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.configure import compose, configure, read_choice
from pipeline.errors import UserError
from pipeline.params import load_params

ROOT = Path(__file__).parents[1]
SIMULATED = ("embedded", "embedded_64")
RECORDED = ("nuscenes", "nuscenes_mini", "nuscenes_sample", "nuscenes_test")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of conf/ and params.yaml, set to the embedded world."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    configure(["dataset=embedded", "scale=embedded"], root=tmp_path)
    return tmp_path


def values(project: Path) -> dict[str, dict[str, object]]:
    content: dict[str, dict[str, object]] = yaml.safe_load((project / "params.yaml").read_text())
    return content


def test_params_yaml_is_the_composition_of_conf() -> None:
    assert (ROOT / "params.yaml").read_text() == compose(ROOT / "conf"), "run calico configure and commit both files"


def test_committed_choice_is_the_embedded_world_without_values_over_it() -> None:
    chosen = read_choice(ROOT / "conf")
    groups = {
        "regions": "paper", "scale": "embedded", "schedule": "budget", "dataset": "embedded", "experiment": "main"
    }  # fmt: skip
    assert chosen == (groups, {}), "git checkout conf/config.yaml params.yaml"


def test_a_preset_of_regions_is_one_word_away_and_back(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    configure(["regions=calico+"], root=project)
    regions = load_params(project / "params.yaml").regions
    assert (regions.dims, regions.range_scale, regions.split_eps) == (3, 20.0, 0.25)
    configure(["regions=paper"], root=project)
    assert (project / "params.yaml").read_bytes() == before


@pytest.mark.parametrize("schedule", ["budget", "equal_epochs", "equal_iterations"])
@pytest.mark.parametrize("scale", ["embedded", "paper"])
def test_a_named_schedule_says_what_every_fraction_gets(schedule: str, scale: str, project: Path) -> None:
    """Steps of detection with 10 % and with all frames: 2,813 of 28,130 in nuScenes, 20 of 184 embedded."""
    configure(
        [f"schedule={schedule}", f"scale={scale}", "prepare.fractions=[0.1,1.0]", "finetune.trials=[]"], root=project
    )
    own, full = load_params(project / "params.yaml").finetune, 184 if scale == "embedded" else 28130
    schedules = own.schedule_for("detection", full)
    few, all_steps = schedules.total_steps(20 if full == 184 else 2813), schedules.total_steps(full)
    expected = {
        ("embedded", "budget"): (280, 560), ("embedded", "equal_epochs"): (280, 2576),
        ("embedded", "equal_iterations"): (560, 560),
        ("paper", "budget"): (7033, 70325), ("paper", "equal_epochs"): (7033, 70325),
        ("paper", "equal_iterations"): (70325, 70325),
    }  # fmt: skip
    assert (few, all_steps) == expected[scale, schedule]
    assert own.schedule_for("map", full).total_steps(full) == (
        {"equal_epochs": 2576}.get(schedule, 400) if scale == "embedded" else 70325
    )


@pytest.mark.parametrize("scale", ["embedded", "paper", "paper_voxels"])
@pytest.mark.parametrize("dataset", [*SIMULATED, *RECORDED])
def test_every_choice_fills_every_key(dataset: str, scale: str, project: Path) -> None:
    configure([f"dataset={dataset}", f"scale={scale}", "dataset.root=/x"], root=project)
    params = load_params(project / "params.yaml")
    assert params.dataset.name == dataset
    assert params.dataset.root == "/x"
    assert (params.networks.grid.reach > 50) == (scale != "embedded")
    asked = {fraction for task in ("detection", "map") for fraction in params.finetune.fractions(task)}
    assert asked and asked <= set(params.prepare.fractions)
    assert set(params.finetune.arms) <= set(params.arms)
    assert params.report.reference_arm in params.finetune.arms
    if params.stress.families:
        assert set(params.stress.trials) & set(params.finetune.trials)
        assert set(params.stress.seeds) & set(params.finetune.seeds)
    assert bool(params.dataset.simulated) == (dataset in SIMULATED)


@pytest.mark.parametrize("dataset", RECORDED)
def test_recorded_data_without_a_root_is_refused_and_nothing_changes(dataset: str, project: Path) -> None:
    before = {path: path.read_bytes() for path in project.rglob("*.yaml")}
    with pytest.raises(UserError) as caught:
        configure([f"dataset={dataset}"], root=project)
    assert "dataset.root" in caught.value.where
    assert "calico configure dataset.root=" in caught.value.remedy
    assert {path: path.read_bytes() for path in project.rglob("*.yaml")} == before


def test_values_are_kept_until_their_group_changes(project: Path) -> None:
    configure(["dataset=nuscenes", "dataset.root=/x", "regions.eps=0.5"], root=project)
    configure(["regions.min_samples=7"], root=project)
    assert values(project)["dataset"]["root"] == "/x"
    assert values(project)["regions"]["eps"] == 0.5
    assert values(project)["regions"]["min_samples"] == 7
    configure(["dataset=embedded"], root=project)
    assert values(project)["dataset"]["root"] == "data/raw/embedded"
    assert values(project)["regions"]["eps"] == 0.5


def test_configuring_back_gives_the_same_bytes_and_nothing_to_change(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    assert configure([], root=project) == []
    configure(["dataset=nuscenes", "dataset.root=/x", "finetune.trials=[map-0.1, map-1.0]"], root=project)
    assert values(project)["finetune"]["trials"] == ["map-0.1", "map-1.0"]
    configure(["dataset=embedded", "finetune.trials=[map-0.1,map-1.0]"], root=project)
    assert yaml.safe_load(before)["dataset"] == values(project)["dataset"]


@pytest.mark.parametrize(
    ("assignment", "where", "remedy"),
    [
        ("dataset=nuscene", "conf/dataset", "did you mean dataset=nuscenes?"),
        ("scale=huge", "conf/scale", "embedded, paper"),
        ("dataset=../../etc/passwd", "conf/dataset", "choose one of"),
        ("regions.epz=1", "regions.epz", "did you mean regions.eps?"),
        ("regions.eps=wide", "regions.eps", "write a number"),
        ("regions.eps=-1", "params.yaml: regions", "correct the value"),
        ("regions.eps", "command line", "key=value"),
        ("regions.eps=[1", "regions.eps", "write a YAML value"),
        ("regions=3", "conf/regions", "choose one of calico+, paper"),
        ("defaults=3", "params.yaml: defaults", "valid keys here"),
    ],
)
def test_bad_assignments_are_refused_with_advice(assignment: str, where: str, remedy: str, project: Path) -> None:
    before = (project / "conf/config.yaml").read_bytes(), (project / "params.yaml").read_bytes()
    with pytest.raises(UserError) as caught:
        configure([assignment], root=project)
    assert where in caught.value.where
    assert remedy in caught.value.remedy
    assert before == ((project / "conf/config.yaml").read_bytes(), (project / "params.yaml").read_bytes())


def test_dvc_composes_the_same_bytes(project: Path) -> None:
    """The real `dvc exp run -S` on a graph that copies one value."""
    choice = ["dataset=nuscenes", "scale=paper", "dataset.root=/x", "regions.eps=0.5"]
    shutil.copytree(ROOT / ".dvc", project / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "config.local"))
    stage = {"cmd": "cp params.yaml seen.yaml", "params": ["dataset"], "outs": ["seen.yaml"]}
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"copy": stage}}))
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"]):
        subprocess.run(["git", *command], cwd=project, check=True)
    options = [word for override in choice for word in ("-S", override)]
    subprocess.run([sys.executable, "-m", "dvc", "exp", "run", "-q", *options], cwd=project, check=True)
    by_dvc = (project / "seen.yaml").read_text()
    configure(choice, root=project)
    assert by_dvc == (project / "params.yaml").read_text()
