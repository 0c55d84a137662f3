"""IoU by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.configure import params_at
from pipeline.evaluation.map_segmentation import count_cells, map_metrics, maps_degeneracy
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


def score(probabilities: NDArray[np.float32], truth: NDArray[np.float32]) -> dict[str, Any]:
    return map_metrics({"scene": count_cells(probabilities, truth, THRESHOLDS)}, THRESHOLDS)


def test_iou_at_every_threshold() -> None:
    metrics = score(*grids())
    assert metrics["iou"]["drivable_area"] == pytest.approx({"0.35": 2 / 3, "0.4": 2 / 3, "0.65": 1 / 2})
    assert metrics["iou"]["walkway"] == pytest.approx({"0.35": 1 / 2, "0.4": 0.0, "0.65": 0.0})
    # The oracle may choose only among the thresholds it was given; 0.5 would be exact for drivable_area.
    assert metrics["iou_best"] == pytest.approx({"drivable_area": 2 / 3, "walkway": 1 / 2})
    assert metrics["best_threshold"] == {"drivable_area": 0.35, "walkway": 0.35}
    assert metrics["iou_at_half"] == pytest.approx({"drivable_area": 1.0, "walkway": 0.0})
    assert metrics["mIoU_best"] == pytest.approx(7 / 12)
    assert metrics["mIoU_at_half"] == pytest.approx(0.5)
    assert metrics["absent"] == [name for name in MAP_CLASSES if name not in ("drivable_area", "walkway")]
    assert metrics["degenerate"] is None
    assert "mIoU_calibrated" not in metrics


def test_a_false_alarm_on_an_absent_class_changes_no_mean() -> None:
    probabilities, truth = grids()
    probabilities[0, 1] = 0.9
    assert score(probabilities, truth)["mIoU_best"] == pytest.approx(7 / 12)


def test_calibrated_and_oracle_differ_by_hand() -> None:
    """Training frames choose 0.65 for drivable_area and 0.4 for walkway, validation would choose 0.35 for both."""
    training, truth = np.zeros((1, 6, 2, 2), np.float32), np.zeros((1, 6, 2, 2), np.float32)
    training[0, 0], truth[0, 0] = [[0.9, 0.6], [0.6, 0.6]], [[1, 0], [0, 0]]  # IoU 1/4, 1/4, 1/4, 1
    training[0, 2], truth[0, 2] = [[0.42, 0.36], [0.1, 0.1]], [[1, 0], [0, 0]]  # IoU 1/2, 1, 0, 0
    calibrated = count_cells(training, truth, THRESHOLDS).best_thresholds(THRESHOLDS)
    assert calibrated[[0, 2]].tolist() == [0.65, 0.4]
    assert np.isnan(calibrated[[1, 3, 4, 5]]).all()  # no true cell tells anything
    metrics = map_metrics({"scene": count_cells(*grids(), THRESHOLDS)}, THRESHOLDS, calibrated)
    assert metrics["best_threshold"] == {"drivable_area": 0.35, "walkway": 0.35}
    assert metrics["calibrated_threshold"] == {"drivable_area": 0.65, "walkway": 0.4}
    assert metrics["iou_calibrated"] == pytest.approx({"drivable_area": 1 / 2, "walkway": 0.0})
    assert metrics["mIoU_calibrated"] == pytest.approx(1 / 4)
    assert metrics["mIoU_best"] == pytest.approx(7 / 12)


def test_class_that_training_lacks_is_judged_at_one_half() -> None:
    metrics = map_metrics({"scene": count_cells(*grids(), THRESHOLDS)}, THRESHOLDS, np.full(6, np.nan))
    assert metrics["iou_calibrated"] == metrics["iou_at_half"]
    assert metrics["calibrated_threshold"] == {"drivable_area": 0.5, "walkway": 0.5}


def test_iou_of_scenes_pools_their_cells() -> None:
    """Two scenes: IoU 1/1 and 0/3 of one class pool to 1/4, whose mean would be 1/2."""
    small, large = np.zeros((2, 1, 6, 2, 2), np.float32)
    small_truth, large_truth = np.zeros((2, 1, 6, 2, 2), np.float32)
    small[0, 0, 0, 0] = small_truth[0, 0, 0, 0] = 1
    large[0, 0, 1, 1], large_truth[0, 0, 0, :] = 1, 1
    scenes = {"a": count_cells(small, small_truth, [0.5]), "b": count_cells(large, large_truth, [0.5])}
    assert map_metrics(scenes, [0.5])["iou_best"] == pytest.approx({"drivable_area": 1 / 4})


def test_counts_of_parts_add_up_to_the_whole() -> None:
    random = np.random.default_rng(0)
    probabilities = random.random((4, 6, 8, 8), np.float32)
    truth = random.random((4, 6, 8, 8)) < 0.3
    whole = count_cells(probabilities, truth, THRESHOLDS)
    first, rest = slice(0, 1), slice(1, 4)
    parts = {
        "a": count_cells(probabilities[first], truth[first], THRESHOLDS),
        "b": count_cells(probabilities[rest], truth[rest], THRESHOLDS),
    }
    assert map_metrics({"all": whole}, THRESHOLDS) == map_metrics(parts, THRESHOLDS)
    assert whole.intersection.dtype == whole.predicted.dtype == whole.truth.dtype == np.int64
    assert np.array_equal(whole.iou(), (parts["a"] + parts["b"]).iou(), equal_nan=True)


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


@pytest.mark.parametrize("value", [0.0, 0.1, 0.95, np.nan])
def test_constant_maps_are_flagged(value: float) -> None:
    _, truth = grids()
    metrics = score(np.full(truth.shape, value, np.float32), truth)
    assert metrics["degenerate"] == "every class is predicted everywhere or nowhere"


def test_one_map_for_every_frame_is_flagged() -> None:
    """A model that ignores its input: it may well score, since all roads are straight ahead."""
    probabilities, truth = grids()
    random = np.random.default_rng(2)
    other = (random.random((3, 6, 2, 2)) < 0.5).astype(np.float32)
    scenes = {
        "a": count_cells(probabilities, truth, THRESHOLDS),
        "b": count_cells(np.repeat(probabilities, 3, axis=0), other, THRESHOLDS),
    }
    assert maps_degeneracy(scenes) == "the map is the same in every scene, seen from the sensor"
    probabilities[0, 0, 1, 1] = 0.9
    assert maps_degeneracy(scenes | {"c": count_cells(probabilities, truth, THRESHOLDS)}) is None


def test_no_class_at_all_gives_no_mean() -> None:
    probabilities, truth = grids()
    metrics = score(probabilities, truth * 0)
    assert metrics["mIoU_best"] is None and len(metrics["absent"]) == 6


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="both be"):
        count_cells(np.zeros((1, 6, 2, 2)), np.zeros((6, 2, 2)), THRESHOLDS)


@pytest.mark.parametrize("scale", ["paper", "paper_voxels"])
def test_paper_scale_counts_200_by_200_cells_of_half_a_metre(scale: str) -> None:
    """BEVFusion's map grid, +-50 m, cell centres from -49.75 m."""
    grid = params_at(scale, root=Path(__file__).parents[2]).networks.heads.map_grid
    assert (grid.size, grid.cell, grid.reach) == (200, 0.5, 50.0)
    assert (grid.axis[0], grid.axis[-1]) == (-49.75, 49.75)
