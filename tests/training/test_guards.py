"""The first tensor that is not finite is found by name, wherever in a pass it is."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.training.guards import BadTensor, find_bad, find_non_finite


@dataclass(frozen=True)
class Batch:
    """Stands for the batch of frames."""

    count: Tensor
    views: tuple[Tensor, Tensor]


class Root(nn.Module):
    """Finite in zero, where its gradient is infinite."""

    def forward(self, x: Tensor) -> Tensor:
        return x.abs().sqrt()


class Logarithm(nn.Module):
    """Infinite in zero."""

    def forward(self, x: Tensor) -> Tensor:
        return x.abs().log()


def network(last: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 4), last))


def batch() -> Batch:
    torch.manual_seed(1)
    return Batch(torch.arange(2), (torch.randn(5, 3), torch.randn(5, 3)))


def find(
    module: nn.Module, given: Batch, loss: Callable[[Tensor], Tensor] = lambda out: out.square().mean()
) -> BadTensor | None:
    def forward() -> dict[str, Tensor]:
        one, two = (module(view) for view in given.views)
        return {"term": loss(one), "loss": loss(one) + loss(two)}

    return find_bad(module, given, forward, torch.autograd.backward)


def test_a_finite_pass() -> None:
    assert find(network(nn.ReLU()), batch()) is None


def test_bad_input() -> None:
    given = batch()
    given.views[1][2, 0] = math.nan
    assert find(network(nn.ReLU()), given) == BadTensor("input", "views[1]", 1, 0, 15)


def test_bad_weight() -> None:
    module = network(nn.ReLU())
    with torch.no_grad():
        dict(module.named_parameters())["1.0.bias"][:2] = math.inf
    found = find(module, batch())
    assert found == BadTensor("weight", "1.0.bias", 0, 2, 4)
    assert str(found) == "weight 1.0.bias, before the step (0 NaN and 2 infinite of 4 values)"


def silence(module: nn.Sequential) -> nn.Sequential:
    """Its last layer before the function gives zeros."""
    with torch.no_grad():
        for name in ("1.0.weight", "1.0.bias"):
            dict(module.named_parameters())[name].zero_()
    return module


def test_the_innermost_module_with_a_bad_output() -> None:
    """The modules around it, and all that follow, have bad outputs too."""
    module = silence(network(Logarithm()))
    assert find(module, batch()) == BadTensor("output", "1.1", 0, 20, 20)


def test_bad_loss_term() -> None:
    found = find(network(nn.ReLU()), batch(), loss=lambda out: (out.sum() * 0).log())
    assert found == BadTensor("loss", "term", 0, 1, 1)


def test_the_first_bad_gradient_on_the_way_back() -> None:
    """All outputs are finite; the layer before the root is the first to get a gradient, and all before it get worse."""
    found = find(silence(network(Root())), batch(), loss=lambda out: out.sum())
    assert found is not None
    assert (found.kind, found.name.rpartition(".")[0]) == ("gradient", "1.0")


def test_gradients_whose_norm_overflows() -> None:
    found = find(network(nn.Identity()), batch(), loss=lambda out: 1e20 * out.sum())
    assert found == BadTensor("norm", "the gradient", 0, 1, 1)


def test_modules_outside_the_network_go_by_their_class() -> None:
    teacher, module, given = silence(network(Logarithm())), network(nn.ReLU()), batch()

    def forward() -> dict[str, Tensor]:
        return {"loss": (module(given.views[0]) - teacher(given.views[1])).mean()}

    found = find_bad(module, given, forward, torch.autograd.backward)
    assert found == BadTensor("output", "(Logarithm)", 0, 20, 20)


def test_values_of_a_step() -> None:
    row = {"loss": 1.0, "gradient_norm": math.inf}
    assert find_non_finite(row, scaled=False) == "gradient_norm is inf"
    assert find_non_finite(row, scaled=True) is None
    assert find_non_finite({"loss": math.nan}, scaled=True) == "loss is nan"
    assert find_non_finite({"loss": 1.0}, scaled=False) is None
