"""The whole room on the embedded world: index, labels, maps and a batch agree with each other and with the devkit."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.frames.dataset import FrameLoader
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.frames.maps import MAP_CLASSES, MapRasters
from pipeline.frames.points import load_points
from pipeline.geometry.boxes import points_in_box
from pipeline.geometry.grid import BevGrid
from pipeline.params import Prepare, Simulate
from tests.frames.prepared_world import prepare_world
from tests.frames.tiny_dataset import GRID, augmentation_params, frames_params


@pytest.fixture(scope="module")
def prepared(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[FrameIndex, Labels]:
    return prepare_world(world, tmp_path_factory.mktemp("world"), Prepare(0.2, [0.5, 1.0]))


def test_every_frame_has_six_cameras_and_its_sweeps(
    prepared: tuple[FrameIndex, Labels], world_params: Simulate
) -> None:
    index, _ = prepared
    scenes = world_params.train_scenes + world_params.val_scenes
    assert len(index) == scenes * world_params.keyframes_per_scene
    assert len(index.split("embedded_val")) == world_params.val_scenes * world_params.keyframes_per_scene
    frames = [index[position] for position in range(len(index))]
    assert all(len(frame.cameras) == 6 for frame in frames)
    assert max(len(frame.sweeps) for frame in frames) > 0


def test_devkit_stacks_the_same_sweeps(prepared: tuple[FrameIndex, Labels]) -> None:
    """Key frame and earlier sweeps over `prev`, ego motion compensated, with their time lags."""
    from nuscenes.nuscenes import NuScenes
    from nuscenes.utils.data_classes import LidarPointCloud

    index, _ = prepared
    nusc = NuScenes("v1.0-embedded", str(index.root), verbose=False)
    frame = max(map(index.__getitem__, range(len(index))), key=lambda frame: len(frame.sweeps))
    assert len(frame.sweeps) >= 2
    theirs, lags = LidarPointCloud.from_file_multisweep(
        nusc, nusc.get("sample", frame.token), "LIDAR_TOP", "LIDAR_TOP", nsweeps=4, min_distance=1.0
    )
    ours, _, _ = load_points(index.root, frame, sweeps=3, ego_radius=1.0)
    assert np.ptp(ours[:, 4]) > 0.05
    np.testing.assert_allclose(ours[:, :3], theirs.points[:3].T, atol=2e-3)
    np.testing.assert_allclose(ours[:, 4], lags[0], atol=1e-5)


def test_annotated_points_lie_in_their_boxes(prepared: tuple[FrameIndex, Labels]) -> None:
    index, labels = prepared
    found, annotated = [], []
    for position in range(len(index)):
        frame = index[position]
        points, _, _ = load_points(index.root, frame, sweeps=0, ego_radius=0.0)
        boxes, _, counts = labels.boxes(frame.token)
        for box, count in zip(boxes, counts, strict=True):
            grown = box.copy()
            grown[3:6] += 0.2  # range noise
            found.append(int(points_in_box(points, grown).sum()))
            annotated.append(int(count))
    assert sum(annotated) > 100
    assert np.mean([a >= 0.7 * b for a, b in zip(found, annotated, strict=True)]) > 0.95


def test_devkit_draws_the_same_map(prepared: tuple[FrameIndex, Labels]) -> None:
    from nuscenes.map_expansion.map_api import NuScenesMap

    index, _ = prepared
    grid = BevGrid(50.0, 0.5)
    rasters = MapRasters.open(index.path)
    frame = index[0]
    ours = rasters.map_labels(frame, np.eye(4), grid)
    heading = frame.global_from_lidar[:2, 0]
    x, y = frame.global_from_lidar[:2, 3]
    layers = [*MAP_CLASSES[:-1], "road_divider", "lane_divider"]
    angle = float(np.rad2deg(np.arctan2(heading[1], heading[0])))
    devkit = NuScenesMap(str(index.root), frame.location)
    masks = devkit.get_map_mask((x, y, 100.0, 100.0), angle, layers, (200, 200)).astype(bool)
    theirs = np.concatenate([masks[:5], masks[5:].any(0, keepdims=True)])
    assert ours[0].any()
    kernel = np.ones((3, 3), np.uint8)
    for name, mine, their in zip(MAP_CLASSES, ours, theirs, strict=True):
        clear = cv2.erode(their.astype(np.uint8), kernel) == cv2.dilate(their.astype(np.uint8), kernel)
        assert (mine == their)[clear].mean() > 0.97, name


def test_a_batch_of_everything(prepared: tuple[FrameIndex, Labels]) -> None:
    index, labels = prepared
    map_grid, ranges = BevGrid(32.0, 0.8), augmentation_params()
    loader = FrameLoader(
        index, frames_params(), GRID, labels=labels, map_grid=map_grid, images=True, augmentation=ranges
    )
    batch = loader.load(index.split("embedded_train")[:3])
    assert len(batch.points) > 3000
    assert batch.boxes is not None
    assert sum(map(len, batch.boxes)) > 0
    assert batch.map_masks is not None
    assert batch.map_masks[:, 0].mean() > 0.02
    assert batch.images is not None
    assert batch.images.std() > 0.1
