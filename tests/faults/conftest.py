"""A project in which each training stage takes a second, with what the undisturbed stages publish."""

import shutil
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
import yaml

from pipeline.params import Runtime
from stages import distill_camera, finetune, pretrain_lidar, start
from tests.faults.training_process import Stages
from tests.small_trainings import CELL, make_small


@pytest.fixture(scope="session")
def training_template(region_template: Path, world_runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index, labels, regions, and the checkpoints of every training after `STEPS` steps of small networks.

    The state is saved after every step. Tests must not write into it: they take `training_project`.
    """
    project = tmp_path_factory.mktemp("trainings") / "project"
    shutil.copytree(region_template, project)
    shutil.copytree(Path(__file__).parents[2] / "conf" / "weights", project / "conf" / "weights")
    content = yaml.safe_load((project / "params.yaml").read_text())
    make_small(content)
    (project / "params.yaml").write_text(yaml.safe_dump(content))
    (project / "runtime.yaml").write_text(yaml.safe_dump(vars(world_runtime) | {"save_every": 0.0}))
    with chdir(project):
        pretrain_lidar.main("prc")
        distill_camera.main("rad")
        start.main(CELL[0])
        for seed in (0, 1):
            finetune.main(*CELL, seed)
    return project


@pytest.fixture(scope="session")
def stages() -> Iterator[Stages]:
    """Runs training stages."""
    with Stages() as server:
        yield server


@pytest.fixture
def training_project(training_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the working directory."""
    project = Path(shutil.copytree(training_template, tmp_path / "project"))
    monkeypatch.chdir(project)
    return project
