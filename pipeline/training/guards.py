"""What stops a training before a spoiled step: the first tensor that is not finite, found and kept for a replay."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.utils.hooks import RemovableHandle

from pipeline.errors import UserError

Backward = Callable[[Tensor], Any]


class NonFiniteLossError(UserError):
    """A loss term or the gradient is NaN or infinite; raised before the optimiser could spoil the weights."""


@dataclass(frozen=True)
class BadTensor:
    """The first tensor of a forward and backward pass that is not finite.

    Attributes:
        kind: input, weight, output of a module, loss (a term of it), gradient of a parameter, norm of all of them.
        name: what it is called there, e.g. "points" or "lidar.encoder.layers.0".
        nans: how many of its values are no number.
        infinities: how many are infinite.
        values: how many it has.
    """

    kind: str
    name: str
    nans: int
    infinities: int
    values: int

    def __str__(self) -> str:
        of = f"{self.nans} NaN and {self.infinities} infinite of {self.values} values"
        return f"{WORDS[self.kind].format(self.name)} ({of})"


WORDS = {
    "input": "input {} of the batch",
    "weight": "weight {}, before the step",
    "output": "output of the module {}",
    "loss": "loss term {}",
    "gradient": "gradient of {}",
    "norm": "norm of {}, though every gradient is finite",
}


def find_bad(
    module: nn.Module, batch: object, forward: Callable[[], Mapping[str, Tensor]], backward: Backward
) -> BadTensor | None:
    """Repeats a pass forward and backward and looks at every tensor on the way; leaves its gradients.

    Always the whole pass, since processes that train together meet in it.

    Args:
        module: what trains.
        batch: input of the pass: tensors in dataclasses, tuples and lists.
        forward: gives the terms of the loss; through `module`, in the random state of the pass.
        backward: is given the term `loss`.

    Returns:
        The first bad one in this order: inputs, weights, outputs of modules as they were computed (inner modules before
        the one around them), loss terms, gradients as they arrived; None where all are finite.
    """
    found = [bad for name, tensor in tensors_in(batch) if (bad := judge("input", name, tensor))]
    parameters = dict(module.named_parameters())
    found += [bad for name, tensor in parameters.items() if (bad := judge("weight", name, tensor))]
    module.zero_grad(set_to_none=True)
    with _watched_outputs(module, found):
        terms = forward()
    found += [bad for name, term in terms.items() if (bad := judge("loss", name, term))]
    with _watched_gradients(parameters, found):
        backward(terms["loss"])
    gradients = [parameter.grad for parameter in parameters.values() if parameter.grad is not None]
    if not found and gradients:
        norm = nn.utils.get_total_norm(gradients)
        found += [bad for bad in [judge("norm", "the gradient", norm)] if bad]
    return found[0] if found else None


def judge(kind: str, name: str, tensor: Tensor) -> BadTensor | None:
    """None for a finite tensor, and for one of integers."""
    if not tensor.is_floating_point() or bool(torch.isfinite(tensor).all()):
        return None
    return BadTensor(kind, name, int(tensor.isnan().sum()), int(tensor.isinf().sum()), tensor.numel())


def tensors_in(value: object, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """(name, tensor) of everything in nested dataclasses, mappings, tuples and lists."""
    if isinstance(value, Tensor):
        yield name, value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from tensors_in(getattr(value, field.name), f"{name}.{field.name}".lstrip("."))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from tensors_in(item, f"{name}.{key}".lstrip("."))
    elif isinstance(value, tuple | list):
        for position, item in enumerate(value):
            yield from tensors_in(item, f"{name}[{position}]")


def find_non_finite(row: Mapping[str, float], *, scaled: bool) -> str | None:
    """The first value of a step that is not finite, as "name is value"; None where all are.

    A norm of scaled gradients may overflow: their scaler skips the step by itself.
    """
    for name, value in row.items():
        if not math.isfinite(value) and not (scaled and name == "gradient_norm"):
            return f"{name} is {value}"
    return None


@contextmanager
def _watched_outputs(module: nn.Module, found: list[BadTensor]) -> Iterator[None]:
    """Also those of modules outside `module`, such as a teacher's, which go by their class."""
    names = {id(part): name for name, part in module.named_modules() if name}

    def look(part: nn.Module, _: Any, output: Any) -> None:
        name = names.get(id(part), f"({type(part).__name__})")
        found.extend(bad for _, tensor in tensors_in(output) if (bad := judge("output", name, tensor)))

    handle = register_module_forward_hook(look)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _watched_gradients(parameters: Mapping[str, nn.Parameter], found: list[BadTensor]) -> Iterator[None]:
    handles: list[RemovableHandle] = []
    for name, parameter in parameters.items():
        if parameter.requires_grad:

            def look(own: Tensor, name: str = name) -> None:
                bad = None if own.grad is None else judge("gradient", name, own.grad)
                found.extend([bad] if bad else [])

            handles.append(parameter.register_post_accumulate_grad_hook(look))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
