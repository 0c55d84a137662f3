"""A project in which each training stage takes a second, with what the undisturbed stages publish."""

import shutil
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.params import Runtime
from stages import distill_camera, finetune, pretrain_lidar, start
from tests.faults.training_process import Stages

STEPS = 3
CELL = ("scratch-LC", "detection-1.0")


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


def make_small(content: dict[str, Any]) -> None:
    """Small networks and few steps; the head keeps its dropout, so that the random state counts."""
    networks = content["networks"]
    networks["grid"] |= {"pillar": 0.8}
    networks["lidar"] |= {
        "pillar_channels": [8], "block_channels": [8, 16], "block_layers": [1, 1], "block_strides": [2, 2],
        "neck_channels": [8, 8],
    }  # fmt: skip
    networks["camera"] |= {"neck_channels": 8, "context_channels": 6}
    networks["camera"]["backbone_options"] |= {"embed_dim": 8, "drop_path_rate": 0.2}
    networks["heads"] |= {"fused_channels": 8, "detection_channels": 8, "map_channels": 8}
    networks["embedding"] = 16
    content["frames"] |= {"image_height": 32, "image_width": 64}
    short = {"epochs": None, "steps": STEPS, "batch": 2}
    for name in ("pretrain_lidar", "distill_camera"):
        content[name] |= {"rich": 64, "less": 64}
        content[name]["schedule"] |= short
    content["finetune"] |= {"arms": [CELL[0]], "trials": [CELL[1]], "seeds": [0, 1], "map_steps": None}
    content["finetune"]["schedule"] |= short
