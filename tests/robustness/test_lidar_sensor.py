import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.robustness.lidar_sensor import beam_missing, cross_sensor, crosstalk, incomplete_echo, motion_blur
from tests.robustness.sweeps import HEIGHT, WALL, distances, moved, road_and_wall

SEVERITIES = pytest.mark.parametrize("severity", [1, 2, 3])


@SEVERITIES
def test_a_shaking_sensor(severity: int) -> None:
    points = road_and_wall()
    shaken = motion_blur(points, severity, np.random.default_rng(0))
    noise = shaken[:, :3] - points[:, :3]
    np.testing.assert_allclose(noise.std(axis=0), (0.2, 0.3, 0.4)[severity - 1], rtol=0.03)
    assert (np.abs(noise.mean(axis=0)) < 0.01).all()
    assert np.abs(np.corrcoef(noise.T) - np.eye(3)).max() < 0.04
    np.testing.assert_array_equal(shaken[:, 3:], points[:, 3:])


@SEVERITIES
def test_whole_beams_are_missing(severity: int) -> None:
    points = road_and_wall()
    left = beam_missing(points, severity, np.random.default_rng(0))
    rings = np.unique(left[:, 4])
    assert 32 - len(rings) == (8, 16, 24)[severity - 1]
    np.testing.assert_array_equal(left, points[np.isin(points[:, 4], rings)])
    other = np.unique(beam_missing(points, severity, np.random.default_rng(1))[:, 4])
    assert set(other) != set(rings)


@SEVERITIES
def test_crosstalk_changes_the_range_of_a_share_of_the_points(severity: int) -> None:
    points = road_and_wall()
    points = points[distances(points) > 15]  # where nothing folds back at the sensor
    noisy = crosstalk(points, severity, np.random.default_rng(0))
    struck = moved(points, noisy)
    assert struck.sum() == pytest.approx((0.03, 0.07, 0.12)[severity - 1] * len(points), abs=1)
    error = (distances(noisy) - distances(points))[struck]
    assert error.std() == pytest.approx(3.0, rel=0.2) and abs(error.mean()) < 1
    before, after = (cloud[:, :3] / distances(cloud)[:, None] for cloud in (points, noisy))
    np.testing.assert_allclose(after, before, atol=1e-6)
    np.testing.assert_array_equal(noisy[:, 3:], points[:, 3:])


@SEVERITIES
def test_dark_bodies_give_few_echoes(severity: int) -> None:
    points = road_and_wall()
    points[::2, 3] = 0.03
    points[:, 4] = np.arange(len(points))
    left = incomplete_echo(points, severity, np.random.default_rng(0))
    height = points[:, 2] + HEIGHT
    dark = np.flatnonzero((points[:, 3] < 20 / 255) & (height > 0.21) & (height < 2.99))
    lost = np.setdiff1d(np.arange(len(points)), left[:, 4].astype(np.int64))
    assert len(dark) > 200 and np.isin(lost, dark).mean() > 0.99
    assert len(lost) == pytest.approx((0.75, 0.85, 0.95)[severity - 1] * len(dark), rel=0.02)
    assert (distances(points[lost]) > WALL - 1).all()
    np.testing.assert_array_equal(left, points[left[:, 4].astype(np.int64)])


@SEVERITIES
def test_a_sensor_with_fewer_beams_and_a_coarser_angle(severity: int) -> None:
    points = road_and_wall()
    left = cross_sensor(points, severity, np.random.default_rng(0))
    rings, counts = np.unique(left[:, 4], return_counts=True)
    assert len(rings) == (24, 16, 8)[severity - 1]
    assert np.diff(rings).max() - np.diff(rings).min() <= 1  # evenly spread
    assert (np.abs(counts - 180) <= 1).all()  # of 360
    for ring in rings:
        azimuth = np.arctan2(*left[left[:, 4] == ring, :2].T)
        np.testing.assert_allclose(np.diff(azimuth), np.deg2rad(2), atol=1e-4)
    assert (points[:, None, 0] == left[None, :10, 0]).any(axis=0).all()


@pytest.mark.parametrize("corruption", [beam_missing, cross_sensor])
def test_points_that_do_not_know_their_beam_are_refused(corruption: object) -> None:
    points = road_and_wall()
    points[:, 4] = 0
    with pytest.raises(UserError, match="of one beam"):
        corruption(points, 1, np.random.default_rng(0))  # type: ignore[operator]
