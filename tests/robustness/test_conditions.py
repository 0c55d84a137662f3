"""Which conditions there are, whom they apply to, and what each of them does to a frame."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.frames.disturbance import Disturbance
from pipeline.frames.frame import Camera, Frame
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.params import Corruptions, Stress, load_params
from pipeline.robustness.conditions import CORRUPTIONS, Condition, conditions_of, disturb

STRESS = load_params(Path(__file__).parents[2] / "params.yaml").stress
EVERY = Corruptions(None, [1, 2, 3])
ALL = replace(STRESS, lidar=EVERY, camera=EVERY, joint=EVERY, rig=EVERY)
World = tuple[FrameIndex, Labels]


def image_of(camera: Camera) -> NDArray[np.uint8]:
    """A picture with structure and colour, of the stored size."""
    width, height = camera.size
    rows, columns = np.mgrid[:height, :width]
    colours = [columns * 255 // width, rows * 255 // height, (rows // 8 + columns // 8) % 2 * 200]
    return np.asarray(np.stack(colours, -1), np.uint8)


def sweep_of(index: FrameIndex, frame: Frame) -> NDArray[np.float32]:
    """The key frame's own sweep with its rings, as a disturbance gets it."""
    path, _ = index.key_sweeps[index.position(frame.token)]
    points = np.fromfile(path, np.float32).reshape(-1, 5)
    points[:, 3] /= 255
    return points


def struck(disturbance: Disturbance, index: FrameIndex, frame: Frame) -> set[str]:
    """Which of points, images and cameras a disturbance changes in a frame."""
    points = sweep_of(index, frame)
    found = set()
    if not np.array_equal(disturbance.sweep(frame, 0.0, points.copy()), points):
        found.add("points")
    for camera in frame.cameras:
        seen = disturbance.camera(frame, camera)
        if seen.path != camera.path or not np.array_equal(seen.image_from_lidar, camera.image_from_lidar):
            found.add("camera")
        if not np.array_equal(disturbance.image(frame, camera, image_of(camera)), image_of(camera)):
            found.add("images")
    return found


@pytest.mark.parametrize(("family", "types"), [("lidar", 8), ("camera", 8), ("joint", 3), ("rig", 4)])
def test_every_type_at_every_severity(family: str, types: int) -> None:
    conditions = conditions_of(family, ALL)
    assert len({one.type for one in conditions}) == types
    assert len({one.name for one in conditions}) == len(conditions) == 3 * types
    assert {one.family for one in conditions} == {family}
    assert {one.severity for one in conditions} == {1, 2, 3}


def test_types_and_severities_are_those_of_params() -> None:
    own = replace(STRESS, camera=Corruptions(["snow", "fog"], [3]))
    assert [one.name for one in conditions_of("camera", own)] == ["snow-3", "fog-3"]


def test_a_type_of_another_family_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UserError) as caught:
        conditions_of("lidar", replace(STRESS, lidar=Corruptions(["low_light"], [1])))
    assert caught.value.where == "params.yaml: stress.lidar.types"
    assert "wet_ground" in caught.value.remedy


def test_arms_without_cameras_are_spared_what_strikes_cameras() -> None:
    spared = {(one.family, one.type) for family in CORRUPTIONS for one in conditions_of(family, ALL)
              if not one.applies_to("L")}  # fmt: skip
    expected = {(family, name) for family in ("camera", "joint") for name in CORRUPTIONS[family]}
    assert spared == expected | {("rig", "calibration_drift"), ("rig", "temporal_misalignment")}
    assert all(one.applies_to("LC") for family in CORRUPTIONS for one in conditions_of(family, ALL))


@pytest.mark.parametrize("condition", [one for family in CORRUPTIONS for one in conditions_of(family, STRESS)])
def test_a_condition_strikes_its_sensors_and_no_others(condition: Condition, attacked_world: World) -> None:
    """At the highest severity, in the second frame of a scene, which has one before it."""
    index, labels = attacked_world
    frame = index[1]
    assert index[0].scene == frame.scene
    found = struck(disturb(replace(condition, severity=3), 0, index, labels), index, frame)
    expected = {"lidar": {"points"}, "camera": {"images"}, "both": {"points", "images"}}[condition.sensors]
    if condition.type in ("calibration_drift", "temporal_misalignment"):
        expected = {"camera"}
    assert found == expected


def test_both_sensors_see_what_each_would_see_alone(attacked_world: World) -> None:
    index, labels = attacked_world
    frame = index[1]
    camera, points = frame.cameras[1], sweep_of(index, frame)
    alike = [Condition("joint", "fog", 2, "both"), Condition("lidar", "fog", 2, "lidar")]
    both, lidar, images = (
        disturb(condition, 5, index, labels) for condition in [*alike, Condition("camera", "fog", 2, "camera")]
    )
    assert np.array_equal(both.sweep(frame, 0.0, points.copy()), lidar.sweep(frame, 0.0, points.copy()))
    pixels = image_of(camera)
    assert np.array_equal(both.image(frame, camera, pixels.copy()), images.image(frame, camera, pixels.copy()))


def test_the_seed_of_params_decides(attacked_world: World) -> None:
    index, labels = attacked_world
    frame = index[1]
    points = sweep_of(index, frame)
    condition = Condition("lidar", "motion_blur", 2, "lidar")
    first, again, other = (
        disturb(condition, seed, index, labels).sweep(frame, 0.0, points.copy()) for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_families_of_params_are_the_ones_there_are() -> None:
    assert set(CORRUPTIONS) <= set(Stress.__dataclass_fields__)
