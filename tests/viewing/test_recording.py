"""Recordings for the Rerun viewer, read back by Rerun itself."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.frames.frame import CAMERA_CHANNELS
from pipeline.params import load_params
from pipeline.regions.store import RegionStore
from pipeline.viewing.pinhole import decompose
from pipeline.viewing.recording import write_recording
from pipeline.viewing.viewer import Viewer


def test_a_scene_comes_back(region_project: Path) -> None:
    pytest.importorskip("rerun", reason="the extra `view` is not installed")
    from rerun.dataframe import load_recording

    viewer = Viewer.open(load_params())
    positions = viewer.scene_of(4)
    assert positions == [3, 4, 5]
    path = Path("scene.rrd")
    assert write_recording(viewer.look(positions), "a-scene", "", path) == 3
    assert [file.name for file in Path().glob("*.rrd*")] + list(Path().glob(".*.rrd*")) == ["scene.rrd"]

    recording = load_recording(path)
    assert (recording.application_id(), recording.recording_id()) == ("calico", "a-scene")
    table = recording.view(index="frame", contents="/world/**").select().read_all().to_pydict()
    assert table["frame"] == [0, 1, 2]
    store = RegionStore.open(Path("data/regions"))
    for row, position in enumerate(positions):
        [viewed] = viewer.look([position])
        frame = viewer.index[position]
        assert (table["time"][row] - table["time"][0]).total_seconds() == pytest.approx(
            (frame.timestamp - viewer.index[3].timestamp) / 1e6
        )
        for entity in ("regions", "intensity"):
            placed = np.array(table[f"/world/lidar/{entity}:Position3D"][row])
            assert np.array_equal(placed.astype(np.float32), viewed.points[:, :3])
        ids = np.array(table["/world/lidar/regions:ClassId"][row]).astype(np.uint16).astype(np.int16)
        assert viewed.regions is not None
        assert np.array_equal(ids, viewed.regions)
        assert set(ids) <= set(store.read(position, frame.points))
        assert viewed.truth is not None
        assert np.allclose(table["/world/lidar/truth:HalfSize3D"][row], viewed.truth.boxes[:, 3:6] / 2)
        assert np.array_equal(np.array(table["/world/lidar/truth:ClassId"][row]).ravel(), viewed.truth.classes)
        moved = np.array(table["/world/lidar:Translation3D"][row]).ravel()
        between = frame.global_from_lidar[:3, 3] - viewer.index[3].global_from_lidar[:3, 3]
        assert np.allclose(moved, between, atol=1e-3)
        for camera in frame.cameras:
            jpeg = bytes(table[f"/world/lidar/cameras/{camera.channel}:Blob"][row][0])
            assert jpeg[:2] == b"\xff\xd8"
    entities = {name.split(":")[0] for name in table if name.startswith("/world")}
    assert "/world/lidar/predicted" not in entities
    assert {f"/world/lidar/cameras/{channel}" for channel in CAMERA_CHANNELS} < entities


def test_intrinsics_and_pose_of_a_camera(region_project: Path) -> None:
    """Intrinsics are those of the data set's table, and put together with the pose the matrix of the index."""
    params = load_params()
    index = Viewer.open(params).index
    rows = json.loads(Path(params.dataset.root, params.dataset.version, "calibrated_sensor.json").read_text())
    calibrated = [row["camera_intrinsic"] for row in rows if row["camera_intrinsic"]]
    for camera in index[0].cameras:
        pinhole = decompose(camera.image_from_lidar)
        pose = pinhole.lidar_from_camera
        rotation = pose[:3, :3]
        assert np.allclose(rotation @ rotation.T, np.eye(3))
        assert np.linalg.det(rotation) == pytest.approx(1)
        again = pinhole.intrinsics @ np.linalg.inv(pose)[:3]
        assert np.allclose(again, camera.image_from_lidar[:3], atol=1e-6)
        assert any(np.allclose(pinhole.intrinsics, given, rtol=1e-6) for given in calibrated)
    front = next(camera for camera in index[0].cameras if camera.channel == "CAM_FRONT")
    ahead = decompose(front.image_from_lidar).lidar_from_camera[:3, 2]
    assert ahead[1] > 0.99  # y points ahead in the LiDAR's frame


def test_without_the_package_the_remedy_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(UserError) as caught:
        write_recording([], "nothing", "", tmp_path / "a.rrd")
    assert 'pip install "calico[view]"' in caught.value.remedy
    assert list(tmp_path.iterdir()) == []
