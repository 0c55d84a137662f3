"""Every arm and task of the paper's scales can be built, and gives outputs of the paper's sizes."""

from functools import cache
from pathlib import Path

import pytest
import torch

from pipeline.configure import params_at
from pipeline.networks.model import BevModel
from pipeline.networks.synthetic import SyntheticBatch, make_batch
from pipeline.params import Params

ROOT = Path(__file__).parents[2]
MODELS = [(modality, task) for modality in ("L", "LC") for task in ("detection", "map")]


@cache
def params(scale: str) -> Params:
    return params_at(scale, root=ROOT)


def build(scale: str, modality: str, task: str) -> BevModel:
    if scale == "paper_voxels":
        pytest.importorskip("spconv")
    return BevModel(params(scale).networks, params(scale).frames, modality, task)


@pytest.mark.parametrize("scale", ["paper", "paper_voxels"])
@pytest.mark.parametrize(("modality", "task"), MODELS)
def test_builds_for_every_arm_and_task(scale: str, modality: str, task: str) -> None:
    assert {arm.modality for arm in params(scale).arms.values()} == {"L", "LC"}
    with torch.device("meta"):
        model = build(scale, modality, task)
    assert all(parameter.is_meta for parameter in model.parameters())
    assert (model.lidar.out_grid.size, model.fuser.out_channels) == (128, 384)


@pytest.mark.parametrize("task", ["detection", "map"])
def test_paper_forward(task: str) -> None:
    """Of the LiDAR: the camera branch shares nothing with it but the fuser, and takes seconds."""
    model = build("paper", "L", task).eval()
    full = make_batch(params("paper").frames, 2000, images=False, batch=1, device=torch.device("cpu"))
    batch = SyntheticBatch(full.points[:2000], torch.tensor([0, 2000]), None, None, None)
    with torch.no_grad():
        outputs = model(batch)
    if task == "map":
        assert isinstance(outputs, torch.Tensor)
        assert outputs.shape == (1, 6, 200, 200)
    else:
        assert isinstance(outputs, dict)
        assert outputs["heatmap"].shape == (1, 10, 128, 128)
        assert outputs["codes"].shape == (1, 200, 10)


def test_paper_camera_branch_on_meta() -> None:
    with torch.device("meta"):
        camera = build("paper", "LC", "map").camera
        assert camera is not None
        maps = camera.backbone(torch.empty(6, 3, 256, 704))
    assert [tuple(level.shape) for level in maps] == [(6, 192, 32, 88), (6, 384, 16, 44), (6, 768, 8, 22)]
    assert camera.view.grid.size == 256
    assert len(camera.view.depths) == 118
