"""Start weights of real timm models, saved as a file of their own and read back into our camera branch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.errors import UserError
from pipeline.geometry.grid import BevGrid
from pipeline.networks.camera import CameraBranch
from pipeline.networks.model import BevModel
from pipeline.networks.transfer import load_start
from pipeline.params import Frames, Networks

SIZE = (64, 96)
SWIN: dict[str, list[int] | int | float | bool | str] = {
    "embed_dim": 8, "depths": [1, 1, 1], "num_heads": [1, 2, 2], "window_size": [4, 4]
}  # fmt: skip
MODELS = [
    ("swin_tiny_patch4_window7_224", SWIN, [1, 2]),
    ("resnet18", {}, [2, 3]),
    ("convnext_atto", {}, [1, 2]),
    ("vit_tiny_patch16_224", {"depth": 2}, [0, 1]),
]


class Student(torch.nn.Module):
    """What a training holds: a camera branch of that name."""

    def __init__(self, networks: Networks, name: str, options: dict[str, list[int] | int], levels: list[int]) -> None:
        super().__init__()
        camera = replace(networks.camera, backbone=name, backbone_options=dict(options), out_indices=levels)
        self.camera = CameraBranch(camera, BevGrid(12.8, 0.8), SIZE)


def foreign(name: str, options: dict[str, list[int] | int], folder: Path) -> tuple[torch.nn.Module, dict[str, Tensor]]:
    """A whole timm classifier with weights of its own, and its file as start weights."""
    torch.manual_seed(7)
    arguments: dict[str, Any] = {**options, "num_classes": 10}
    if name.startswith(("swin", "vit")):
        arguments["img_size"] = SIZE
    model = timm.create_model(name, pretrained=False, **arguments).eval()
    for buffer in model.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    save_file({key: tensor.contiguous() for key, tensor in model.state_dict().items()}, folder / "model.safetensors")
    loaded = load_file(folder / "model.safetensors")
    return model, {f"timm.{key}": tensor for key, tensor in loaded.items()}


@pytest.mark.parametrize(("name", "options", "levels"), MODELS)
def test_features_equal_those_of_the_timm_model(
    networks: Networks, tmp_path: Path, name: str, options: dict[str, list[int] | int], levels: list[int]
) -> None:
    model, weights = foreign(name, options, tmp_path)
    student = Student(networks, name, options, levels).eval()
    images = torch.randn(2, 3, *SIZE)
    timm_model: Any = model
    wanted = timm_model.forward_intermediates(
        images, indices=levels, intermediates_only=True, norm=False, output_fmt="NCHW"
    )
    with torch.no_grad():
        before = student.camera.backbone(images)
        report = load_start(student, weights)
        ours = student.camera.backbone(images)
    for own, theirs, random in zip(ours, wanted, before, strict=True):
        torch.testing.assert_close(own, theirs, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(random, theirs, rtol=1e-2, atol=1e-2)
    assert all(tensor.startswith("camera.backbone.model.") for tensor in report.matched)
    assert not any(tensor.startswith("camera.backbone") for tensor in report.missing)
    assert report.reshaped == ()
    assert any("head" in tensor or "fc" in tensor for tensor in report.unexpected)


def test_the_report_counts_by_part(networks: Networks, tmp_path: Path) -> None:
    _, weights = foreign("resnet18", {}, tmp_path)
    record = load_start(Student(networks, "resnet18", {}, [2, 3]), weights).record()
    missing = record["missing parts"]
    assert isinstance(missing, list)
    assert "camera.view.project: 2" in missing
    assert {part.rpartition(": ")[0] for part in missing} == {
        "camera.neck.laterals", "camera.neck.smooth", "camera.view.project", "camera.bev.0", "camera.bev.1"
    }  # fmt: skip
    # Stage four lies behind the last level that is taken.
    assert record["unexpected parts"] == [
        "timm.fc.bias: 1",
        "timm.fc.weight: 1",
        "timm.layer4.0: 18",
        "timm.layer4.1: 12",
    ]
    assert record["reshaped"] == 0


def test_weights_of_another_backbone_change_nothing(networks: Networks, tmp_path: Path) -> None:
    _, weights = foreign("convnext_atto", {}, tmp_path)
    student = Student(networks, "convnext_femto", {}, [1, 2])
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    with pytest.raises(UserError, match=r"match \d+ of the \d+ tensors .* model \(") as caught:
        load_start(student, weights, least_matched=0.9)
    assert "least_matched" in caught.value.remedy
    assert all(torch.equal(before[name], tensor) for name, tensor in student.state_dict().items())
    report = load_start(student, weights, least_matched=0.0)
    assert report.reshaped


def test_one_tensor_less_is_refused_unless_allowed(networks: Networks, tmp_path: Path) -> None:
    _, weights = foreign("resnet18", {}, tmp_path)
    del weights["timm.layer1.0.conv1.weight"]
    student = Student(networks, "resnet18", {}, [2, 3])
    with pytest.raises(UserError, match=r"layer1\.0\.conv1\.weight \(missing\)"):
        load_start(student, weights)
    assert "camera.backbone.model.layer1.0.conv1.weight" in load_start(student, weights, least_matched=0.95).missing


def test_a_model_takes_a_lidar_branch_and_an_image_backbone(networks: Networks, frames: Frames, tmp_path: Path) -> None:
    networks = replace(networks, camera=replace(networks.camera, backbone="resnet18", backbone_options={}))
    _, weights = foreign("resnet18", {}, tmp_path)
    donor = BevModel(networks, frames, "L", "map")
    start = weights | {name: tensor for name, tensor in donor.state_dict().items() if name.startswith("lidar.")}
    model = BevModel(networks, frames, "LC", "map")
    report = model.load_start(start)
    assert {name.split(".")[0] for name in report.matched} == {"lidar", "camera"}
    conv = model.state_dict()["camera.backbone.model.conv1.weight"]
    assert torch.equal(conv, weights["timm.conv1.weight"])
    # A model without cameras has no place for them.
    lidar_only = BevModel(networks, frames, "L", "map").load_start(start)
    assert {name.split(".")[0] for name in lidar_only.matched} == {"lidar"}
