"""Turning or mirroring first and rasterising then gives the same cells as the other way round, exactly.

The eight symmetries of the square grid: what a quarter turn or a flip does to a raster is a permutation of its cells.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.frames.augmentation import BevAugmentation
from pipeline.frames.index import FrameIndex
from pipeline.frames.index_building import build_index
from pipeline.frames.map_drawing import build_maps
from pipeline.frames.maps import MapRasters
from pipeline.frames.points import read_points
from pipeline.geometry.boxes import transform_boxes
from pipeline.geometry.grid import BevGrid
from pipeline.geometry.transforms import Matrix, transform_points
from pipeline.networks.heads.targets import detection_targets
from pipeline.networks.pillars import PillarEncoder
from pipeline.params import Dataset

GRID = BevGrid(32.0, 0.8)
SYMMETRIES = [(turns, flip_x, flip_y) for turns in range(4) for flip_x in (False, True) for flip_y in (False, True)]
pytestmark = pytest.mark.parametrize(("turns", "flip_x", "flip_y"), SYMMETRIES)


def bev_from_lidar(turns: int, flip_x: bool, flip_y: bool) -> Matrix:
    matrix = BevAugmentation(flip_x, flip_y, turns * math.pi / 2).matrix
    matrix[np.abs(matrix) < 1e-9] = 0  # cos 90 degrees, which is 6e-17: a permutation with signs
    return matrix


def permuted(raster: NDArray[Any], turns: int, flip_x: bool, flip_y: bool) -> NDArray[Any]:
    """The same on the last two axes of a raster: columns run along x, rows along y, both upwards."""
    raster = raster[..., ::-1] if flip_x else raster
    raster = raster[..., ::-1, :] if flip_y else raster
    for _ in range(turns):  # (x, y) -> (-y, x): the new row is the old column, the new column the old row mirrored
        raster = raster.swapaxes(-1, -2)[..., ::-1]
    return raster


@pytest.fixture(scope="module")
def index(world: Path, tmp_path_factory: pytest.TempPathFactory) -> FrameIndex:
    splits = ("embedded_train", "embedded_train", "embedded_val")
    out = tmp_path_factory.mktemp("commute")
    build_index(Dataset("embedded", str(world), "v1.0-embedded", ["embedded"], *splits, {}), out)
    assert build_maps(world, 0.2, FrameIndex.open(out, world), out)
    return FrameIndex.open(out, world)


def test_map_labels(index: FrameIndex, turns: int, flip_x: bool, flip_y: bool) -> None:
    rasters = MapRasters.open(index.path)
    for position in (0, len(index) - 1):
        plain = rasters.map_labels(index[position], np.eye(4), GRID)
        moved = rasters.map_labels(index[position], bev_from_lidar(turns, flip_x, flip_y), GRID)
        assert 0.02 < plain[0].mean() < 0.98
        assert np.array_equal(moved, permuted(plain, turns, flip_x, flip_y))


def test_heat_map_targets(turns: int, flip_x: bool, flip_y: bool) -> None:
    rng = np.random.default_rng(4)
    boxes = np.zeros((30, 9), np.float32)
    boxes[:, :2] = rng.uniform(-31, 31, (30, 2))
    boxes[:, 3:6] = rng.uniform(0.5, 9, (30, 3))
    boxes[:, 6], boxes[:, 7:] = rng.uniform(-3, 3, 30), rng.uniform(-9, 9, (30, 2))
    classes = torch.from_numpy(rng.integers(0, 10, 30))
    matrix = bev_from_lidar(turns, flip_x, flip_y)
    one = torch.zeros(10, dtype=torch.int64)  # all classes in one group
    plain, moved = (
        detection_targets([torch.from_numpy(of)], [classes], GRID, one)
        for of in (boxes, transform_boxes(matrix, boxes))
    )
    assert np.array_equal(moved.heatmap.numpy(), permuted(plain.heatmap.numpy(), turns, flip_x, flip_y))
    number = np.zeros((GRID.size, GRID.size), np.int64)
    number.reshape(-1)[plain.cells.numpy()] = np.arange(30) + 1  # no two centres share a cell
    assert (permuted(number, turns, flip_x, flip_y).reshape(-1)[moved.cells.numpy()] == np.arange(30) + 1).all()
    # What is regressed at the centre turns with it: offset, heading and velocity.
    linear = torch.from_numpy(matrix[:2, :2]).float()
    torch.testing.assert_close(moved.offset, plain.offset @ linear.T, atol=1e-4, rtol=0)
    heading = plain.rotation[:, [1, 0]] @ linear.T  # cos, sin
    torch.testing.assert_close(moved.rotation[:, [1, 0]], heading, atol=1e-5, rtol=0)
    torch.testing.assert_close(moved.velocity, plain.velocity @ linear.T, atol=1e-5, rtol=0)


def test_pillars(index: FrameIndex, turns: int, flip_x: bool, flip_y: bool) -> None:
    """An encoder that looks at height, intensity and lag alone; offsets on x and y turn with the view by design."""
    frame = index[0]
    points = read_points(index.root / frame.lidar_path)
    place = (points[:, :2] + GRID.reach) / GRID.cell
    points = points[(np.abs(place - np.rint(place)) > 1e-4).all(1)]  # a point on a border may fall to either side
    torch.manual_seed(0)  # other weights may leave no feature above zero
    encoder = PillarEncoder([6], GRID, -5.0, 3.0).eval()
    with torch.no_grad():
        dict(encoder.named_parameters())["layers.0.linear.weight"][:, [0, 1, 5, 6, 8, 9]] = 0
    canvases = []
    for matrix in (np.eye(4), bev_from_lidar(turns, flip_x, flip_y)):
        cloud = torch.from_numpy(transform_points(matrix, points))
        with torch.no_grad():
            canvases.append(encoder(cloud, torch.tensor([0, len(cloud)]))[0].contiguous().numpy())
    plain, moved = permuted(canvases[0], turns, flip_x, flip_y), canvases[1]
    assert (plain > 0).any(0).sum() > 300
    assert np.array_equal(plain > 0, moved > 0)
    np.testing.assert_allclose(moved, plain, atol=1e-5)
