"""PRC, RAD and the baselines against double loops, closed forms and finite differences."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.objectives import similarity
from pipeline.objectives.bev_distill import bev_distill
from pipeline.objectives.point_info_nce import point_info_nce
from pipeline.objectives.prc import plrc, prc, rapc
from pipeline.objectives.proposal_contrast import proposal_contrast, propose
from pipeline.objectives.rad import rad, region_votes
from pipeline.objectives.simipu import simipu
from pipeline.params import Rapc
from pipeline.strict_yaml import build_model
from tests.reference import objectives as reference


def unit(rows: int, seed: int, width: int = 8) -> Tensor:
    vectors = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(vectors, dim=1)


REGION = torch.tensor([0, 0, 0, 1, 1, 5, -1, -1, -1, 7, 7, -1])
FRAME = torch.tensor([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1])
POSITIONS = torch.rand(12, 3, generator=torch.Generator().manual_seed(7)) * 2
RADIUS = 0.9
CELLS = torch.rand(2, 3, 3, generator=torch.Generator().manual_seed(7)) < 0.5
PROPOSALS = propose(POSITIONS, FRAME, centres=3, radius=RADIUS)
DEFAULT = Rapc()
SWITCHES = [
    build_model(Rapc, dict(zip(vars(DEFAULT), choice, strict=True)), "test")
    for choice in itertools.product(("all", "rich"), ("masked", "kept"), ("uniform", "region"))
]
# Every contrast of two sets of unit vectors, rows belonging together.
CONTRASTS: dict[str, Callable[..., Tensor]] = {
    "prc": lambda p, q, t: prc(p, q, REGION, temperature=t, alpha=0.3, switches=DEFAULT)["loss"],
    "plrc": lambda p, q, t: plrc(p, q, REGION, temperature=t),
    **{
        f"rapc {'-'.join(vars(own).values())}": lambda p, q, t, own=own: rapc(p, q, REGION, temperature=t, switches=own)
        for own in SWITCHES
    },
    "rad": lambda p, q, t: rad(p, q, REGION, FRAME, temperature=t),
    "rad_unweighted": lambda p, q, t: rad(p, q, REGION, FRAME, temperature=t, region_weights=False),
    "point_info_nce": lambda p, q, t: point_info_nce(p, q, temperature=t),
    "proposal_contrast": lambda p, q, t: proposal_contrast(p, q, PROPOSALS, temperature=t),
    "simipu": lambda p, q, t: simipu(p, q, p.flip(1), temperature=t)["loss"],
}


def oracle(name: str, p: Any, q: Any, t: float) -> float:
    region, frame = REGION.numpy(), FRAME.numpy()
    if name.startswith("rapc"):
        names = ("anchors", "same_region_negatives", "weights")
        return reference.rapc(p, q, region, t, **dict(zip(names, name.split()[1].split("-"), strict=True)))
    found: dict[str, Callable[[], float]] = {
        "prc": lambda: 0.3 * reference.plrc(p, q, region, t) + 0.7 * reference.rapc(p, q, region, t),
        "plrc": lambda: reference.plrc(p, q, region, t),
        "rad": lambda: reference.rad(p, q, region, frame, t),
        "rad_unweighted": lambda: reference.rad_unweighted(p, q, region, t),
        "point_info_nce": lambda: reference.point_info_nce(p, q, t),
        "proposal_contrast": lambda: reference.proposal_contrast(
            p, q, reference.balls(POSITIONS.double().numpy(), frame, 3, RADIUS), t
        ),
        "simipu": lambda: reference.point_info_nce(p, q, t) + reference.point_info_nce(p[:, ::-1], p, t),
    }
    return found[name]()


@pytest.fixture(params=[1 << 20, 25], ids=["one chunk", "chunks of two rows"])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many similarities exist at one time."""
    monkeypatch.setattr(similarity, "CPU_CHUNK", request.param)


def maps(seed: int) -> Tensor:
    return torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(seed))


def test_dense_distillation_equals_double_loop() -> None:
    student, teacher = maps(1), maps(2)
    assert 0 < CELLS.sum() < CELLS.numel()
    slow = reference.bev_distill(student.double().numpy(), teacher.double().numpy(), CELLS.numpy())
    assert bev_distill(student, teacher, CELLS).item() == pytest.approx(slow, rel=1e-5)


def test_dense_distillation_in_closed_form() -> None:
    """Maps that differ by a constant lose its square, wherever they are compared; and 0 where they are not."""
    student = maps(1).requires_grad_()
    assert bev_distill(student, student + 0.3, CELLS).item() == pytest.approx(0.09, rel=1e-5)
    nowhere = bev_distill(student, maps(2), torch.zeros_like(CELLS))
    (gradient,) = torch.autograd.grad(nowhere, [student])
    assert nowhere.item() == 0
    assert not gradient.any()


def test_gradient_of_dense_distillation() -> None:
    """Equals finite differences, stays in the cells, and does not reach the teacher."""
    student, teacher = maps(1).double().requires_grad_(), maps(2).double().requires_grad_()
    fixed = teacher.detach()
    # Sums of maps of float32: wider steps and tolerances than those of double precision.
    assert torch.autograd.gradcheck(lambda own: bev_distill(own, fixed, CELLS), (student,), eps=1e-2, atol=1e-3)
    bev_distill(student, teacher, CELLS).backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert torch.equal(student.grad.abs().sum(1) > 0, CELLS)


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize("temperature", [0.07, 0.1, 0.5])
@pytest.mark.parametrize("name", CONTRASTS)
def test_equals_double_loop(name: str, temperature: float) -> None:
    p, q = unit(12, 1), unit(12, 2)
    slow = oracle(name, p.double().numpy(), q.double().numpy(), temperature)
    assert CONTRASTS[name](p, q, temperature).item() == pytest.approx(slow, rel=1e-5)


def test_prc_mixes_its_terms() -> None:
    p, q = unit(12, 1), unit(12, 2)
    terms = prc(p, q, REGION, temperature=0.1, alpha=0.3, switches=DEFAULT)
    assert terms["plrc"].item() == pytest.approx(plrc(p, q, REGION, temperature=0.1).item())
    assert terms["rapc"].item() == pytest.approx(rapc(p, q, REGION, temperature=0.1, switches=DEFAULT).item())
    assert terms["loss"].item() == pytest.approx(0.3 * terms["plrc"].item() + 0.7 * terms["rapc"].item(), rel=1e-6)


def test_every_point_its_own_region_is_info_nce() -> None:
    """Closed form: with singleton regions every contrast is the symmetric InfoNCE of torch's cross-entropy."""
    p, q = unit(6, 1), unit(6, 2)
    scaled = p @ q.T / 0.1
    target = torch.arange(6)
    ways = [torch.nn.functional.cross_entropy(way, target) for way in (scaled, scaled.T)]
    info_nce = pytest.approx(torch.stack(ways).mean().item(), rel=1e-5)
    singletons, nowhere = torch.arange(6), torch.full((6,), -1)
    assert plrc(p, q, singletons, temperature=0.1).item() == info_nce
    for switches in SWITCHES:
        assert rapc(p, q, singletons, temperature=0.1, switches=switches).item() == info_nce
        assert switches.anchors == "rich" or rapc(p, q, nowhere, temperature=0.1, switches=switches).item() == info_nce
    assert point_info_nce(p, q, temperature=0.1).item() == info_nce
    apart = propose(torch.arange(18.0).view(6, 3) * 10, torch.zeros(6, dtype=torch.int64), centres=6, radius=1.0)
    assert proposal_contrast(p, q, apart, temperature=0.1).item() == info_nce
    assert rad(p, q, singletons, torch.zeros_like(singletons), temperature=0.1).item() == pytest.approx(ways[0].item())


def test_identical_features_give_the_uniform_value() -> None:
    """Closed form: when every feature is equal, each term is the log of its number of candidates."""
    same = torch.nn.functional.normalize(torch.ones(12, 8), dim=1)
    twelve = pytest.approx(np.log(12), rel=1e-5)
    assert plrc(same, same, REGION, temperature=0.1).item() == twelve
    assert rad(same, same, REGION, FRAME, temperature=0.1).item() == twelve
    assert point_info_nce(same, same, temperature=0.1).item() == twelve
    assert simipu(same, same, same, temperature=0.1)["inter"].item() == twelve
    assert proposal_contrast(same, same, PROPOSALS, temperature=0.1).item() == pytest.approx(np.log(6), rel=1e-5)
    candidates = [10, 10, 10, 11, 11, 12, 12, 12, 12, 11, 11, 12]
    masked = rapc(same, same, REGION, temperature=0.1, switches=DEFAULT)
    assert masked.item() == pytest.approx(np.log(candidates).mean(), rel=1e-5)


def test_random_embeddings_reach_the_sanity_value() -> None:
    """method: log 2048 + 1/(2 τ² d) ≈ 8.4 at d = 64, τ = 0.1, N = M = 1024."""
    p, q = unit(2048, 5, 64), unit(2048, 6, 64)
    region = torch.where(torch.arange(2048) < 1024, torch.arange(2048) // 16, -1)
    frame = torch.zeros_like(region)
    expected = pytest.approx(np.log(2048) + 1 / (2 * 0.1**2 * 64), rel=0.03)
    for value in prc(p, q, region, temperature=0.1, alpha=0.5, switches=DEFAULT).values():
        assert value.item() == expected
    for weighted in (True, False):
        assert rad(p, q, region, frame, temperature=0.1, region_weights=weighted).item() == expected
    assert point_info_nce(p, q, temperature=0.1).item() == expected
    for name in ("intra", "inter"):
        assert simipu(p, q, unit(2048, 8, 64), temperature=0.1)[name].item() == expected
    lone = propose(torch.arange(2048)[:, None] * torch.ones(3), frame, centres=2048, radius=0.1)
    assert proposal_contrast(p, q, lone, temperature=0.1).item() == expected


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize("name", CONTRASTS)
def test_gradients_equal_finite_differences(name: str) -> None:
    p, q = unit(12, 1, 4).double().requires_grad_(), unit(12, 2, 4).double().requires_grad_()
    if name.startswith("rad"):
        teacher = q.detach()
        assert torch.autograd.gradcheck(lambda a: CONTRASTS[name](a, teacher, 0.5), (p,))
    else:
        assert torch.autograd.gradcheck(lambda a, b: CONTRASTS[name](a, b, 0.5), (p, q))


def test_no_gradient_reaches_the_teacher() -> None:
    student, teacher = unit(12, 1).requires_grad_(), unit(12, 2).requires_grad_()
    rad(student, teacher, REGION, FRAME, temperature=0.1).backward()
    assert teacher.grad is None
    assert student.grad is not None and student.grad.abs().sum() > 0


def test_duplicated_points_leave_the_weight_of_other_regions() -> None:
    """Trap 4 of the method: a region's weight does not depend on how many points it has."""
    region, frame = torch.tensor([0, 0, 1]), torch.zeros(3, dtype=torch.int64)
    more = torch.tensor([0, 0, 0, 0, 0, 1])
    assert region_votes(region, frame)[-1] == region_votes(more, torch.zeros(6, dtype=torch.int64))[-1] == 0.5
    # Two frames with regions, and each frame has one vote.
    assert region_votes(REGION[REGION >= 0], FRAME[REGION >= 0]).sum().item() == pytest.approx(2)


@pytest.mark.parametrize("region", [[], [-1], [0], [-1, -1], [0, 0]])
def test_degenerate_frames(region: list[int]) -> None:
    regions = torch.tensor(region, dtype=torch.int64)
    frame, positions = torch.zeros_like(regions), torch.zeros(len(region), 3)
    p, q = unit(len(region), 1).requires_grad_(), unit(len(region), 2)
    losses = [prc(p, q, regions, temperature=0.1, alpha=0.5, switches=switches)["loss"] for switches in SWITCHES]
    losses += [rad(p, q, regions, frame, temperature=0.1, region_weights=weighted) for weighted in (True, False)]
    losses += [point_info_nce(p, q, temperature=0.1), simipu(p, q, p, temperature=0.1)["loss"]]
    losses += [proposal_contrast(p, q, propose(positions, frame, centres=4, radius=1.0), temperature=0.1)]
    for loss in losses:
        (gradient,) = torch.autograd.grad(loss, [p])
        assert torch.isfinite(loss) and torch.isfinite(gradient).all()


def test_opposite_views_stay_finite_at_the_lowest_temperature() -> None:
    """The masked sums of a point without negatives are its own exponential alone, here exp(-2/τ)."""
    p = unit(4, 1).requires_grad_()
    region = torch.zeros(4, dtype=torch.int64)
    loss = rapc(p, -p.detach(), region, temperature=similarity.MIN_TEMPERATURE, switches=DEFAULT)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-4)
    assert p.grad is not None and torch.isfinite(p.grad).all()


def test_autocast_does_not_reach_the_similarities() -> None:
    p, q = unit(12, 1).requires_grad_(), unit(12, 2)
    results = []
    for enabled in (False, True):
        p.grad = None
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss = prc(p, q, REGION, temperature=0.1, alpha=0.5, switches=DEFAULT)["loss"]
        loss.backward()
        results.append((loss.detach(), p.grad))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)


def test_underflowing_temperature_is_refused() -> None:
    with pytest.raises(ValueError, match="temperature 0.01 underflows"):
        plrc(unit(3, 1), unit(3, 2), torch.zeros(3, dtype=torch.int64), temperature=0.01)
