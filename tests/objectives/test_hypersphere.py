"""Alignment and uniformity by closed forms and by a loop over pairs."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from pipeline.objectives.hypersphere import MOST_PAIRED, alignment, uniformity


def test_closed_forms() -> None:
    axes = torch.eye(8)
    assert float(alignment(axes, axes)) == 0
    assert float(alignment(axes, -axes)) == 4
    assert float(alignment(axes, axes.roll(1, 0))) == 2
    assert float(uniformity(axes)) == pytest.approx(-4)  # every pair at the squared distance of 2
    assert float(uniformity(axes[:1].expand(5, 8))) == pytest.approx(0)
    assert float(uniformity(torch.tensor([[1.0, 0], [-1, 0]]))) == pytest.approx(-8)


def test_equals_a_loop_over_pairs() -> None:
    p = normalize(torch.randn(40, 5, generator=torch.Generator().manual_seed(0)), dim=1)
    pairs = [math.exp(-2 * float((p[i] - p[j]).square().sum())) for i in range(40) for j in range(40) if i != j]
    assert float(uniformity(p)) == pytest.approx(math.log(sum(pairs) / len(pairs)), rel=1e-5)


def test_many_points_are_thinned_without_bias() -> None:
    p = normalize(torch.randn(3 * MOST_PAIRED + 7, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    similar = torch.exp(4 * (p @ p.T) - 4)
    exact = ((similar.sum() - similar.diagonal().sum()) / (len(p) * (len(p) - 1))).log()
    assert float(uniformity(p)) == pytest.approx(float(exact), abs=0.02)


def test_finite_without_points_and_no_gradient() -> None:
    p = torch.eye(4, requires_grad=True)
    for value in (alignment(p, p), uniformity(p)):
        assert not value.requires_grad
    for few in (0, 1):
        assert float(alignment(p[:few], p[:few])) == 0
        assert float(uniformity(p[:few])) == 0
