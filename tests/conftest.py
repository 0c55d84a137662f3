"""A small embedded world and its regions, built once a test session for every room that reads data."""

import shutil
from contextlib import chdir
from pathlib import Path

import pytest
import yaml

from pipeline.params import Runtime, Simulate
from pipeline.simulation.world import build_world
from tests.tiny_project import TinyProject, build_tiny_project


@pytest.fixture(scope="session")
def world_params() -> Simulate:
    """Params of the small world."""
    return Simulate(
        seed=3, train_scenes=2, val_scenes=1, keyframes_per_scene=3, azimuth_steps=360, range_noise=0.02, dropout=0.03,
        max_range=70.0, image_width=160, image_height=90, jpeg_quality=85,
    )  # fmt: skip


@pytest.fixture(scope="session")
def world_runtime() -> Runtime:
    """One process, no dask."""
    return Runtime(workers=1, scheduler=None, device="cpu", threads=1, loader_threads=0, save_every=60.0)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, world_params: Simulate, world_runtime: Runtime) -> Path:
    """Root of the small world; its tables are in `v1.0-embedded`. Tests must not write into it."""
    root = tmp_path_factory.mktemp("world")
    build_world(world_params, "v1.0-embedded", root, world_runtime)
    return root


@pytest.fixture(scope="session")
def region_template(world: Path, world_runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with what the stages prepare and regions make of the small world, two frames a shard.

    Tests must not write into it: they take `region_project`.
    """
    from stages import prepare, regions

    project = tmp_path_factory.mktemp("regions")
    content = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text())
    content["dataset"]["root"] = str(world)
    content["prepare"] |= {"map_resolution": 1.0, "fractions": [1.0]}
    content["finetune"]["trials"] = ["detection-1.0", "map-1.0"]
    content["regions"]["frames_per_shard"] = 2
    (project / "params.yaml").write_text(yaml.safe_dump(content))
    (project / "runtime.yaml").write_text(yaml.safe_dump(vars(world_runtime)))
    with chdir(project):
        prepare.main()
        regions.main()
    return project


@pytest.fixture
def region_project(region_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the working directory."""
    project = Path(shutil.copytree(region_template, tmp_path / "project"))
    monkeypatch.chdir(project)
    return project


@pytest.fixture(scope="session")
def tiny_template(tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """A whole project under git and DVC. Tests must not change it: they take `tiny_project`."""
    return build_tiny_project(tmp_path_factory.mktemp("tiny") / "project", tmp_path_factory.mktemp("dvc"))


@pytest.fixture
def tiny_project(tiny_template: TinyProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyProject:
    """A copy of it, as the working directory; DVC's links into its cache become files."""
    project = TinyProject(Path(shutil.copytree(tiny_template.root, tmp_path / "project")))
    monkeypatch.chdir(project.root)
    return project
