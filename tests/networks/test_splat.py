"""The splat against the volume, added one entry at a time."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from pipeline.networks.splat import plan_splat, splat
from tests.reference import networks as twins

CELLS = 12


def draw(seed: int, pixels: int = 20, bins: int = 5, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    """Context, probabilities and cells; pixels hit a cell at several depths, cells stay empty, some hits go nowhere."""
    generator = torch.Generator().manual_seed(seed)
    cells = torch.randint(-3, CELLS - 2, (pixels, bins), generator=generator, dtype=torch.int32)
    context = torch.randn(pixels, 3, generator=generator, dtype=dtype).requires_grad_()
    return context, torch.rand(pixels, bins, generator=generator, dtype=dtype).requires_grad_(), cells


@pytest.fixture
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("seed", range(4))
def test_value_and_gradient_of_the_volume(seed: int) -> None:
    context, probabilities, cells = draw(seed)
    weights = torch.randn(CELLS, 3, generator=torch.Generator().manual_seed(seed))
    ours = splat(context, probabilities, plan_splat(cells, CELLS))
    wanted = twins.lift_splat(context, probabilities, cells, CELLS)
    torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-6)
    gradients = [torch.autograd.grad((bev * weights).sum(), [context, probabilities]) for bev in (ours, wanted)]
    for own, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(own, theirs, rtol=1e-5, atol=1e-6)


def test_gradient_by_finite_differences() -> None:
    context, probabilities, cells = draw(4, 6, 3, torch.float64)
    plan = plan_splat(cells, CELLS)
    assert torch.autograd.gradcheck(lambda c, p: splat(c, p, plan), (context, probabilities))
    assert torch.autograd.gradcheck(lambda c: splat(c, probabilities.detach(), plan), (context,))
    assert torch.autograd.gradcheck(lambda p: splat(context.detach(), p, plan), (probabilities,))


def test_a_hit_that_goes_nowhere_gets_no_gradient() -> None:
    context, probabilities, cells = draw(5)
    bev = splat(context, probabilities, plan_splat(cells, CELLS))
    (gradient,) = torch.autograd.grad(bev.square().sum(), [probabilities])
    assert torch.equal(gradient == 0, cells < 0)


def test_a_plan_sorts_by_cell_and_keeps_the_order_of_pixels() -> None:
    cells = torch.tensor([[2, -1, 0], [0, 2, 2]], dtype=torch.int32)
    plan = plan_splat(cells, 4)
    assert plan.starts.tolist() == [0, 2, 2, 5]
    assert plan.entries.tolist() == [2, 3, 0, 4, 5]
    assert plan.pixels.tolist() == [0, 1, 0, 1, 1]


def test_splat_of_nothing_is_zero() -> None:
    context, probabilities, cells = draw(6)
    bev = splat(context, probabilities, plan_splat(torch.full_like(cells, -1), 6))
    assert torch.equal(bev, torch.zeros(6, 3))
    gradients = torch.autograd.grad(bev.sum(), [context, probabilities])
    assert all(not gradient.any() for gradient in gradients)


def test_the_number_of_threads_changes_no_bit() -> None:
    generator = torch.Generator().manual_seed(7)
    cells = torch.randint(-500, 4000, (3000, 40), generator=generator, dtype=torch.int32)
    context = torch.randn(3000, 16, generator=generator, requires_grad=True)
    probabilities = torch.rand(3000, 40, generator=generator, requires_grad=True)
    before, results = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        bev = splat(context, probabilities, plan_splat(cells, 4000))
        results.append([bev, *torch.autograd.grad(bev.square().sum(), [context, probabilities])])
    torch.set_num_threads(before)
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))
