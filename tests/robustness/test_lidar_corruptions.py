"""What every LiDAR corruption has to hold, on a known sweep and on recorded ones."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.frames.augmentation import generator
from pipeline.robustness.lidar_corruptions import LIDAR_CORRUPTIONS
from tests.robustness.sweeps import distances, moved, road_and_wall

EACH = pytest.mark.parametrize("name", LIDAR_CORRUPTIONS)
POINTS_LEFT: dict[
    str, list[tuple[float, float]]
] = {  # share of a recorded sweep at light, moderate and heavy: at least, at most
    "fog": [(1, 1), (1, 1), (1, 1)],
    "wet_ground": [(0.93, 1), (0.75, 0.95), (0.65, 0.9)],
    "snow": [(1, 1), (1, 1), (1, 1)],
    "motion_blur": [(1, 1), (1, 1), (1, 1)],
    "beam_missing": [(0.73, 0.77), (0.48, 0.52), (0.23, 0.27)],
    "crosstalk": [(1, 1), (1, 1), (1, 1)],
    "incomplete_echo": [(0.85, 0.98), (0.83, 0.98), (0.8, 0.98)],
    "cross_sensor": [(0.36, 0.39), (0.24, 0.26), (0.12, 0.13)],
}


def effect(name: str, points: NDArray[np.float32], severity: int, token: str = "t") -> float:
    """Share of the points that are lost, else metres a point moves on average."""
    struck = LIDAR_CORRUPTIONS[name](points, severity, generator(7, 0, token, f"{name}/{severity}"))
    if len(struck) < len(points):
        return 1 - len(struck) / len(points)
    return float(np.linalg.norm(struck[:, :3] - points[:, :3], axis=1).mean())


def test_they_are_eight() -> None:
    assert len(LIDAR_CORRUPTIONS) == 8


@EACH
def test_the_random_numbers_decide_and_the_input_stays(name: str) -> None:
    points = road_and_wall()
    points[::2, 3] = 0.03
    before = points.copy()
    corrupt = LIDAR_CORRUPTIONS[name]
    first, again, other = (corrupt(points, 3, generator(7, 0, token, name)) for token in ("a", "a", "b"))
    np.testing.assert_array_equal(points, before)
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.float32 and first.flags.owndata and first.shape[1] == 5
    assert np.isfinite(first).all() and (first[:, 3] >= 0).all() and (first[:, 3] <= 1).all()
    assert first.shape != points.shape or not np.array_equal(first, points)
    if name != "wet_ground":  # nothing in it is random
        assert first.shape != other.shape or not np.array_equal(first, other)


@EACH
def test_a_higher_severity_does_more(name: str) -> None:
    points = road_and_wall()
    points[::2, 3] = 0.03
    light, moderate, heavy = (effect(name, points, severity) for severity in (1, 2, 3))
    assert 0 < light < moderate < heavy


@EACH
@pytest.mark.parametrize("severity", [1, 2, 3])
def test_no_points_and_points_at_the_sensor(name: str, severity: int) -> None:
    none = np.empty((0, 5), np.float32)
    assert LIDAR_CORRUPTIONS[name](none, severity, np.random.default_rng(0)).shape == (0, 5)
    few = np.zeros((4, 5), np.float32)
    few[:, 4] = np.arange(4)
    assert np.isfinite(LIDAR_CORRUPTIONS[name](few, severity, np.random.default_rng(0))).all()


@EACH
@pytest.mark.filterwarnings("ignore:invalid value")
def test_points_that_are_not_finite_harm_no_other(name: str) -> None:
    points = road_and_wall()
    points[::2, 3] = 0.03
    clean = LIDAR_CORRUPTIONS[name](points, 2, generator(7, 0, "t", name))
    points[100, 0], points[200, 1], points[300, 3] = np.nan, np.inf, np.nan
    bad = ~np.isfinite(points).all(axis=1)
    struck = LIDAR_CORRUPTIONS[name](points, 2, generator(7, 0, "t", name))
    assert (~np.isfinite(struck).all(axis=1)).sum() <= bad.sum() == 3
    assert abs(len(struck) - len(clean)) < 10


@pytest.mark.real_data
@EACH
def test_recorded_sweeps(name: str) -> None:
    root = Path(os.environ.get("CALICO_REAL_DATA", Path(__file__).parents[3] / "shared" / "data" / "nuscenes"))
    files = sorted((root / "samples" / "LIDAR_TOP").glob("*.pcd.bin"))[::3]
    if not files:
        pytest.skip(f"no recorded data at {root}; set CALICO_REAL_DATA to a nuScenes root")
    for file in files:
        points = np.fromfile(file, np.float32).reshape(-1, 5)
        points[:, 3] /= 255
        effects = []
        for severity, (least, most) in zip((1, 2, 3), POINTS_LEFT[name], strict=True):
            struck = LIDAR_CORRUPTIONS[name](points, severity, generator(7, 0, file.name, f"{name}/{severity}"))
            assert np.isfinite(struck).all()
            assert least <= len(struck) / len(points) <= most
            gone = 1 - len(struck) / len(points)
            effects.append(gone or np.linalg.norm(struck[:, :3] - points[:, :3], axis=1).mean())
            if name in ("fog", "snow"):
                assert (distances(struck) <= distances(points) + 1e-3).all()
                assert 0.005 < moved(points, struck).mean() < 0.6
        assert effects[0] < effects[1] < effects[2]
