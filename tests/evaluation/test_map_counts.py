"""IoU by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.evaluation.map_segmentation import count_cells, map_metrics
from pipeline.frames.maps import MAP_CLASSES

THRESHOLDS = [0.35, 0.4, 0.65]


def grids() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One frame of 2 x 2 cells; only drivable_area and walkway occur."""
    probabilities = np.full((1, 6, 2, 2), 0.1, np.float32)
    truth = np.zeros((1, 6, 2, 2), np.float32)
    probabilities[0, 0] = [[0.9, 0.6], [0.45, 0.2]]
    truth[0, 0] = [[1, 1], [0, 0]]
    probabilities[0, 2] = [[0.38, 0.1], [0.1, 0.7]]
    truth[0, 2] = [[1, 0], [0, 0]]
    return probabilities, truth


def test_iou_at_every_threshold() -> None:
    metrics = map_metrics(count_cells(*grids(), THRESHOLDS), THRESHOLDS)
    assert metrics["iou"]["drivable_area"] == pytest.approx({"0.35": 2 / 3, "0.4": 2 / 3, "0.65": 1 / 2})
    assert metrics["iou"]["walkway"] == pytest.approx({"0.35": 1 / 2, "0.4": 0.0, "0.65": 0.0})
    # The oracle may choose only among the thresholds it was given; 0.5 would be exact for drivable_area.
    assert metrics["iou_best"] == pytest.approx({"drivable_area": 2 / 3, "walkway": 1 / 2})
    assert metrics["best_threshold"] == {"drivable_area": 0.35, "walkway": 0.35}
    assert metrics["iou_at_half"] == pytest.approx({"drivable_area": 1.0, "walkway": 0.0})
    assert metrics["mIoU_best"] == pytest.approx(7 / 12)
    assert metrics["mIoU_at_half"] == pytest.approx(0.5)
    assert metrics["absent"] == [name for name in MAP_CLASSES if name not in ("drivable_area", "walkway")]
    assert metrics["degenerate"] is False


def test_a_false_alarm_on_an_absent_class_changes_no_mean() -> None:
    probabilities, truth = grids()
    probabilities[0, 1] = 0.9
    assert map_metrics(count_cells(probabilities, truth, THRESHOLDS), THRESHOLDS)["mIoU_best"] == pytest.approx(7 / 12)


def test_counts_of_parts_add_up_to_the_whole() -> None:
    random = np.random.default_rng(0)
    probabilities = random.random((4, 6, 8, 8), np.float32)
    truth = random.random((4, 6, 8, 8)) < 0.3
    whole = count_cells(probabilities, truth, THRESHOLDS)
    first, rest = slice(0, 1), slice(1, 4)
    parts = count_cells(probabilities[first], truth[first], THRESHOLDS)
    parts = parts + count_cells(probabilities[rest], truth[rest], THRESHOLDS)
    assert map_metrics(whole, THRESHOLDS) == map_metrics(parts, THRESHOLDS)
    assert whole.intersection.dtype == whole.predicted.dtype == whole.truth.dtype == np.int64
    assert np.array_equal(whole.iou(), parts.iou(), equal_nan=True)


def test_iou_by_slow_loop() -> None:
    random = np.random.default_rng(1)
    probabilities = random.random((2, 6, 4, 4))
    truth = random.random((2, 6, 4, 4)) < 0.4
    iou = count_cells(probabilities, truth, [0.6]).iou()
    for c in range(6):
        both = either = 0
        for p, t in zip(probabilities[:, c].flat, truth[:, c].flat, strict=True):
            both += bool(p >= 0.6 and t)
            either += bool(p >= 0.6 or t)
        assert iou[c, 1] == pytest.approx(both / either)


def test_counts_go_beyond_float32() -> None:
    """2^24 + 1 cells: where a float32 sum stops."""
    counts = count_cells(np.ones((1, 6, 1, 1)), np.ones((1, 6, 1, 1)), [0.5])
    big = counts
    for _ in range(25):
        big = big + big
    assert (big + counts).truth[0] == 2**25 + 1


def test_constant_maps_are_flagged() -> None:
    _, truth = grids()
    for value in (0.0, 0.1, 0.95):
        metrics = map_metrics(count_cells(np.full(truth.shape, value), truth, THRESHOLDS), THRESHOLDS)
        assert metrics["degenerate"] is True


def test_no_class_at_all_gives_no_mean() -> None:
    probabilities, truth = grids()
    metrics = map_metrics(count_cells(probabilities, truth * 0, THRESHOLDS), THRESHOLDS)
    assert metrics["mIoU_best"] is None and len(metrics["absent"]) == 6


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="both be"):
        count_cells(np.zeros((1, 6, 2, 2)), np.zeros((6, 2, 2)), THRESHOLDS)
