"""The whole model: where things stand on the map, start weights. See also tests/contracts/test_networks.py."""

import dataclasses
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.errors import UserError
from pipeline.geometry.grid import BevGrid
from pipeline.networks.camera import CameraBranch
from pipeline.networks.lidar import LidarBranch
from pipeline.networks.model import BevModel
from pipeline.networks.second import SecondFpn
from pipeline.params import Frames, Networks


def build(networks: Networks, frames: Frames, modality: str, task: str, seed: int = 0) -> BevModel:
    torch.manual_seed(seed)
    return BevModel(networks, frames, modality, task)


def test_absent_cameras_contribute_nothing(networks: Networks, inputs: Any) -> None:
    torch.manual_seed(0)
    branch = CameraBranch(networks.camera, BevGrid(12.8, 0.8), (32, 64)).eval()
    absent = ~inputs.camera_present
    noisy = inputs.images.clone()
    noisy[absent] = torch.nan
    splatted: list[Tensor] = []
    branch.view.register_forward_hook(lambda _module, _inputs, output: splatted.append(output[0]))
    with torch.no_grad():
        one = branch(inputs.images, inputs.bev_from_image, inputs.camera_present)
        two = branch(noisy, inputs.bev_from_image, inputs.camera_present)
        only_first = inputs.camera_present.clone()
        only_first[1] = False
        branch(inputs.images, inputs.bev_from_image, only_first)
    assert torch.equal(one, two)
    assert splatted[0][1].abs().sum() > 0
    assert splatted[2][1].abs().sum() == 0


@pytest.mark.parametrize("stride", [1, 2])
def test_a_camera_pixel_stays_at_its_place_whatever_grid_it_is_splatted_on(
    networks: Networks, inputs: Any, stride: int
) -> None:
    """Trap 9.1 behind the splat: with every BEV filter a box, a ray's light stays around its cell of the result."""
    torch.manual_seed(0)
    camera = dataclasses.replace(networks.camera, splat_stride=stride)
    branch = CameraBranch(camera, BevGrid(12.8, 0.8), (32, 64)).eval()
    assert branch.view.grid == BevGrid(12.8, 0.8 / stride)
    for parameter in branch.bev.parameters():
        torch.nn.init.constant_(parameter, 0.1 if parameter.dim() == 4 else float(parameter.detach()[0]))
    size = branch.view.grid.size
    centres = torch.from_numpy(branch.out_grid.centres())
    for row, column in ((5, 20), (20, 9)):
        light = torch.zeros(1, branch.out_channels, size, size)
        light[..., row * stride : (row + 1) * stride, column * stride : (column + 1) * stride] = 1.0
        with torch.no_grad():
            answer = (branch.bev(light) - branch.bev(torch.zeros_like(light))).sum(1)[0]
        assert answer.shape == (32, 32)
        middle = (centres * answer[..., None]).sum((0, 1)) / answer.sum()
        assert (middle - centres[row, column]).abs().max() <= branch.out_grid.cell / 2
    assert branch(inputs.images, inputs.bev_from_image, inputs.camera_present).shape == (2, 6, 32, 32)


def test_lidar_branch_keeps_a_point_at_its_place(networks: Networks) -> None:
    """Trap 9.1 for the LiDAR: with every filter a box, one point answers around its own position."""
    branch = LidarBranch(networks.lidar, networks.grid).eval()
    for name, parameter in branch.named_parameters():
        if parameter.dim() == 4:
            torch.nn.init.constant_(parameter, 0.1)
        elif name == "pillars.layers.0.norm.bias":
            torch.nn.init.ones_(parameter)
    assert branch.out_grid == BevGrid(12.8, 0.8)
    centres = torch.from_numpy(branch.out_grid.centres())
    for position in ([6.3, -9.1], [-4.1, 2.9], [0.1, 0.1]):
        with torch.no_grad():
            answer = branch(torch.tensor([[*position, 0.0, 0.5, 0.0]]), torch.tensor([0, 1])).sum(1)[0]
        middle = (centres * answer[..., None]).sum((0, 1)) / answer.sum()
        assert (middle - torch.tensor(position)).abs().max() <= branch.out_grid.cell


def test_pyramid_at_the_papers_strides() -> None:
    neck = SecondFpn([4, 8, 16], [2, 4, 8], [6, 6, 6], stride=4)
    maps = [torch.randn(1, channels, 32 // s, 32 // s) for channels, s in zip([4, 8, 16], [1, 2, 4], strict=True)]
    assert neck(maps).shape == (1, 18, 16, 16)
    with pytest.raises(ValueError, match="stride 3"):
        SecondFpn([4], [3], [6], stride=2)


def test_lc_without_images_is_refused(networks: Networks, frames: Frames, inputs: Any) -> None:
    with pytest.raises(ValueError, match="camera_present"):
        build(networks, frames, "LC", "map")(dataclasses.replace(inputs, images=None))


def test_start_weights(networks: Networks, frames: Frames) -> None:
    donor = build(networks, frames, "LC", "map", seed=1)
    weights = {n: t for n, t in donor.state_dict().items() if n.startswith(("lidar.", "camera."))}
    weights["lidar_projector.layers.0.weight"] = torch.zeros(1)
    model = build(networks, frames, "LC", "detection")
    report = model.load_start(weights, ["lidar", "camera"])
    assert report.counts() == {
        "matched": len(weights) - 1,
        "missing": sum(n.startswith(("fuser.", "head.")) for n in model.state_dict()),
        "unexpected": 1,
        "reshaped": 0,
    }
    assert all(torch.equal(model.state_dict()[name], weights[name]) for name in report.matched)
    lidar_only = build(networks, frames, "L", "detection")
    report = lidar_only.load_start(weights)
    assert all(name.startswith("lidar.") for name in report.matched)
    assert report.unexpected == tuple(sorted(n for n in weights if not n.startswith("lidar.")))


def test_an_absent_branch_starts_at_random(networks: Networks, frames: Frames) -> None:
    weights = {n: t for n, t in build(networks, frames, "L", "map", seed=1).state_dict().items() if n[:5] == "lidar"}
    model = build(networks, frames, "LC", "map")
    report = model.load_start(weights)
    assert report.matched == tuple(sorted(weights))
    with pytest.raises(UserError, match="branch 'camera'"):
        model.load_start(weights, ["lidar", "camera"])
    assert build(networks, frames, "LC", "map").load_start({}).matched == ()


@pytest.mark.parametrize(("modality", "task"), [("C", "map"), ("L", "tracking")])
def test_unknown_modality_or_task_is_refused(networks: Networks, frames: Frames, modality: str, task: str) -> None:
    with pytest.raises(ValueError, match="unknown"):
        BevModel(networks, frames, modality, task)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda w: w.pop("lidar.pillars.layers.0.linear.weight"),
            r"lidar\.pillars\.layers\.0\.linear\.weight \(missing",
        ),
        (
            lambda w: w.update({"lidar.pillars.layers.0.linear.weight": torch.zeros(3, 3)}),
            r"shape \(3, 3\), model \(8,",
        ),
        (lambda w: w.update({"lidar.more": torch.zeros(1)}), r"lidar\.more \(not in the model"),
    ],
)
def test_incomplete_start_weights_change_nothing(networks: Networks, frames: Frames, damage: Any, message: str) -> None:
    weights = build(networks, frames, "L", "map", seed=1).state_dict()
    damage(weights)
    model = build(networks, frames, "L", "map")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(UserError, match=message):
        model.load_start(weights)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    with pytest.raises(UserError, match="no such branch"):
        model.load_start(weights, ["camera"])


def test_lidar_models_never_import_timm_nor_data_rooms() -> None:
    code = (
        "import sys, pipeline.networks.model, pipeline.objectives.detection, pipeline.objectives.map_segmentation;"
        "print([m for m in ('timm', 'spconv', 'zarr', 'nuscenes', 'dvc', 'pipeline.frames') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
