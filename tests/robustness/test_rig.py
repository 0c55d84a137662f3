"""Drift and delay are exactly as large as their severity says, the same for a scene, and nothing else changes."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.frames.frame import CAMERA_CHANNELS, Camera, Frame
from pipeline.frames.index import FrameIndex
from pipeline.robustness.rig import CalibrationDrift, TemporalMisalignment
from tests.robustness.loading import loader

SCENE = 3  # key frames of a scene of the small world


def decomposed(camera: Camera) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Intrinsics, rotation and centre by OpenCV, which knows nothing of drifts."""
    parts = cv2.decomposeProjectionMatrix(camera.image_from_lidar[:3])[:3]
    intrinsics, rotation, centre = (np.asarray(part, np.float64) for part in parts)
    return intrinsics / intrinsics[2, 2], rotation, (centre[:3] / centre[3]).ravel()


@pytest.mark.parametrize(("severity", "degrees", "metres"), [(1, 1.0, 0.02), (2, 2.0, 0.05), (3, 4.0, 0.1)])
def test_drift_is_as_large_as_its_severity(index: FrameIndex, severity: int, degrees: float, metres: float) -> None:
    frame = index[1]
    for seed in range(3):
        drift = CalibrationDrift(severity, seed)
        for camera in frame.cameras:
            moved = drift.camera(frame, camera)
            assert replace(moved, image_from_lidar=camera.image_from_lidar) == camera
            (k, r, c), (k_moved, r_moved, c_moved) = decomposed(camera), decomposed(moved)
            np.testing.assert_allclose(k_moved, k, rtol=1e-6, atol=1e-6)
            cosine = (np.trace(r_moved.T @ r) - 1) / 2
            assert np.rad2deg(np.arccos(cosine)) == pytest.approx(degrees, abs=1e-4)
            assert np.linalg.norm(c_moved - c) == pytest.approx(metres, abs=1e-6)


def test_drift_turns_every_way_and_stays_for_a_scene(index: FrameIndex) -> None:
    drift = CalibrationDrift(3, seed=4)
    first, second, elsewhere = index[0], index[1], index[SCENE]
    assert first.scene == second.scene != elsewhere.scene
    turns = []
    for camera, later, other in zip(first.cameras, second.cameras, elsewhere.cameras, strict=True):
        here, now, there = (drift.moved_from_lidar(f.scene, c) for f, c in
                            ((first, camera), (second, later), (elsewhere, other)))  # fmt: skip
        # The rig's geometry differs by ego motion between the time stamps, the turn does not.
        np.testing.assert_allclose(here[:3, :3], now[:3, :3], atol=1e-12)
        assert not np.allclose(here[:3, :3], there[:3, :3], atol=1e-3)
        turns.append(here[:3, :3])
    assert all(not np.allclose(turns[0], turn, atol=1e-3) for turn in turns[1:])
    # Over many scenes the axes cover the sphere: their mean is near zero.
    camera = first.cameras[0]
    rotations = [drift.moved_from_lidar(str(scene), camera)[:3, :3] for scene in range(300)]
    axes = np.array([[r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]] for r in rotations])
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    assert np.abs(axes.mean(0)).max() < 4 / np.sqrt(3 * 300)
    assert np.abs((axes**2).mean(0) - 1 / 3).max() < 0.08


def test_a_network_lifts_pixels_to_where_the_drift_believes_them(index: FrameIndex) -> None:
    drift = CalibrationDrift(2, seed=5)
    clean, drifted = loader(index).load([1]), loader(index, drift).load([1])
    assert clean.images is not None and drifted.images is not None
    assert torch.equal(clean.images, drifted.images)
    assert torch.equal(clean.points, drifted.points)
    assert clean.bev_from_image is not None and drifted.bev_from_image is not None
    for c, camera in enumerate(index[1].cameras):  # without augmentation BEV and LiDAR frames are the same
        moved = torch.from_numpy(drift.moved_from_lidar(index[1].scene, camera)).float()
        torch.testing.assert_close(
            drifted.bev_from_image[0, c], moved @ clean.bev_from_image[0, c], atol=1e-4, rtol=1e-4
        )


@pytest.mark.parametrize(("severity", "count"), [(1, 2), (2, 4), (3, 6)])
def test_stuck_cameras_show_the_key_frame_before(index: FrameIndex, severity: int, count: int) -> None:
    positions = list(range(len(index)))
    late = TemporalMisalignment(severity, index, seed=1)
    clean, stuck = loader(index).load(positions), loader(index, late).load(positions)
    assert clean.images is not None and stuck.images is not None
    assert clean.bev_from_image is not None and stuck.bev_from_image is not None
    assert torch.equal(stuck.bev_from_image, clean.bev_from_image)  # the model believes them to be new
    assert torch.equal(stuck.points, clean.points)
    for position in positions:
        frame = index[position]
        if position % SCENE == 0:
            assert position == 0 or index[position - 1].scene != frame.scene
            assert torch.equal(stuck.images[position], clean.images[position])
            continue
        chosen = [channel in late.stuck_cameras(frame.scene) for channel in CAMERA_CHANNELS]
        assert sum(chosen) == count
        for c, old in enumerate(chosen):
            assert torch.equal(stuck.images[position, c], clean.images[position - old, c])
            assert not torch.equal(clean.images[position, c], clean.images[position - 1, c])


def test_scenes_choose_cameras_of_their_own(index: FrameIndex) -> None:
    late = TemporalMisalignment(1, index)
    chosen = [frozenset(late.stuck_cameras(str(scene))) for scene in range(200)]
    assert len(set(chosen)) == 15  # every pair of six
    assert frozenset(late.stuck_cameras("0")) == chosen[0]


def test_a_camera_that_was_missing_before_keeps_its_image(index: FrameIndex) -> None:
    class Without(FrameIndex):
        def __getitem__(self, position: int) -> Frame:
            frame = super().__getitem__(position)
            return replace(frame, cameras=frame.cameras[1:]) if position == 0 else frame

    late = TemporalMisalignment(3, Without.open(index.path, index.root))
    frame = index[1]
    first, *others = (late.camera(frame, camera).path != camera.path for camera in frame.cameras)
    assert not first
    assert all(others)
