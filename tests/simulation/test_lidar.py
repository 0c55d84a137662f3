"""The LiDAR against the geometry it looks at."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.geometry.transforms import matrix_from_pose
from pipeline.params import LidarLayout, Simulate
from pipeline.simulation.casting import Caster, Solids, Thing
from pipeline.simulation.lidar import RANGE_STEP, Sweep, scan
from pipeline.simulation.materials import Material
from pipeline.simulation.rig import LIDAR_ROTATION, elevations, lidar_rays, lidar_translation
from pipeline.simulation.shapes import block

FlatWorld = Callable[[list[Thing]], Caster]
HEIGHT = 1.84


def _scan(caster: Caster, params: Simulate) -> Sweep:
    pose = matrix_from_pose(LIDAR_ROTATION, [0, 0, HEIGHT])
    return scan(
        caster, Solids([]), pose, lidar_rays(params.lidar, params.azimuth_steps), params, np.random.default_rng(1)
    )


@pytest.fixture
def params(world_params: Simulate) -> Simulate:
    return replace(world_params, azimuth_steps=720)


def test_noise_and_resolution(flat: FlatWorld, params: Simulate) -> None:
    # The wall stands at x = 10 of the car, which is y = 10 in front of the LiDAR.
    wall = block((1, 8, 4), (10.5, 0, 0), Material.CONCRETE, (0.5, 0.5, 0.5))
    sweep = _scan(flat([Thing(wall, 5, 28)]), params)
    on_wall = sweep.points[sweep.number == 5]
    measured = np.linalg.norm(on_wall[:, :3], axis=1)
    residual = measured * (1 - 10 / on_wall[:, 1])
    face = np.abs(residual) < 0.2
    assert len(on_wall) > 400 and face.mean() > 0.9
    assert residual[face].std() == pytest.approx(params.range_noise, rel=0.15)
    assert abs(residual[face].mean()) < 0.004
    steps = measured / RANGE_STEP
    assert np.abs(steps - np.round(steps)).max() < 0.05


def test_rings_and_firing_order(flat: FlatWorld, params: Simulate) -> None:
    points = _scan(flat([]), params).points.astype(np.float64)
    ring = points[:, 4].astype(int)
    elevation = np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]))
    np.testing.assert_allclose(elevation, elevations(params.lidar)[ring], atol=1e-5)
    assert ring.max() < 24  # beams above the horizon meet nothing
    azimuth = np.unwrap(np.arctan2(points[:, 1], points[:, 0]))
    assert azimuth[0] > azimuth[-1] and np.all(np.diff(azimuth) < 1e-3)  # clockwise
    assert points[:, 3].min() >= 0 and points[:, 3].max() <= 255


def test_another_layout_gives_its_beams_elevations_and_height(flat: FlatWorld, params: Simulate) -> None:
    layout = LidarLayout(beams=64, lowest=-17.6, highest=2.4, height=2.184)
    box = block((30, 30, 12), (0, 0, -1), Material.CONCRETE, (0.5, 0.5, 0.5))
    points = _scan(flat([Thing(box, 0, 28)]), replace(params, lidar=layout, dropout=0.0)).points.astype(np.float64)
    elevation = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))
    assert set(points[:, 4]) == set(range(64))
    np.testing.assert_allclose(elevation, np.linspace(-17.6, 2.4, 64)[points[:, 4].astype(int)], atol=1e-3)
    assert lidar_translation(layout)[2] == 2.184


def test_drop_out(flat: FlatWorld, params: Simulate) -> None:
    box = block((30, 30, 12), (0, 0, -1), Material.CONCRETE, (0.5, 0.5, 0.5))
    fired = params.azimuth_steps * 32
    for dropout in (0.0, 0.25):
        sweep = _scan(flat([Thing(box, 0, 28)]), replace(params, dropout=dropout))
        assert len(sweep.points) / fired == pytest.approx(1 - dropout, abs=0.03)


def test_max_range(flat: FlatWorld, params: Simulate) -> None:
    near = _scan(flat([]), replace(params, max_range=12.0)).points
    assert len(near) and np.linalg.norm(near[:, :3], axis=1).max() < 12.0
