import pickle
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.frames import maps
from pipeline.frames.augmentation import BevAugmentation
from pipeline.frames.index import FrameIndex
from pipeline.frames.index_building import build_index
from pipeline.frames.map_drawing import build_maps
from pipeline.frames.maps import MAP_CLASSES, MapRasters
from pipeline.geometry.grid import BevGrid
from tests.frames.tiny_dataset import LOCATION, START, augmentation_params, dataset_at

GRID = BevGrid(50.0, 0.5)


def away_from_borders(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells whose eight neighbours agree with them."""
    kernel = np.ones((3, 3), np.uint8)
    return np.asarray(cv2.erode(mask.astype(np.uint8), kernel) == cv2.dilate(mask.astype(np.uint8), kernel))


def test_devkit_agrees(tiny_index: FrameIndex, tiny_root: Path) -> None:
    from nuscenes.map_expansion.map_api import NuScenesMap

    devkit = NuScenesMap(str(tiny_root), LOCATION)
    rasters = MapRasters.open(tiny_index.path)
    for position in (0, 3, 5):
        frame = tiny_index[position]
        ours = rasters.map_labels(frame, np.eye(4), GRID)
        heading = frame.global_from_lidar[:2, 0]
        angle = float(np.rad2deg(np.arctan2(heading[1], heading[0])))
        x, y = frame.global_from_lidar[:2, 3]
        layers = [*MAP_CLASSES[:-1], "road_divider", "lane_divider"]
        masks = devkit.get_map_mask((x, y, 100.0, 100.0), angle, layers, (200, 200)).astype(bool)
        theirs = np.concatenate([masks[:5], masks[5:].any(0, keepdims=True)])
        for name, mine, their in zip(MAP_CLASSES, ours, theirs, strict=True):
            assert mine.any(), name
            clear = away_from_borders(their)
            assert (mine == their)[clear].mean() > 0.99, name
            assert (mine == their).mean() > 0.97, name
            # Cell borders only: neither mask is shifted, shrunk or grown by more than the devkit's own rounding.
            assert (mine & their).sum() / (mine | their).sum() > (0.6 if name in {"divider", "stop_line"} else 0.85), (
                name
            )


def test_hole_stays_open(tiny_index: FrameIndex) -> None:
    frame = tiny_index[0]
    cell = BevGrid(1.0, 2.0)  # one cell, moved to where we look
    for place, drivable in (([27.0, 1.0], False), ([60.0, 1.0], True), ([-60.0, 1.0], True), ([60.0, 40.0], False)):
        bev_from_global = np.eye(4)
        bev_from_global[:2, 3] = -(START + place)
        labels = MapRasters.open(tiny_index.path).map_labels(frame, bev_from_global @ frame.global_from_lidar, cell)
        assert labels[0, 0, 0] == drivable


@pytest.mark.parametrize("epoch", range(4))
def test_labels_follow_the_augmentation(tiny_index: FrameIndex, epoch: int) -> None:
    frame, rasters = tiny_index[2], MapRasters.open(tiny_index.path)
    matrix = BevAugmentation.draw(augmentation_params(), 0, epoch, "t", "a").matrix
    plain = rasters.map_labels(frame, np.eye(4), GRID)
    moved = rasters.map_labels(frame, matrix, GRID)
    back = np.concatenate(
        [GRID.centres().reshape(-1, 2), np.zeros((GRID.size**2, 1)), np.ones((GRID.size**2, 1))], axis=1
    )
    lidar = back @ np.linalg.inv(matrix).T
    index = np.floor((lidar[:, :2] + GRID.reach) / GRID.cell).astype(int)
    inside = ((index >= 0) & (index < GRID.size)).all(1)
    for mine, reference in zip(moved, plain, strict=True):
        expected = reference[index[inside, 1], index[inside, 0]]
        assert (mine.reshape(-1)[inside] == expected).mean() > 0.96


def test_outside_the_map_is_false(tiny_index: FrameIndex) -> None:
    frame = tiny_index[0]
    far = np.eye(4)
    far[:2, 3] = 900
    assert not MapRasters.open(tiny_index.path).map_labels(frame, far, GRID).any()


def test_no_map_expansion(tmp_path: Path, tiny_index: FrameIndex, capsys: pytest.CaptureFixture[str]) -> None:
    assert not build_maps(tmp_path, 0.2, tiny_index, tmp_path)
    assert "map task is switched off" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"finetune\.trials"):
        MapRasters.open(tmp_path)


@pytest.mark.parametrize("content", ["{", '{"node": []}', None])
def test_broken_map_names_the_file(
    tiny_copy: Path, tiny_index: FrameIndex, tmp_path: Path, content: str | None
) -> None:
    path = tiny_copy / "maps" / "expansion" / f"{LOCATION}.json"
    if content is None:
        path.rename(path.with_name("singapore-onenorth.json"))
    else:
        path.write_text(content)
    with pytest.raises(UserError, match=rf"{LOCATION}\.json"):
        build_maps(tiny_copy, 0.2, tiny_index, tmp_path)


def test_rasters_travel_to_workers_as_a_path(tiny_index: FrameIndex) -> None:
    rasters = MapRasters.open(tiny_index.path)
    expected = rasters.map_labels(tiny_index[0], np.eye(4), GRID)
    sent = pickle.dumps(rasters)
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent).map_labels(tiny_index[0], np.eye(4), GRID), expected)


def test_lookup_is_quick(tiny_index: FrameIndex) -> None:
    rasters, frame = MapRasters.open(tiny_index.path), tiny_index[0]
    rasters.map_labels(frame, np.eye(4), GRID)
    times = []
    for _ in range(9):
        start = time.perf_counter()
        rasters.map_labels(frame, np.eye(4), GRID)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.02  # 1-3 ms measured; the limit leaves room for a busy machine


def test_a_small_cache_changes_nothing(
    tiny_root: Path, tiny_index: FrameIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rasters so fine that a frame spans several chunks, of which few fit."""
    build_index(dataset_at(tiny_root), tmp_path)
    build_maps(tiny_root, 0.05, tiny_index, tmp_path)
    ample = MapRasters.open(tmp_path)
    monkeypatch.setattr(maps, "_SLOTS", 16)
    tight = MapRasters.open(tmp_path)
    for position, epoch in ((0, 0), (5, 1), (2, 2), (0, 3)):
        matrix = BevAugmentation.draw(augmentation_params(bev_translation=20.0), 0, epoch, "t", "a").matrix
        expected = ample.map_labels(tiny_index[position], matrix, GRID)
        assert expected.any()
        np.testing.assert_array_equal(tight.map_labels(tiny_index[position], matrix, GRID), expected)

    monkeypatch.setattr(maps, "_SLOTS", 1)
    with pytest.raises(UserError, match=r"(?s)map_resolution.*larger than 0\.05"):
        MapRasters.open(tmp_path).map_labels(tiny_index[0], np.eye(4), GRID)
