"""Matching costs against loops with shapely, the assignment against every permutation."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.geometry.grid import BevGrid
from pipeline.objectives.assignment import assign, matching_costs
from tests.reference import heads as twins

GRID = BevGrid(6.0, 0.5)


def boxes_at_random(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(count, 9, generator=generator) * 4
    boxes[:, :3] -= 2
    boxes[:, 3:6] += 0.3
    return boxes


def test_costs_equal_the_loops() -> None:
    predicted, boxes = boxes_at_random(12, 0), boxes_at_random(7, 1)
    predicted[3] = boxes[2]
    logits = torch.randn(12, 10, generator=torch.Generator().manual_seed(2)) * 2
    classes = torch.tensor([0, 1, 5, 5, 9, 3, 0])
    ours = matching_costs(logits, predicted, boxes, classes, GRID)
    rows = [values.double().numpy() for values in (logits, predicted, boxes)]
    wanted = twins.matching_costs(rows[0], rows[1], rows[2], classes.numpy(), GRID.reach)
    np.testing.assert_allclose(ours.numpy(), wanted, rtol=1e-9, atol=1e-9)


def test_a_sure_proposal_in_place_costs_least() -> None:
    boxes = boxes_at_random(5, 3)
    logits = torch.full((5, 10), -5.0)
    classes = torch.arange(5)
    logits[torch.arange(5), classes] = 5.0
    costs = matching_costs(logits, boxes, boxes, classes, GRID)
    assert (costs.argmin(0) == torch.arange(5)).all()
    assert costs.diagonal().numpy() == pytest.approx(-0.25 - 0.15 * 0.75 * 5.0067 * 0.9933**2, abs=1e-4)  # IoU 1


@pytest.mark.parametrize(("proposals", "boxes"), [(6, 4), (4, 6), (5, 5)])
def test_assignment_has_the_least_total(proposals: int, boxes: int) -> None:
    costs = torch.randn(proposals, boxes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows, columns = assign(costs)
    assert len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows) == min(proposals, boxes)
    wide = costs if proposals <= boxes else costs.T
    best = min(
        sum(wide[i, j].item() for i, j in enumerate(chosen))
        for chosen in itertools.permutations(range(max(proposals, boxes)), min(proposals, boxes))
    )
    assert costs[rows, columns].sum().item() == pytest.approx(best)


def test_nothing_to_assign_and_costs_that_are_not_finite() -> None:
    rows, columns = assign(torch.zeros(5, 0))
    assert len(rows) == len(columns) == 0
    rows, columns = assign(torch.tensor([[float("nan"), 1.0], [0.5, float("inf")]]))
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 1), (1, 0)]
