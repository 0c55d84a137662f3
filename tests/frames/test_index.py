import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.frames.frame import CAMERA_CHANNELS
from pipeline.frames.index import FrameIndex
from pipeline.frames.index_building import build_index
from pipeline.frames.tables import read_table
from pipeline.geometry.transforms import inverse, matrix_from_pose
from pipeline.params import Dataset
from tests.frames.tiny_dataset import VERSION, dataset_at, ego_pose

LABEL_TABLES = ("sample_annotation", "instance", "attribute", "category", "visibility")


def test_frames_are_sorted_by_scene_and_time(tiny_index: FrameIndex) -> None:
    frames = [tiny_index[position] for position in range(len(tiny_index))]
    assert [f.token for f in frames] == [f"scene-{s}-{k}" for s in "abcd" for k in (0, 1)]
    assert [tiny_index.position(f.token) for f in frames] == list(range(8))
    assert tiny_index.split("train") == [0, 1, 2, 3, 6, 7]
    assert tiny_index.split("val") == [4, 5]
    assert tiny_index.tokens == [f.token for f in frames]


def test_sweeps_follow_prev_over_key_frames(tiny_index: FrameIndex) -> None:
    first, second = tiny_index[0], tiny_index[1]
    np.testing.assert_allclose([s.lag for s in first.sweeps], [0.1, 0.2], atol=1e-9)
    np.testing.assert_allclose([s.lag for s in second.sweeps], [0.1, 0.2, 0.3, 0.4, 0.5], atol=1e-9)
    assert second.sweeps[2].path == first.lidar_path
    expected = inverse(ego_pose(0.5) @ second.ego_from_lidar) @ ego_pose(0.2) @ second.ego_from_lidar
    np.testing.assert_allclose(second.sweeps[2].lidar_from_sweep, expected, atol=1e-6)


def test_camera_matrix_includes_ego_motion(tiny_index: FrameIndex, tiny_root: Path) -> None:
    frame = tiny_index[1]
    assert tuple(c.channel for c in frame.cameras) == CAMERA_CHANNELS
    calibrations = {row["token"]: row for row in read_table(tiny_root, VERSION, "calibrated_sensor")}
    for number, camera in enumerate(frame.cameras):
        row = calibrations[camera.channel]
        point = np.array([3.0, 9.0, -1.0, 1.0])
        in_global = frame.global_from_lidar @ point
        pose = ego_pose(0.5 + 0.01 * (number - 3)) @ matrix_from_pose(row["rotation"], row["translation"])
        in_camera = np.array(row["camera_intrinsic"]) @ (inverse(pose) @ in_global)[:3]
        np.testing.assert_allclose((camera.image_from_lidar @ point)[:3], in_camera, atol=1e-3)


def test_index_needs_no_label_table(tiny_copy: Path, tiny_index: FrameIndex, tmp_path: Path) -> None:
    for name in LABEL_TABLES:
        (tiny_copy / VERSION / f"{name}.json").unlink()
    out = tmp_path / "index"
    out.mkdir()
    build_index(dataset_at(tiny_copy), out)
    for name in ("frames.feather", "sweeps.feather", "cameras.feather", "index.json"):
        assert (out / name).read_bytes() == (tiny_index.path / name).read_bytes()


def test_index_holds_no_absolute_path(tiny_index: FrameIndex, tiny_root: Path) -> None:
    for path in tiny_index.path.glob("*.*"):
        if path.is_file():
            assert str(tiny_root).encode() not in path.read_bytes()


def test_index_travels_to_workers_as_two_paths(tiny_index: FrameIndex) -> None:
    sent = pickle.dumps(tiny_index)
    assert len(sent) < 1000
    assert pickle.loads(sent)[3].token == tiny_index[3].token


def test_unknown_split_of_an_index(tiny_index: FrameIndex) -> None:
    with pytest.raises(UserError, match=r"(?s)'test'.*train, val"):
        tiny_index.split("test")


def test_no_index(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc repro"):
        FrameIndex.open(tmp_path, tmp_path)


@pytest.mark.parametrize("name", ["frames.feather", "sweeps.feather", "cameras.feather"])
@pytest.mark.parametrize("kept", [None, 0, 100, 3000])
def test_damaged_index_names_file_and_remedy(
    tiny_root: Path, tiny_index: FrameIndex, tmp_path: Path, name: str, kept: int | None
) -> None:
    shutil.copytree(tiny_index.path, tmp_path, dirs_exist_ok=True)
    if kept is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:kept])
    with pytest.raises(UserError, match=rf"(?s)cannot be read.*{name}.*dvc checkout"):
        FrameIndex.open(tmp_path, tiny_root)


@pytest.mark.parametrize("pattern", ["samples/LIDAR_TOP/scene-b*", "samples/CAM_BACK/scene-b*"])
def test_missing_key_frame_file_is_an_error_before_anything_is_written(
    tiny_copy: Path, tmp_path: Path, pattern: str
) -> None:
    victim = sorted(tiny_copy.glob(pattern))[0]
    victim.unlink()
    with pytest.raises(UserError, match=victim.name):
        build_index(dataset_at(tiny_copy), tmp_path)
    assert not list(tmp_path.glob("*.feather"))


def test_missing_sweep_is_left_out_and_counted(
    tiny_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for victim in (tiny_copy / "sweeps" / "LIDAR_TOP").glob("scene-a*400000*"):
        victim.unlink()
    out = tmp_path / "index"
    out.mkdir()
    build_index(dataset_at(tiny_copy), out)
    assert "1 sweep files" in capsys.readouterr().out
    sweeps = FrameIndex.open(out, tiny_copy)[1].sweeps
    np.testing.assert_allclose([s.lag for s in sweeps], [0.2, 0.3, 0.4, 0.5], atol=1e-9)


def test_cut_off_sweep_names_file_and_remedy(tiny_copy: Path, tmp_path: Path) -> None:
    victim = sorted((tiny_copy / "samples" / "LIDAR_TOP").iterdir())[0]
    victim.write_bytes(victim.read_bytes()[:-7])
    with pytest.raises(UserError, match=rf"(?s)cut off.*{victim.name}.*copy this file again"):
        build_index(dataset_at(tiny_copy), tmp_path)


def test_empty_sweep_names_file_and_remedy(tiny_copy: Path, tmp_path: Path) -> None:
    victim = sorted((tiny_copy / "sweeps" / "LIDAR_TOP").iterdir())[1]
    victim.write_bytes(b"")
    with pytest.raises(UserError, match=rf"(?s)the sweep is empty.*{victim.name}.*copy this file again"):
        build_index(dataset_at(tiny_copy), tmp_path)


def edit_table(root: Path, name: str, token: str, **values: object) -> None:
    path = root / VERSION / f"{name}.json"
    rows = json.loads(path.read_text())
    next(row for row in rows if row["token"] == token).update(values)
    path.write_text(json.dumps(rows))


def test_sweep_that_is_not_older_than_its_key_frame(tiny_copy: Path, tiny_index: FrameIndex, tmp_path: Path) -> None:
    frame = tiny_index[1]
    earlier = Path(frame.sweeps[0].path).name.removesuffix(".pcd.bin")
    edit_table(tiny_copy, "sample_data", earlier, timestamp=frame.timestamp + 1)
    with pytest.raises(UserError, match=r"(?s)not older than it.*sample_data\.json.*time stamps or the `prev` links"):
        build_index(dataset_at(tiny_copy), tmp_path)


def test_two_samples_at_the_same_time(tiny_copy: Path, tiny_index: FrameIndex, tmp_path: Path) -> None:
    edit_table(tiny_copy, "sample", "scene-b-1", timestamp=tiny_index[2].timestamp)
    with pytest.raises(UserError, match=r"(?s)scene-b-0 and scene-b-1.*same time stamp.*sample\.json.*sort out"):
        build_index(dataset_at(tiny_copy), tmp_path)


@pytest.mark.parametrize("rotation", [[0.0, 0.0, 0.0, 0.0], [float("nan"), 0.0, 0.0, 1.0]])
def test_row_without_a_pose(tiny_copy: Path, tmp_path: Path, tiny_index: FrameIndex, rotation: list[float]) -> None:
    edit_table(tiny_copy, "ego_pose", tiny_index[4].lidar_token, rotation=rotation)
    with pytest.raises(UserError, match=rf"(?s){tiny_index[4].lidar_token} holds no pose.*ego_pose\.json.*damaged"):
        build_index(dataset_at(tiny_copy), tmp_path)


def test_index_written_in_many_batches_reads_the_same(
    tiny_root: Path, tiny_index: FrameIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.frames.index_tables.BATCH", 3)
    build_index(dataset_at(tiny_root), tmp_path)
    index = FrameIndex.open(tmp_path, tiny_root)
    assert len(index) == len(tiny_index)
    for ours, theirs in zip(map(index.__getitem__, range(8)), map(tiny_index.__getitem__, range(8)), strict=True):
        assert repr(ours) == repr(theirs)
    assert index.tokens == tiny_index.tokens
    np.testing.assert_array_equal(index.points, tiny_index.points)
    np.testing.assert_array_equal(index.global_from_lidar, np.stack([index[k].global_from_lidar for k in range(8)]))
    assert index.timestamps.tolist() == [index[k].timestamp for k in range(8)]


def test_link_to_nowhere_names_the_table(tiny_copy: Path, tmp_path: Path) -> None:
    path = tiny_copy / VERSION / "ego_pose.json"
    path.write_text(json.dumps(json.loads(path.read_text())[1:]))
    with pytest.raises(UserError, match=r"ego_pose\.json"):
        build_index(dataset_at(tiny_copy), tmp_path)


def test_frames_without_cameras(tiny_copy: Path, tmp_path: Path) -> None:
    path = tiny_copy / VERSION / "sample_data.json"
    rows = json.loads(path.read_text())
    kept = [r for r in rows if not (r["sample_token"] == "scene-a-0" and "CAM" in r["calibrated_sensor_token"])]
    kept = [r for r in kept if not (r["sample_token"] == "scene-a-1" and r["calibrated_sensor_token"] == "CAM_FRONT")]
    path.write_text(json.dumps(kept))
    out = tmp_path / "index"
    out.mkdir()
    build_index(dataset_at(tiny_copy), out)
    index = FrameIndex.open(out, tiny_copy)
    assert index[0].cameras == ()
    assert len(index[1].cameras) == 5
    assert len(index[2].cameras) == 6


@pytest.mark.real_data
def test_real_index(real_index: FrameIndex) -> None:
    assert len(real_index) == 14
    assert not real_index.has_maps
    assert real_index.points.min() > 34000
    assert [len(real_index[p].cameras) for p in range(14)] == [0] * 11 + [6] + [0, 0]
    assert [len(real_index[p].sweeps) for p in (0, 1, 12, 13)] == [0, 1, 0, 0]


@pytest.mark.real_data
def test_devkit_agrees_on_the_real_poses(real_index: FrameIndex, real_dataset: Dataset) -> None:
    from nuscenes.nuscenes import NuScenes
    from nuscenes.utils.data_classes import LidarPointCloud

    from pipeline.frames.points import load_points

    nusc = NuScenes(real_dataset.version, real_dataset.root, verbose=False)
    frame = real_index[4]
    theirs, lags = LidarPointCloud.from_file_multisweep(
        nusc, nusc.get("sample", frame.token), "LIDAR_TOP", "LIDAR_TOP", nsweeps=3, min_distance=1.0
    )
    ours, _, _ = load_points(real_index.root, frame, sweeps=2, ego_radius=1.0)
    assert len(frame.sweeps) == 2
    np.testing.assert_allclose(ours[:, :3], theirs.points[:3].T, atol=1e-3)
    np.testing.assert_allclose(ours[:, 4], lags[0], atol=1e-5)


@pytest.mark.real_data
def test_devkit_agrees_on_the_real_pixels(real_index: FrameIndex, real_dataset: Dataset) -> None:
    from nuscenes.nuscenes import NuScenes

    from pipeline.frames.points import load_points
    from pipeline.reporting.figures.projection import project

    nusc = NuScenes(real_dataset.version, real_dataset.root, verbose=False)
    frame = real_index[11]
    points, _, _ = load_points(real_index.root, frame, sweeps=0, ego_radius=0.0)
    for camera in frame.cameras:
        token = next(row["token"] for row in nusc.sample_data if row["filename"] == camera.path)
        theirs, depth, _ = nusc.explorer.map_pointcloud_to_image(frame.lidar_token, token, min_dist=1.0)
        pixels, ours = project(camera, points)
        # The devkit leaves out a border of one pixel.
        inner = ((pixels > 1) & (pixels < np.array(camera.size) - 1)).all(1)
        assert len(theirs[0]) > 1500
        np.testing.assert_allclose(pixels[inner].T, theirs[:2], atol=0.05)
        np.testing.assert_allclose(ours[inner], depth, atol=1e-3)
