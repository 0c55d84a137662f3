"""What a network is made of: parts, the shapes they give, their parameters and products."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pipeline.networks.model import BevModel, SensorBatch
from pipeline.networks.projector import Projector


@dataclass(frozen=True)
class Part:
    """One part of a network.

    Attributes:
        name: for people.
        outputs: shape of every output for one batch, by its name or number.
        parameters: how many.
        gflops: billions of floating-point operations of the forward pass, a multiplication and its addition being two;
            only products count (convolutions, linear maps, attention). None = not counted: spconv's products.
    """

    name: str
    outputs: dict[str, list[int]]
    parameters: int
    gflops: float | None


@dataclass(frozen=True)
class Passage:
    """A part of a network and what went in and came out of it."""

    module: nn.Module
    inputs: tuple[Any, ...]
    output: Any


def find_parts(model: BevModel) -> dict[str, nn.Module]:
    """The parts of a model in the order of the data; together they hold every parameter, each one once."""
    lidar = dict(model.lidar.named_children())
    parts = {"LiDAR backbone": lidar.pop("backbone"), "LiDAR neck": lidar.pop("neck")}
    parts = {"LiDAR encoder": next(iter(lidar.values())), **parts}
    if model.camera is not None:
        parts |= {
            "camera backbone": model.camera.backbone,
            "camera neck": model.camera.neck,
            "lift-splat": model.camera.view,
            "camera BEV": model.camera.bev,
        }
    return parts | {"fuser": model.fuser, "head": model.head}


def record_passages(model: BevModel, batch: SensorBatch) -> dict[str, Passage]:
    """What goes in and out of every part in one forward pass, in the order of `find_parts`."""
    parts, passages = find_parts(model), dict[str, Passage]()
    names = {module: name for name, module in parts.items()}

    def record(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        passages[names[module]] = Passage(module, inputs, output)

    handles = [module.register_forward_hook(record) for module in parts.values()]
    try:
        model(batch)
    finally:
        for handle in handles:
            handle.remove()
    return {name: passages[name] for name in parts}


@torch.no_grad()
def summarise(model: BevModel, batch: SensorBatch) -> list[Part]:
    """Every part of a model, from one forward pass in eval mode.

    Args:
        model: left in eval mode.
        batch: what goes through it.
    """
    model.eval()
    passages = record_passages(model, batch)
    return [summarise_part(name, passage.module, passage.inputs) for name, passage in passages.items()]


@torch.no_grad()
def summarise_part(name: str, module: nn.Module, inputs: Sequence[Any]) -> Part:
    """One part, from a forward pass of it on `inputs`."""
    with countable(), FlopCounterMode(display=False) as counter:
        output = module(*inputs)
    own = [type(inner).__module__ for inner in module.modules()]
    sparse = any(name.split(".")[0] == "spconv" for name in own)
    gflops = None if sparse else counter.get_total_flops() / 1e9
    return Part(name, _shapes(output), count_parameters(module), gflops)


def summarise_projector(name: str, inputs: int, embedding: int, points: int, device: torch.device) -> Part:
    """A projector of a pre-training, on so many points of a frame."""
    projector = Projector(inputs, embedding).to(device)
    return summarise_part(name, projector, [torch.zeros(points, inputs, device=device)])


def count_parameters(module: nn.Module) -> int:
    """Numbers that train."""
    return sum(parameter.numel() for parameter in module.parameters())


@contextmanager
def countable() -> Iterator[None]:
    """Attention as plain products: the fused kernels of some devices are unknown to the counter."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _shapes(output: Any) -> dict[str, list[int]]:
    if isinstance(output, Tensor):
        return {"0": list(output.shape)}
    items = output.items() if isinstance(output, Mapping) else enumerate(output)
    return {str(name): list(value.shape) for name, value in items}
