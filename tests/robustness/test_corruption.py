"""Which types there are and whom they strike; what random numbers depend on, and what not."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.frames.disturbance import Disturbance
from pipeline.frames.frame import CAMERA_CHANNELS, Camera, Frame
from pipeline.frames.index import FrameIndex
from pipeline.robustness.corruption import SEVERITIES, TYPES, Corruption, Sensors
from pipeline.robustness.rig import CalibrationDrift, TemporalMisalignment
from tests.robustness.loading import loader
from tests.robustness.pictures import picture

EYE = np.eye(4)
CAMERAS = tuple(Camera(channel, f"{channel}.jpg", EYE, (160, 90)) for channel in CAMERA_CHANNELS)
FRAME = Frame("token", "lidar", "scene", 0, "here", "sweep.bin", 1, EYE, EYE, EYE, (), CAMERAS)
IMAGE = picture(160, 90)


def cloud() -> NDArray[np.float32]:
    """A ring a beam, 32 of them, from 4 to 40 m."""
    rng = np.random.default_rng(0)
    ring = np.repeat(np.arange(32), 60)
    radius, angle = 4 + ring * 1.15, rng.uniform(0, 2 * np.pi, len(ring))
    shape = (
        radius * np.cos(angle),
        radius * np.sin(angle),
        np.full(len(ring), -1.8),
        rng.uniform(0, 0.3, len(ring)),
        ring,
    )
    return np.asarray(np.stack(shape, axis=1), np.float32)


def seen(corruption: Disturbance, frame: Frame, channel: str = "CAM_FRONT") -> NDArray[np.uint8]:
    camera = next(camera for camera in frame.cameras if camera.channel == channel)
    return corruption.image(frame, camera, IMAGE.copy())


def test_the_types_of_the_benchmarks() -> None:
    assert len(TYPES["lidar"]) == len(TYPES["camera"]) == 8
    assert set(TYPES["both"]) == {"fog", "snow", "motion_blur"} == set(TYPES["lidar"]) & set(TYPES["camera"])


@pytest.mark.parametrize(
    ("name", "severity", "sensors", "remedy"),
    [
        ("rain", 1, "lidar", "choose one of fog, wet_ground,"),
        ("wet_ground", 1, "camera", "choose one of camera_crash, frame_lost,"),
        ("brightness", 1, "both", "choose one of motion_blur, fog, snow"),
        ("fog", 4, "lidar", "choose one of 1, 2, 3"),
        ("fog", 0, "camera", "choose one of 1, 2, 3"),
        ("fog", 1, "radar", "choose one of lidar, camera, both"),
    ],
)
def test_wrong_words_are_told(name: str, severity: int, sensors: Sensors, remedy: str) -> None:
    with pytest.raises(UserError) as caught:
        Corruption(name, severity, sensors)
    assert caught.value.remedy.startswith(remedy)
    with pytest.raises(UserError):
        CalibrationDrift(4)


@pytest.mark.parametrize("sensors", ["lidar", "camera", "both"])
def test_the_same_everywhere_and_in_a_copy(sensors: Sensors) -> None:
    for name in TYPES[sensors]:
        one = Corruption(name, 2, sensors, seed=7)
        other = pickle.loads(pickle.dumps(one))
        assert other == one
        assert np.array_equal(one.sweep(FRAME, 0.05, cloud()), other.sweep(FRAME, 0.05, cloud())), name
        assert np.array_equal(seen(one, FRAME), seen(other, FRAME)), name
        assert one.camera(FRAME, CAMERAS[0]) is CAMERAS[0]


def test_frame_seed_and_sensor_decide() -> None:
    snow, another = Corruption("snow", 2, "both", seed=1), replace(FRAME, token="another")
    images = [
        seen(snow, FRAME), seen(snow, another), seen(snow, FRAME, "CAM_BACK"), seen(replace(snow, seed=2), FRAME)
    ]  # fmt: skip
    sweeps = [
        snow.sweep(FRAME, 0.0, cloud()), snow.sweep(another, 0.0, cloud()), snow.sweep(FRAME, 0.05, cloud()),
        replace(snow, seed=2).sweep(FRAME, 0.0, cloud()),
    ]  # fmt: skip
    for results in (images, sweeps):
        assert len({result.tobytes() for result in results}) == 4
    # Weather belongs to a frame, not to a scene; it is the same wherever the frame is filed.
    assert np.array_equal(seen(snow, replace(FRAME, scene="elsewhere")), images[0])


def test_both_is_each_of_them_at_the_same_severity() -> None:
    for name in TYPES["both"]:
        for severity in SEVERITIES:
            both, lidar, camera = (Corruption(name, severity, sensors) for sensors in ("both", "lidar", "camera"))
            assert np.array_equal(both.sweep(FRAME, 0.0, cloud()), lidar.sweep(FRAME, 0.0, cloud()))
            assert np.array_equal(seen(both, FRAME), seen(camera, FRAME))
            assert np.array_equal(camera.sweep(FRAME, 0.0, cloud()), cloud())
            assert np.array_equal(seen(lidar, FRAME), IMAGE)
            assert not np.array_equal(both.sweep(FRAME, 0.0, cloud()), cloud())
            assert not np.array_equal(seen(both, FRAME), IMAGE)


def test_a_dead_beam_is_dead_in_every_sweep_of_a_frame() -> None:
    missing = Corruption("beam_missing", 2, "lidar")
    left = [set(missing.sweep(FRAME, lag, cloud())[:, 4].tolist()) for lag in (0.0, 0.05, 0.1)]
    assert left[0] == left[1] == left[2]
    assert 1 < len(left[0]) < 32
    assert left[0] != set(missing.sweep(replace(FRAME, token="another"), 0.0, cloud())[:, 4].tolist())


@pytest.mark.parametrize(("severity", "count"), [(1, 2), (2, 4), (3, 5)])
def test_the_same_cameras_crash_in_a_whole_scene(severity: int, count: int) -> None:
    crash = Corruption("camera_crash", severity, "camera")

    def black(frame: Frame) -> frozenset[str]:
        return frozenset(channel for channel in CAMERA_CHANNELS if not seen(crash, frame, channel).any())

    frames = [replace(FRAME, token=str(number)) for number in range(5)]
    assert {len(black(frame)) for frame in frames} == {count}
    assert len({black(frame) for frame in frames}) == 1
    assert len({black(replace(FRAME, scene=str(number))) for number in range(8)}) > 2


def test_each_camera_loses_frames_of_its_own() -> None:
    lost = Corruption("frame_lost", 1, "camera")
    frames = [replace(FRAME, token=str(number)) for number in range(50)]
    black = np.array([[not seen(lost, frame, channel).any() for channel in CAMERA_CHANNELS] for frame in frames])
    assert abs(black.mean() - 1 / 3) < 4 * np.sqrt(2 / 9 / black.size)
    assert np.abs(np.corrcoef(black.T) - np.eye(6)).max() < 0.6


@pytest.mark.parametrize("kind", ["snow", "late"])
def test_reading_processes_change_nothing(index: FrameIndex, kind: str) -> None:
    disturbance: Disturbance = Corruption("snow", 2, "both") if kind == "snow" else TemporalMisalignment(2, index)
    mine, theirs = (loader(index, disturbance, processes).load([1, 4]) for processes in (0, 1))
    clean = loader(index).load([1, 4])
    assert mine.images is not None and theirs.images is not None and clean.images is not None
    assert torch.equal(mine.points, theirs.points)
    assert torch.equal(mine.images, theirs.images)
    assert not torch.equal(mine.images, clean.images)
    assert torch.equal(mine.points, clean.points) == (kind == "late")
    assert mine.bev_from_image is not None and clean.bev_from_image is not None
    assert torch.equal(mine.bev_from_image, clean.bev_from_image)
