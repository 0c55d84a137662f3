"""Map loss against an element-wise twin and closed forms."""

import math

import pytest
import torch

from pipeline.objectives.map_segmentation import map_loss, sigmoid_focal_loss
from tests.reference import heads as twins


def test_focal_equals_the_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 4, generator=generator) * 3
    masks = (torch.rand(2, 3, 4, 4, generator=generator) > 0.7).float()
    ours = sigmoid_focal_loss(logits, masks)
    wanted = [
        twins.sigmoid_focal(x, m) for x, m in zip(logits.flatten().tolist(), masks.flatten().tolist(), strict=True)
    ]
    torch.testing.assert_close(ours.flatten(), torch.tensor(wanted), rtol=1e-4, atol=1e-8)
    terms = map_loss(logits, masks)
    torch.testing.assert_close(terms["per_class"], ours.mean((0, 2, 3)))
    assert terms["loss"].item() == pytest.approx(terms["per_class"].sum().item())


def test_alpha_weighs_ones_against_zeros() -> None:
    logits = torch.tensor([0.3, -1.2, 2.0, 0.1])
    masks = torch.tensor([1.0, 1.0, 0.0, 0.0])
    ours = sigmoid_focal_loss(logits, masks, gamma=2.0, alpha=0.25)
    wanted = [twins.sigmoid_focal(x, m, 2.0, 0.25) for x, m in zip(logits.tolist(), masks.tolist(), strict=True)]
    torch.testing.assert_close(ours, torch.tensor(wanted), rtol=1e-5, atol=1e-8)


def test_gamma_zero_is_cross_entropy() -> None:
    loss = sigmoid_focal_loss(torch.zeros(1), torch.ones(1), gamma=0.0)
    assert loss.item() == pytest.approx(math.log(2))


def test_certain_logits_stay_finite() -> None:
    logits = torch.tensor([200.0, -200.0, 200.0, -200.0], requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.tensor([1.0, 0.0, 0.0, 1.0]))
    assert loss.tolist() == pytest.approx([0, 0, 200, 200])
    torch.autograd.backward(loss.sum())
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
