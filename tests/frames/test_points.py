from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.frames.index import FrameIndex
from pipeline.frames.points import load_points, read_points
from pipeline.geometry.transforms import inverse
from tests.frames.tiny_dataset import static_points


def test_sweeps_land_on_the_key_frame(tiny_index: FrameIndex) -> None:
    frame = tiny_index[1]
    points, key_points, kept = load_points(tiny_index.root, frame, sweeps=4, ego_radius=1.0)
    count = len(static_points())
    assert kept.shape == (frame.points,)
    assert key_points == kept.sum()
    lidar_from_global = inverse(frame.global_from_lidar)
    expected = static_points() @ lidar_from_global[:3, :3].T + lidar_from_global[:3, 3]
    for number in range(5):
        start = number * count
        np.testing.assert_allclose(points[start : start + count, :3], expected, atol=1e-3)
        np.testing.assert_allclose(points[start : start + count, 4], 0.1 * number, atol=1e-6)
    assert len(points) == 5 * count
    np.testing.assert_allclose(points[:, 3], 0.2)


def test_own_car_is_removed_from_every_sweep(tiny_index: FrameIndex) -> None:
    frame = tiny_index[1]
    with_car, _, _ = load_points(tiny_index.root, frame, sweeps=2, ego_radius=0.0)
    without, _, kept = load_points(tiny_index.root, frame, sweeps=2, ego_radius=1.0)
    assert len(with_car) - len(without) == 6
    assert not kept[:2].any()
    assert kept[2:].all()


def test_fewer_sweeps_than_asked(tiny_index: FrameIndex) -> None:
    points, _, _ = load_points(tiny_index.root, tiny_index[0], sweeps=9, ego_radius=1.0)
    assert len(points) == 3 * len(static_points())


@pytest.mark.parametrize("cut", [-1, -4, -19])
def test_cut_off_sweep(tiny_copy: Path, cut: int) -> None:
    victim = next((tiny_copy / "samples" / "LIDAR_TOP").iterdir())
    victim.write_bytes(victim.read_bytes()[:cut])
    with pytest.raises(UserError, match=rf"(?s)cut off.*{victim.name}"):
        read_points(victim)


def test_missing_sweep(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.pcd\.bin"):
        read_points(tmp_path / "gone.pcd.bin")


def test_sweep_that_changed_since_the_index(tiny_copy: Path, tiny_index: FrameIndex) -> None:
    frame = tiny_index[0]
    victim = tiny_copy / frame.lidar_path
    victim.write_bytes(victim.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"(?s)900 points.*902"):
        load_points(tiny_copy, frame, sweeps=0, ego_radius=1.0)


def test_points_that_are_not_finite_are_dropped(tiny_copy: Path, tiny_index: FrameIndex) -> None:
    """In the key frame and in sweeps; what is left stays aligned with the key-frame file."""
    frame = tiny_index[1]
    before, key_before, kept_before = load_points(tiny_copy, frame, sweeps=1, ego_radius=1.0)
    for path, row, column in ((frame.lidar_path, 5, 2), (frame.lidar_path, 9, 3), (frame.sweeps[0].path, 7, 0)):
        values = np.fromfile(tiny_copy / path, np.float32).reshape(-1, 5)
        values[row, column] = np.nan if column else np.inf
        values.tofile(tiny_copy / path)
    points, key_points, kept = load_points(tiny_copy, frame, sweeps=1, ego_radius=1.0)
    assert np.isfinite(points).all()
    assert (len(before) - len(points), key_before - key_points) == (3, 2)
    assert np.flatnonzero(kept != kept_before).tolist() == [5, 9]
