"""What every head owes its callers."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.geometry.grid import BevGrid
from pipeline.networks.heads.centerpoint import CenterPointHead
from pipeline.networks.heads.map import MapHead
from pipeline.networks.heads.transfusion import TransFusionHead
from pipeline.objectives.detection import detection_loss
from tests.networks.heads.scenes import scene
from tests.small_heads import SIX_GROUPS, small_heads

GRID = BevGrid(12.8, 0.8)
HEADS: dict[str, Callable[[], nn.Module]] = {
    "centerpoint": lambda: CenterPointHead(16, small_heads(), GRID),
    "centerpoint-six": lambda: CenterPointHead(16, small_heads(groups=SIX_GROUPS, branches="separate"), GRID),
    "transfusion": lambda: TransFusionHead(16, small_heads(), GRID),
    "map": lambda: MapHead(16, small_heads(), GRID),
}
EVERY = pytest.mark.parametrize("name", HEADS)


def build(name: str, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return HEADS[name]()


def maps(batch: int = 2) -> Tensor:
    return torch.randn(batch, 16, 32, 32, generator=torch.Generator().manual_seed(1))


def tensors(outputs: dict[str, Tensor] | Tensor) -> list[Tensor]:
    return list(outputs.values()) if isinstance(outputs, dict) else [outputs]


@EVERY
def test_gradient_reaches_every_parameter(name: str) -> None:
    head = build(name)
    generator = torch.Generator().manual_seed(2)
    bev = maps().requires_grad_()
    said = [out for out in tensors(head(bev)) if out.requires_grad]
    total = torch.stack([(out * torch.randn(out.shape, generator=generator)).sum() for out in said]).sum()
    torch.autograd.backward(total)
    assert [n for n, p in head.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []
    assert bev.grad is not None and (bev.grad.flatten(1).abs().sum(1) > 0).all()


@EVERY
def test_evaluation_repeats_and_survives_a_round_trip(name: str) -> None:
    head, twin = build(name), build(name, seed=1).eval()
    head(maps())  # moves the running statistics
    twin.load_state_dict(copy.deepcopy(head.state_dict()))
    head.eval()
    with torch.no_grad():
        for one, two, three in zip(*(tensors(h(maps())) for h in (head, head, twin)), strict=True):
            assert torch.equal(one, two) and torch.equal(one, three)


@EVERY
def test_bfloat16_autocast_trains_and_stays_close(name: str) -> None:
    head = build(name)
    with torch.autocast("cpu", torch.bfloat16):
        said = head(maps())
        if isinstance(said, dict):
            boxes, classes = scene(0, count=6)
            loss = detection_loss(said, head.targets([boxes, boxes[:0]], [classes, classes[:0]]))["loss"]
        else:
            loss = said.float().square().mean()
    torch.autograd.backward(loss)
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in head.parameters())
    head.eval()
    with torch.no_grad():
        wanted = tensors(head(maps()))[0]  # of TransFusion the heat map: its proposals may change places
        with torch.autocast("cpu", torch.bfloat16):
            ours = tensors(head(maps()))[0]
    assert (ours.float() - wanted).abs().max() < 0.05 * wanted.std() + 0.05


@EVERY
def test_exports(name: str) -> None:
    """The inference path is a graph of tensors, equal to the module."""

    class Said(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = build(name).eval()

        def forward(self, bev: Tensor) -> tuple[Tensor, ...]:
            return tuple(tensors(self.head(bev)))

    module = Said()
    with torch.no_grad():
        exported = torch.export.export(module, (maps(),)).module()
        for ours, wanted in zip(exported(maps()), module(maps()), strict=True):
            torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in HEADS if name != "map"])
def test_training_without_a_single_box(name: str) -> None:
    head = build(name)
    nothing = [torch.zeros(0, 9)] * 2, [torch.zeros(0, dtype=torch.int64)] * 2
    loss = detection_loss(head(maps()), head.targets(*nothing))["loss"]
    torch.autograd.backward(loss)
    assert torch.isfinite(loss)
