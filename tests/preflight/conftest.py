"""A project on the small embedded world, indexed; nothing else made."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pipeline.configure import compose
from pipeline.frames.index import FrameIndex
from pipeline.frames.index_building import build_index
from pipeline.frames.map_drawing import build_maps
from pipeline.params import Params, Runtime, load_params

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def indexed_project(world: Path, world_runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only: tests that break something take `project`."""
    project = tmp_path_factory.mktemp("project") / "project"
    for name in ("conf", "pipeline", "stages"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", project)
    choice = (
        "scale=embedded", "dataset=embedded", f"dataset.root={world}", "dataset.simulated=[]",
        "prepare.fractions=[1.0]", "finetune.trials=[detection-1.0, map-1.0]", "finetune.seeds=[0]",
        "finetune.schedule.batch=2",
    )  # fmt: skip
    (project / "params.yaml").write_text(compose(ROOT / "conf", choice))
    (project / "runtime.yaml").write_text(yaml.safe_dump(vars(world_runtime)))
    (project / "data" / "index").mkdir(parents=True)
    dataset = load_params(project / "params.yaml").dataset
    build_index(dataset, project / "data" / "index")
    index = FrameIndex.open(project / "data" / "index", world)
    assert build_maps(world, 0.5, index, project / "data" / "index")
    return project


@pytest.fixture
def project(indexed_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, which is the working directory."""
    copy = Path(shutil.copytree(indexed_project, tmp_path / "project"))
    monkeypatch.chdir(copy)
    return copy


@pytest.fixture
def params(project: Path) -> Params:
    return load_params(project / "params.yaml")


@pytest.fixture
def own_world(params: Params, world: Path, tmp_path: Path) -> Params:
    """The same params on a copy of the world that a test may break."""
    root = shutil.copytree(world, tmp_path / "world")
    return replace(params, dataset=replace(params.dataset, root=str(root)))
