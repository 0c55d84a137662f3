import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.frames.batch import NO_REGION
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.disturbance import Disturbance
from pipeline.frames.frame import CAMERA_CHANNELS, Camera, Frame
from pipeline.frames.images import DEVIATION, MEAN
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.geometry.boxes import BOX_FIELDS
from pipeline.geometry.grid import BevGrid
from pipeline.geometry.transforms import inverse
from tests.frames.tiny_dataset import (
    GRID,
    PointNumbers,
    augmentation_params,
    beacons,
    frames_params,
    static_points,
)

MAP_GRID = BevGrid(32.0, 0.8)


@pytest.fixture(scope="module")
def loaders(tiny_index: FrameIndex, labels: Labels) -> dict[bool, FrameLoader]:
    """The fixed form (False) and the random views (True) of everything."""
    return {
        augment: FrameLoader(
            tiny_index, frames_params(), GRID, regions=PointNumbers(), labels=labels, map_grid=MAP_GRID, images=True,
            augmentation=augmentation_params() if augment else None,
        )
        for augment in (False, True)
    }  # fmt: skip


@pytest.fixture(scope="module")
def loader(loaders: dict[bool, FrameLoader]) -> FrameLoader:
    return loaders[True]


def test_shapes_and_types(loader: FrameLoader) -> None:
    batch = loader.load([0, 3, 5], epoch=0, seed=0)
    assert batch.tokens == ("scene-a-0", "scene-b-1", "scene-c-1")
    assert batch.offsets.tolist()[-1] == len(batch.points)
    assert batch.points.dtype == torch.float32
    assert batch.region_ids is not None and batch.region_ids.dtype == torch.int16
    assert batch.images is not None and batch.images.shape == (3, 6, 3, 64, 176)
    assert batch.bev_from_image is not None and batch.bev_from_image.shape == (3, 6, 4, 4)
    assert batch.camera_present is not None and batch.camera_present.all()
    assert batch.boxes is not None and batch.boxes[0].shape == (1, len(BOX_FIELDS))
    assert batch.map_masks is not None and batch.map_masks.shape == (3, 6, 80, 80)


def test_a_frame_does_not_depend_on_its_batch(loader: FrameLoader) -> None:
    together, alone = (loader.load(p, epoch=2, seed=1) for p in ([0, 3], [3]))
    assert torch.equal(together.points[together.offsets[1] :], alone.points)
    assert torch.equal(together.bev_from_lidar[1], alone.bev_from_lidar[0])
    assert together.images is not None
    assert alone.images is not None
    assert torch.equal(together.images[1], alone.images[0])


@pytest.mark.parametrize("augment", [False, True])
def test_points_and_regions_follow_the_matrix(
    loaders: dict[bool, FrameLoader], tiny_index: FrameIndex, augment: bool
) -> None:
    batch = loaders[augment].load([1, 2], epoch=1)
    assert batch.region_ids is not None
    for b, position in enumerate((1, 2)):
        frame = tiny_index[position]
        rows = slice(int(batch.offsets[b]), int(batch.offsets[b + 1]))
        points, ids = batch.points[rows].numpy(), batch.region_ids[rows].numpy()
        key = ids != NO_REGION
        assert 100 < key.sum() < len(key)
        assert not points[key][:, 4].any()
        assert key[: key.sum()].all()  # key-frame points come first
        bev_from_global = batch.bev_from_lidar[b].double().numpy() @ inverse(frame.global_from_lidar)
        # Two points of the own car lead every file.
        expected = static_points()[ids[key] - 2] @ bev_from_global[:3, :3].T + bev_from_global[:3, 3]
        np.testing.assert_allclose(points[key][:, :3], expected, atol=2e-3)
        assert (np.abs(points[:, :2]) <= GRID.reach).all()
        assert ((points[:, 2] >= GRID.z_min) & (points[:, 2] < GRID.z_max)).all()


def test_without_crop_views_share_their_rows(loader: FrameLoader) -> None:
    one, two = (loader.load([1, 2], view=view, crop=False) for view in ("a", "b"))
    assert one.region_ids is not None
    assert two.region_ids is not None
    assert torch.equal(one.region_ids, two.region_ids)
    assert one.images is not None
    assert two.images is not None
    assert torch.equal(one.images, two.images)
    two_from_one = torch.linalg.inv(one.bev_from_lidar.double())
    two_from_one = two.bev_from_lidar.double() @ two_from_one
    matrix = two_from_one[one.frame_of_point]
    moved = (matrix[:, :3, :3] @ one.points[:, :3, None].double()).squeeze(2) + matrix[:, :3, 3]
    assert torch.allclose(moved.float(), two.points[:, :3], atol=1e-3)
    assert not torch.allclose(one.points[:, :3], two.points[:, :3], atol=0.1)


@pytest.mark.parametrize("augment", [False, True])
def test_augmented_points_lie_on_their_pixels(
    loaders: dict[bool, FrameLoader], tiny_index: FrameIndex, augment: bool
) -> None:
    """Method section 9.1: the picture shows a blob wherever a point projects, under both augmentations."""
    found = 0
    for epoch in range(3):
        batch = loaders[augment].load([1, 2], epoch=epoch)
        assert batch.images is not None
        assert batch.bev_from_image is not None
        for b, position in enumerate((1, 2)):
            bev_from_global = batch.bev_from_lidar[b].double().numpy() @ inverse(tiny_index[position].global_from_lidar)
            points = beacons(static_points()) @ bev_from_global[:3, :3].T + bev_from_global[:3, 3]
            for c in range(len(CAMERA_CHANNELS)):
                image_from_bev = np.linalg.inv(batch.bev_from_image[b, c].double().numpy())
                scaled = points @ image_from_bev[:3, :3].T + image_from_bev[:3, 3]
                u, v = (scaled[:, :2] / scaled[:, 2:]).T
                visible = (scaled[:, 2] > 2) & (u > 8) & (u < 167) & (v > 8) & (v < 55)
                brightness = batch.images[b, c].numpy() * DEVIATION[:, None, None] + MEAN[:, None, None]
                for column, row in zip(u[visible], v[visible], strict=True):
                    assert brightness[0, round(row), round(column)] > 0.85
                    found += 1
    assert found > 40


def test_boxes_outside_or_without_points_are_dropped(tiny_index: FrameIndex) -> None:
    class ThreeBoxes:
        def boxes(self, token: str) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
            boxes = np.zeros((3, 9), np.float32)
            boxes[:, 0], boxes[:, 3:6] = [5.0, 31.9, 32.1], 1.0
            return boxes, np.array([0, 1, 2]), np.array([3, 3, 3]) * (np.array([1, 1, 1]) if token[-1] == "0" else 0)

    loader = FrameLoader(tiny_index, frames_params(), GRID, labels=ThreeBoxes())
    batch = loader.load([0, 1])
    assert batch.classes is not None
    assert [c.tolist() for c in batch.classes] == [[0, 1], []]
    assert batch.boxes is not None
    assert batch.boxes[1].shape == (0, 9)


def test_boxes_follow_the_points(loader: FrameLoader, tiny_index: FrameIndex, labels: Labels) -> None:
    batch = loader.load([0], epoch=4, seed=0)
    assert batch.boxes is not None
    centre = labels.boxes(tiny_index[0].token)[0][0, :3]
    matrix = batch.bev_from_lidar[0].numpy()
    np.testing.assert_allclose(batch.boxes[0][0, :3], matrix[:3, :3] @ centre + matrix[:3, 3], atol=1e-4)


@pytest.mark.real_data
def test_frames_without_cameras_sit_beside_frames_with_them(real_index: FrameIndex) -> None:
    loader = FrameLoader(real_index, frames_params(), GRID, images=True, augmentation=augmentation_params())
    batch = loader.load([10, 11])
    assert batch.images is not None
    assert batch.camera_present is not None
    assert batch.bev_from_image is not None
    assert batch.camera_present.tolist() == [[False] * 6, [True] * 6]
    assert not batch.images[0].any()
    assert batch.images[1].std() > 0.3
    assert torch.isfinite(batch.bev_from_image).all()
    assert len(batch.points) > 40000


def test_no_label_reader_is_imported() -> None:
    """Pre-training is label-free by its imports: neither the loader nor what it pulls in reads annotations."""
    code = "import sys, pipeline.frames.dataset; print(*(m for m in sys.modules if m.startswith('pipeline.frames')))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pipeline.frames.dataset" in output
    assert "pipeline.frames.labels" not in output


def test_prepare_starts_without_torch_or_devkit() -> None:
    stage = Path(__file__).parents[2] / "stages" / "prepare.py"
    names = [node.module for node in ast.walk(ast.parse(stage.read_text())) if isinstance(node, ast.ImportFrom)]
    modules = ", ".join(name for name in names if name and name.startswith("pipeline"))
    code = f"import sys, {modules}; print(*({{'torch', 'nuscenes', 'matplotlib'}} & set(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == ""


class Halved(Disturbance):
    """Every other point, intensity 1; images inverted; a camera that is believed to stand a metre further ahead."""

    def sweep(self, frame: Frame, lag: float, points: NDArray[np.float32]) -> NDArray[np.float32]:
        assert points[:, 3].max() <= 1
        points[:, 3] = 1.0
        return points[::2]

    def camera(self, frame: Frame, camera: Camera) -> Camera:
        ahead = np.eye(4)
        ahead[1, 3] = -1.0
        return replace(camera, image_from_lidar=camera.image_from_lidar @ ahead)

    def image(self, frame: Frame, camera: Camera, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.uint8(255) - pixels


@pytest.mark.parametrize("processes", [0, 1])
def test_a_disturbance_sees_points_cameras_and_pixels_and_changes_them(tiny_index: FrameIndex, processes: int) -> None:
    clean = FrameLoader(tiny_index, frames_params(), GRID, images=True).load([1], crop=False)
    disturbed = FrameLoader(
        tiny_index, frames_params(), GRID, images=True, disturbance=Halved(), processes=processes
    ).load([1], crop=False)
    assert abs(2 * len(disturbed.points) - len(clean.points)) <= 2 * (1 + frames_params().sweeps)
    assert set(disturbed.points[:, 3].tolist()) == {1.0}
    assert clean.images is not None and disturbed.images is not None
    scale, mean = (torch.from_numpy(part).reshape(3, 1, 1) for part in (255 * DEVIATION, 255 * MEAN))
    inside = slice(20, 44), slice(40, 136)  # what lies outside the image is black in both
    pixels, inverted = ((images * scale + mean)[..., *inside] for images in (clean.images, disturbed.images))
    assert torch.allclose(inverted, 255 - pixels, atol=1.01)  # the warp rounds
    assert clean.bev_from_image is not None and disturbed.bev_from_image is not None
    moved = disturbed.bev_from_image[0, 0, :3, 3] - clean.bev_from_image[0, 0, :3, 3]
    assert torch.allclose(moved, torch.tensor([0.0, 1.0, 0.0]), atol=1e-4)


def test_regions_and_a_disturbance_exclude_each_other(tiny_index: FrameIndex) -> None:
    with pytest.raises(ValueError, match="belong to the points of the file"):
        FrameLoader(tiny_index, frames_params(), GRID, regions=PointNumbers(), disturbance=Halved())
