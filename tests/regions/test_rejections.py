"""Rejected clusters and their reasons are those that the segmentation counts."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pipeline.params import Regions
from pipeline.regions.counts import REASONS
from pipeline.regions.ids import REJECTED
from pipeline.regions.rejections import find_rejections
from pipeline.regions.segmentation import segment
from tests.reference.regions import paper_regions

PAPER = paper_regions()


def test_a_house_is_too_large_and_too_high() -> None:
    rng = np.random.default_rng(0)
    car = rng.uniform([6, 0, -1.5], [8, 4, -0.2], (200, 3))
    house = rng.uniform([-20, -20, -1.5], [-10, -10, 5], (2000, 3))
    points = np.concatenate([car, house, [[np.nan, 0, 0]]]).astype(np.float32)
    (found,) = find_rejections(points, replace(PAPER, ground="none"))
    assert (found.points, found.reasons) == (2000, ("large", "high"))
    assert found.outline.min(axis=0) == pytest.approx([-20, -20], abs=0.1)
    assert found.outline.max(axis=0) == pytest.approx([-10, -10], abs=0.1)


@pytest.mark.parametrize(
    "params", [PAPER, replace(PAPER, split_eps=0.3, max_length=4.0, max_height=1.5), replace(PAPER, ground="none")]
)
def test_reasons_and_points_add_up_to_the_counts_of_the_segmentation(params: Regions) -> None:
    rng = np.random.default_rng(5)
    centres = rng.uniform(-30, 30, (60, 1, 2))
    heaps = centres + rng.normal(0, 1, (60, 40, 2)) * rng.uniform(0.05, 2.0, (60, 1, 1))
    xy = np.concatenate([heaps.reshape(-1, 2), rng.uniform(-40, 40, (2000, 2))])
    z = np.where(np.arange(len(xy)) < 2400, rng.uniform(-1.7, 3.5, len(xy)), -1.84)
    points = np.column_stack([xy, z]).astype(np.float32)
    result, found = segment(points, params), find_rejections(points, params)
    assert len(found) == result.counts["clusters"] - result.counts["kept"] > 5
    assert sum(rejection.points for rejection in found) == int((result.ids == REJECTED).sum())
    reasons = Counter(reason for rejection in found for reason in rejection.reasons)
    assert {reason: reasons[reason] for reason in REASONS} == {reason: result.counts[reason] for reason in REASONS}


def test_no_points() -> None:
    assert find_rejections(np.empty((0, 4), np.float32), PAPER) == []
