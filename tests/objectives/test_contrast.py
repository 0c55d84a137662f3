"""PRC and RAD against double loops, closed forms and finite differences."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.objectives.prc import plrc, prc, rapc
from pipeline.objectives.rad import rad, region_weights
from tests.reference import objectives as reference


def unit(rows: int, seed: int, width: int = 8) -> Tensor:
    vectors = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(vectors, dim=1)


REGION = torch.tensor([0, 0, 0, 1, 1, 5, -1, -1, -1, 7, 7, -1])
FRAME = torch.tensor([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1])


@pytest.mark.parametrize("temperature", [0.07, 0.1, 0.5])
@pytest.mark.parametrize("name", ["plrc", "rapc"])
def test_equals_double_loop(name: str, temperature: float) -> None:
    p, q = unit(12, 1), unit(12, 2)
    fast = {"plrc": plrc, "rapc": rapc}[name](p, q, REGION, temperature=temperature)
    slow = getattr(reference, name)(p.double().numpy(), q.double().numpy(), REGION.numpy(), temperature)
    assert fast.item() == pytest.approx(slow, rel=1e-5)


def test_rad_equals_double_loop() -> None:
    c, teacher = unit(12, 3), unit(12, 4)
    slow = reference.rad(c.double().numpy(), teacher.double().numpy(), REGION.numpy(), FRAME.numpy(), 0.1)
    assert rad(c, teacher, REGION, FRAME, temperature=0.1).item() == pytest.approx(slow, rel=1e-5)


def test_prc_mixes_its_terms() -> None:
    p, q = unit(12, 1), unit(12, 2)
    terms = prc(p, q, REGION, temperature=0.1, alpha=0.3)
    assert terms["plrc"].item() == pytest.approx(plrc(p, q, REGION, temperature=0.1).item())
    assert terms["loss"].item() == pytest.approx(0.3 * terms["plrc"].item() + 0.7 * terms["rapc"].item(), rel=1e-6)


def test_every_point_its_own_region_is_info_nce() -> None:
    """Closed form: with singleton regions both terms are the symmetric InfoNCE, PLRC on S with U as extra negatives."""
    p, q = unit(6, 1), unit(6, 2)
    scaled = p @ q.T / 0.1
    target = torch.arange(6)
    info_nce = (
        torch.nn.functional.cross_entropy(scaled, target) + torch.nn.functional.cross_entropy(scaled.T, target)
    ) / 2
    singletons = torch.arange(6)
    assert plrc(p, q, singletons, temperature=0.1).item() == pytest.approx(info_nce.item(), rel=1e-5)
    assert rapc(p, q, singletons, temperature=0.1).item() == pytest.approx(info_nce.item(), rel=1e-5)
    assert rapc(p, q, torch.full((6,), -1), temperature=0.1).item() == pytest.approx(info_nce.item(), rel=1e-5)


def test_identical_features_give_the_uniform_value() -> None:
    """Closed form: when every feature is equal, each term is the log of its number of candidates."""
    same = torch.nn.functional.normalize(torch.ones(12, 8), dim=1)
    assert plrc(same, same, REGION, temperature=0.1).item() == pytest.approx(np.log(12), rel=1e-5)
    assert rad(same, same, REGION, FRAME, temperature=0.1).item() == pytest.approx(np.log(12), rel=1e-5)
    candidates = [10, 10, 10, 11, 11, 12, 12, 12, 12, 11, 11, 12]
    assert rapc(same, same, REGION, temperature=0.1).item() == pytest.approx(np.log(candidates).mean(), rel=1e-5)


def test_random_embeddings_reach_the_sanity_value() -> None:
    """method: log 2048 + 1/(2 τ² d) ≈ 8.4 at d = 64, τ = 0.1, N = M = 1024."""
    p, q = unit(2048, 5, 64), unit(2048, 6, 64)
    region = torch.where(torch.arange(2048) < 1024, torch.arange(2048) // 16, -1)
    expected = np.log(2048) + 1 / (2 * 0.1**2 * 64)
    for value in prc(p, q, region, temperature=0.1, alpha=0.5).values():
        assert value.item() == pytest.approx(expected, rel=0.03)


def test_gradients_equal_finite_differences() -> None:
    p, q = unit(12, 1, 4).double().requires_grad_(), unit(12, 2, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: plrc(a, b, REGION, temperature=0.5), (p, q))
    assert torch.autograd.gradcheck(lambda a, b: rapc(a, b, REGION, temperature=0.5), (p, q))
    teacher = q.detach()
    assert torch.autograd.gradcheck(lambda a: rad(a, teacher, REGION, FRAME, temperature=0.5), (p,))


def test_no_gradient_reaches_the_teacher() -> None:
    student, teacher = unit(12, 1).requires_grad_(), unit(12, 2).requires_grad_()
    rad(student, teacher, REGION, FRAME, temperature=0.1).backward()
    assert teacher.grad is None
    assert student.grad is not None and student.grad.abs().sum() > 0


def test_duplicated_points_leave_the_weight_of_other_regions() -> None:
    """Trap 4 of the method: a region's weight does not depend on how many points it has."""
    region, frame = torch.tensor([0, 0, 1]), torch.zeros(3, dtype=torch.int64)
    more = torch.tensor([0, 0, 0, 0, 0, 1])
    assert region_weights(region, frame)[-1] == region_weights(more, torch.zeros(6, dtype=torch.int64))[-1] == 0.5
    assert region_weights(REGION[REGION >= 0], FRAME[REGION >= 0]).sum().item() == pytest.approx(1)


@pytest.mark.parametrize("region", [[], [-1], [0], [-1, -1], [0, 0]])
def test_degenerate_frames(region: list[int]) -> None:
    regions = torch.tensor(region, dtype=torch.int64)
    p = unit(len(region), 1).requires_grad_()
    total = prc(p, unit(len(region), 2), regions, temperature=0.1, alpha=0.5)["loss"]
    total = total + rad(p, unit(len(region), 2), regions, torch.zeros_like(regions), temperature=0.1)
    total.backward()
    assert torch.isfinite(total) and p.grad is not None and torch.isfinite(p.grad).all()


def test_underflowing_temperature_is_refused() -> None:
    with pytest.raises(ValueError, match="temperature 0.01 underflows"):
        plrc(unit(3, 1), unit(3, 2), torch.zeros(3, dtype=torch.int64), temperature=0.01)
