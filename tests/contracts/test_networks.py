"""What every network owes its callers, whichever LiDAR encoder, image backbone, head and modality it is made of."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from pipeline.networks.heads.centerpoint import REGRESSION
from pipeline.networks.heads.encoding import CODE
from pipeline.networks.heads.map import MapHead
from pipeline.networks.model import BevModel
from pipeline.objectives.detection import detection_loss
from pipeline.objectives.map_segmentation import map_loss
from pipeline.params import Networks
from tests.small_heads import SIX_GROUPS, small_heads
from tests.small_networks import Inputs, small_frames, small_inputs, small_networks

ENCODERS: dict[str, dict[str, Any]] = {
    "pillars": {},
    "capped": {"max_points_per_pillar": 5, "max_pillars": [1500, 1500]},
    "voxels": {"encoder": "voxels", "block_strides": [1, 2], "voxel_channels": [4, 8, 8]},
}
BACKBONES: dict[str, dict[str, Any]] = {
    "swin": {},  # the small one of `small_networks`
    "resnet18": {"backbone": "resnet18", "backbone_options": {}, "out_indices": [2, 3]},
    "convnext": {"backbone": "convnext_atto", "backbone_options": {}, "out_indices": [1, 2]},
}
HEADS: dict[str, dict[str, Any]] = {
    "centerpoint": {},
    "centerpoint-six": {"groups": SIX_GROUPS, "branches": "separate"},
    "transfusion": {"detection": "transfusion"},
    "map": {},
}
# Every encoder, backbone and head, in both modalities where it can be; each beside the first of the others.
LIDAR = [
    *((encoder, None, "map") for encoder in ENCODERS),
    *(("pillars", None, head) for head in HEADS if head != "map"),
]
BOTH = [
    *((encoder, "swin", "map") for encoder in ENCODERS),
    *(("pillars", backbone, "map") for backbone in BACKBONES if backbone != "swin"),
    *(("pillars", "swin", head) for head in HEADS if head != "map"),
]
CASES = {"+".join(filter(None, case)): case for case in [*LIDAR, *BOTH]}
EVERY = pytest.mark.parametrize(("encoder", "backbone", "head"), CASES.values(), ids=CASES)
FULL, NO_POINTS, ONE_POINT, NO_SWEEPS, NO_CAMERAS = range(5)  # the frames of `batch`


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on two."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def sizes(encoder: str, backbone: str | None, head: str) -> Networks:
    small = small_networks()
    return dataclasses.replace(
        small,
        grid=dataclasses.replace(small.grid, stride=4 if encoder == "voxels" else 2),
        lidar=dataclasses.replace(small.lidar, **ENCODERS[encoder]),
        camera=dataclasses.replace(small.camera, **BACKBONES[backbone or "swin"]),
        heads=small_heads(**HEADS[head]),
    )


def build(encoder: str, backbone: str | None, head: str, seed: int = 0) -> BevModel:
    if encoder == "voxels":
        pytest.importorskip("spconv")
    torch.manual_seed(seed)
    networks, task = sizes(encoder, backbone, head), "map" if head == "map" else "detection"
    return BevModel(networks, small_frames(), "LC" if backbone else "L", task)


def batch() -> Inputs:
    """One frame of everything and four that each lack something."""
    small = small_inputs()
    assert small.images is not None and small.bev_from_image is not None and small.camera_present is not None
    cloud = small.points[:400]
    unswept = cloud.clone()
    unswept[:, 4] = 0
    clouds = [cloud, cloud[:0], small.points[-1:], unswept, cloud]
    present = small.camera_present[[0, 0, 1, 0, 0]].clone()
    present[NO_CAMERAS] = False
    offsets = torch.tensor([0, *(len(points) for points in clouds)]).cumsum(0)
    images = torch.randn(5, 6, 3, 32, 64, generator=torch.Generator().manual_seed(1))
    return Inputs(torch.cat(clouds), offsets, images, small.bev_from_image[[0] * 5], present)


def frame_of(inputs: Inputs, b: int) -> Inputs:
    start, stop = inputs.offsets[b : b + 2].tolist()
    assert inputs.images is not None and inputs.bev_from_image is not None and inputs.camera_present is not None
    return Inputs(
        inputs.points[start:stop], torch.tensor([0, stop - start]), inputs.images[b : b + 1],
        inputs.bev_from_image[b : b + 1], inputs.camera_present[b : b + 1],
    )  # fmt: skip


def nothing() -> Inputs:
    inputs = batch()
    assert inputs.camera_present is not None
    return dataclasses.replace(
        inputs,
        points=inputs.points[:0],
        offsets=torch.zeros_like(inputs.offsets),
        camera_present=torch.zeros_like(inputs.camera_present),
    )


def tensors(said: dict[str, Tensor] | Tensor) -> list[Tensor]:
    return list(said.values()) if isinstance(said, dict) else [said]


def comparable(said: dict[str, Tensor] | Tensor) -> list[Tensor]:
    """What rounding only moves a little: TransFusion's proposals change places where scores tie, so its heat map."""
    return [said["heatmap"]] if isinstance(said, dict) and "codes" in said else tensors(said)


def loss_of(model: BevModel, said: dict[str, Tensor] | Tensor, boxes: int = 1) -> Tensor:
    """The head's own loss against one box in the first frame or none at all, or against an empty map."""
    if isinstance(said, Tensor):
        return map_loss(said, torch.zeros_like(said, dtype=torch.float32))["loss"]
    assert not isinstance(model.head, MapHead)
    box, label = torch.tensor([[1.0, 2.0, 0.0, 4.0, 2.0, 1.5, 0.3, 1.0, 0.0]]), torch.zeros(1, dtype=torch.int64)
    targets = model.head.targets([box[:boxes], *[box[:0]] * 4], [label[:boxes], *[label[:0]] * 4])
    return detection_loss(said, targets)["loss"]


@EVERY
def test_shapes_and_names(encoder: str, backbone: str | None, head: str) -> None:
    model = build(encoder, backbone, head).eval()
    with torch.no_grad():
        said = model(batch())
    size, groups = (16, 1) if encoder == "voxels" else (32, 6 if head == "centerpoint-six" else 1)
    if head == "map":
        shapes: Any = (5, 6, 48, 48)
    elif head == "transfusion":
        shapes = {"heatmap": (5, 10, size, size), "labels": (5, 20), "heat": (5, 20), "classes": (5, 20, 10)}
        shapes |= {"codes": (5, 20, sum(CODE.values()))}
    else:
        shapes = {name: (5, groups, channels, size, size) for name, channels in REGRESSION.items()}
        shapes |= {"heatmap": (5, 10, size, size)}
    assert ({n: tuple(t.shape) for n, t in said.items()} if isinstance(said, dict) else tuple(said.shape)) == shapes
    prefixes = {name.split(".")[0] for name in model.state_dict()}
    assert prefixes == {"lidar", "fuser", "head"} | ({"camera"} if backbone else set())


@EVERY
def test_gradient_reaches_every_parameter(encoder: str, backbone: str | None, head: str) -> None:
    model = build(encoder, backbone, head).train()
    for name, parameter in model.named_parameters():
        if name.endswith("weight") and not parameter.any():
            nn.init.ones_(parameter)  # timm starts residual branches at zero, which holds their first gradient back
    generator = torch.Generator().manual_seed(2)
    said = [out for out in tensors(model(batch())) if out.requires_grad]
    total = torch.stack([(out * torch.randn(out.shape, generator=generator)).sum() for out in said]).sum()
    torch.autograd.backward(total)
    dead = [n for n, p in model.named_parameters() if p.grad is None or not 0 < p.grad.abs().sum() < torch.inf]
    assert dead == []


@EVERY
def test_evaluation_repeats_and_survives_a_round_trip(encoder: str, backbone: str | None, head: str) -> None:
    model, twin = build(encoder, backbone, head), build(encoder, backbone, head, seed=1).eval()
    inputs = batch()
    model(inputs)  # moves the running statistics
    model.eval()
    twin.load_state_dict(load(save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})))
    with torch.no_grad():
        said = [tensors(network(inputs)) for network in (model, model, twin)]
    for one, two, three in zip(*said, strict=True):
        assert torch.equal(one, two) and torch.equal(one, three)


@EVERY
def test_frames_that_lack_something_pass_and_do_not_mix(encoder: str, backbone: str | None, head: str) -> None:
    model, inputs = build(encoder, backbone, head).train(), batch()
    for given, boxes in ((inputs, 1), (inputs, 0), (nothing(), 0)):
        model.zero_grad()
        loss = loss_of(model, model(given), boxes)
        torch.autograd.backward(loss)
        assert torch.isfinite(loss)
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())
    model.eval()
    with torch.no_grad():
        together = comparable(model(inputs))
        for b in (FULL, NO_POINTS, ONE_POINT, NO_SWEEPS, NO_CAMERAS):
            for own, all_of_them in zip(comparable(model(frame_of(inputs, b))), together, strict=True):
                torch.testing.assert_close(own, all_of_them[b : b + 1], rtol=1e-3, atol=1e-4)
    assert all(torch.isfinite(out).all() for out in together)


@EVERY
def test_bfloat16_autocast_trains_and_stays_close(encoder: str, backbone: str | None, head: str) -> None:
    """To a twentieth of an output's spread and 0.05."""
    model, inputs = build(encoder, backbone, head), batch()
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_of(model, model(inputs))
    torch.autograd.backward(loss)
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    model.eval()
    with torch.no_grad():
        wanted = comparable(model(inputs))
        with torch.autocast("cpu", torch.bfloat16):
            rounded = comparable(model(inputs))
    for ours, exact in zip(rounded, wanted, strict=True):
        assert (ours.float() - exact).abs().max() < 0.05 * exact.std() + 0.05


class Dense(nn.Module):
    """Everything behind the LiDAR encoder and the choice of present cameras."""

    def __init__(self, model: BevModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, encoded: Tensor, images: Tensor, bev_from_image: Tensor, frame: Tensor
    ) -> dict[str, Tensor] | Tensor:
        """Encoded clouds [B, C, S, S]; images [M, 3, H, W], their matrices [M, 4, 4] and their frames int64 [M]."""
        lidar, camera = self.model.lidar, self.model.camera
        maps = [lidar.neck(lidar.backbone(encoded))]
        if camera is not None:
            features = camera.neck(camera.backbone(images))
            maps.append(camera.bev(camera.view(features, bev_from_image, frame, len(encoded))[0]))
        said: dict[str, Tensor] | Tensor = self.model.head(self.model.fuser(maps))
        return said


@pytest.mark.parametrize(("backbone", "head"), [case[1:] for case in CASES.values() if case[0] == "pillars"])
def test_what_follows_the_encoder_exports(backbone: str | None, head: str) -> None:
    """As one graph of tensors, equal to the model also for another rig; docs/architecture.md says what does not."""
    model, inputs = build("pillars", backbone, head).eval(), batch()
    present = inputs.camera_present
    assert inputs.images is not None and inputs.bev_from_image is not None and present is not None
    with torch.no_grad():
        encoded = model.lidar.get_submodule("pillars")(inputs.points, inputs.offsets)
        given = (encoded, inputs.images[present], inputs.bev_from_image[present], present.nonzero()[:, 0])
        program = torch.export.export(Dense(model), given).module()
        moved = inputs.bev_from_image.clone()
        moved[..., :2, 3] += 1.5
        for matrices in (inputs.bev_from_image, moved):
            ours = program(given[0], given[1], matrices[present], given[3])
            wanted = model(dataclasses.replace(inputs, bev_from_image=matrices))
            for one, two in zip(comparable(ours), comparable(wanted), strict=True):
                torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_encoders_do_not_export(encoder: str) -> None:
    """The data alone tell how many points and cells count. Once this fails, docs/architecture.md is wrong."""
    branch, inputs = build(encoder, None, "map").lidar.eval(), batch()
    with torch.no_grad(), pytest.raises(GuardOnDataDependentSymNode, match="data-dependent"):
        torch.export.export(branch, (inputs.points, inputs.offsets))
