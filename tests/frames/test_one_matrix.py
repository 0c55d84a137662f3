"""Whatever is drawn, everything in a frame follows the matrices that the batch records."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.frames.augmentation import BevAugmentation, ImageAugmentation
from pipeline.frames.batch import NO_REGION, FrameBatch
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.geometry.boxes import points_in_box, transform_boxes
from pipeline.geometry.grid import BevGrid
from pipeline.geometry.transforms import Matrix
from tests.frames.tiny_dataset import (
    GRID,
    SIZE,
    PointNumbers,
    augmentation_params,
    beacons,
    frames_params,
    static_points,
)

MAP_GRID = BevGrid(20.0, 0.5)
draws = settings(
    max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
epochs, seeds = st.integers(0, 10_000), st.integers(0, 100)
angles = st.floats(-np.pi, np.pi)
augmentations = st.builds(
    BevAugmentation, st.booleans(), st.booleans(), angles, st.floats(0.5, 2.0),
    st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.floats(-1, 1)),
)  # fmt: skip


@pytest.fixture(scope="module")
def loaders(tiny_index: FrameIndex, labels: Labels) -> tuple[FrameLoader, FrameLoader]:
    """The fixed form and the random views."""
    plain, random = (
        FrameLoader(
            tiny_index, frames_params(), GRID, regions=PointNumbers(), labels=labels, map_grid=MAP_GRID, images=True,
            augmentation=ranges,
        )
        for ranges in (None, augmentation_params(bev_rotation=180.0))
    )  # fmt: skip
    return plain, random


def recorded(batch: FrameBatch) -> Matrix:
    return batch.bev_from_lidar[0].double().numpy()


@draws
@given(epoch=epochs, seed=seeds)
def test_points_regions_and_lags(loaders: tuple[FrameLoader, FrameLoader], epoch: int, seed: int) -> None:
    plain, moved = (loader.load([1], epoch, seed, crop=False) for loader in loaders)
    matrix = recorded(moved)
    expected = plain.points[:, :3].double().numpy() @ matrix[:3, :3].T + matrix[:3, 3]
    np.testing.assert_allclose(moved.points[:, :3], expected, atol=1e-3)
    assert torch.equal(moved.points[:, 3:], plain.points[:, 3:])
    assert moved.region_ids is not None and plain.region_ids is not None
    assert torch.equal(moved.region_ids, plain.region_ids)
    # The crop drops rows of points and ids alike, and those outside only.
    cropped = loaders[1].load([1], epoch, seed)
    assert cropped.region_ids is not None
    inside = (moved.points[:, :2] >= -GRID.reach).all(1) & (moved.points[:, :2] < GRID.reach).all(1)
    inside &= (moved.points[:, 2] >= GRID.z_min) & (moved.points[:, 2] < GRID.z_max)
    assert torch.equal(cropped.points, moved.points[inside])
    assert torch.equal(cropped.region_ids, moved.region_ids[inside])
    assert (cropped.region_ids != NO_REGION).any()


@draws
@given(epoch=epochs, seed=seeds)
def test_boxes_hold_the_same_points(loaders: tuple[FrameLoader, FrameLoader], epoch: int, seed: int) -> None:
    plain, moved = (loader.load([0], epoch, seed, crop=False) for loader in loaders)
    assert moved.boxes is not None and plain.boxes is not None
    assert len(plain.boxes[0]) == len(moved.boxes[0]) == 1
    for before, after in zip(plain.boxes[0].numpy(), moved.boxes[0].numpy(), strict=True):
        big_before, big_after = before.copy(), after.copy()
        big_before[3:6] *= 4  # so that some of the few points lie inside
        big_after[3:6] *= 4
        one, two = points_in_box(plain.points.numpy(), big_before), points_in_box(moved.points.numpy(), big_after)
        assert one.any()
        assert (one != two).sum() <= 1  # one may lie on the border, to the last bit


@draws
@given(augmentation=augmentations, yaw=angles, vx=st.floats(-20, 20), vy=st.floats(-20, 20))
def test_velocity_is_the_difference_of_two_places(
    augmentation: BevAugmentation, yaw: float, vx: float, vy: float
) -> None:
    now = np.array([[3.0, -2.0, 0.5, 4.0, 2.0, 1.5, yaw, vx, vy]], np.float64).astype(np.float32)
    later = now.copy()
    later[0, :2] += now[0, 7:9]
    one, two = (transform_boxes(augmentation.matrix, box) for box in (now, later))
    np.testing.assert_allclose(one[0, 7:9], (two - one)[0, :2], atol=1e-3)
    assert np.hypot(*one[0, 7:9]) == pytest.approx(augmentation.scale * np.hypot(*now[0, 7:9]), abs=1e-3)
    front = now[0, :3] + 2 * np.array([np.cos(yaw), np.sin(yaw), 0])  # the middle of the front face
    moved = augmentation.matrix[:3, :3] @ front + augmentation.matrix[:3, 3]
    forward = np.array([np.cos(one[0, 6]), np.sin(one[0, 6]), 0]) * one[0, 3] / 2
    np.testing.assert_allclose(one[0, :3] + forward, moved, atol=1e-3)


@draws
@given(epoch=epochs, seed=seeds)
def test_map_labels(loaders: tuple[FrameLoader, FrameLoader], epoch: int, seed: int) -> None:
    """A cell far from borders shows what the plain label shows at the place that it came from."""
    plain, moved = (loader.load([2], epoch, seed).map_masks for loader in loaders)
    assert plain is not None and moved is not None
    lidar_from_bev = np.linalg.inv(recorded(loaders[1].load([2], epoch, seed)))
    xy = MAP_GRID.centres().reshape(-1, 2) @ lidar_from_bev[:2, :2].T + lidar_from_bev[:2, 3]
    cell = np.floor((xy + MAP_GRID.reach) / MAP_GRID.cell).astype(int)
    inside = ((cell >= 1) & (cell < MAP_GRID.size - 1)).all(1)
    around = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    for before, after in zip(plain[0].numpy(), moved[0].numpy(), strict=True):
        seen = np.stack([before[cell[inside, 1] + dy, cell[inside, 0] + dx] for dy, dx in around])
        clear = (seen == seen[0]).all(0)
        assert clear.mean() > 0.3
        np.testing.assert_array_equal(after.reshape(-1)[inside][clear], seen[0][clear])


@draws
@given(epoch=epochs, seed=seeds)
def test_pixels_of_points_follow_the_recorded_image_matrix(
    loaders: tuple[FrameLoader, FrameLoader], tiny_index: FrameIndex, epoch: int, seed: int
) -> None:
    """`augmented_from_image` and `bev_from_image` agree, and say where a LiDAR point's pixel went."""
    batch, frame = loaders[1].load([1], epoch, seed), tiny_index[1]
    assert batch.augmented_from_image is not None and batch.bev_from_image is not None
    lidar = beacons(static_points()) - frame.global_from_lidar[:3, 3]
    lidar = lidar @ frame.global_from_lidar[:3, :3]
    bev = lidar @ recorded(batch)[:3, :3].T + recorded(batch)[:3, 3]
    for c, camera in enumerate(frame.cameras):
        scaled = lidar @ camera.image_from_lidar[:3, :3].T + camera.image_from_lidar[:3, 3]
        ahead = scaled[:, 2] > 2
        pixels = np.concatenate([scaled[ahead, :2] / scaled[ahead, 2:], np.ones((ahead.sum(), 1))], axis=1)
        expected = pixels @ batch.augmented_from_image[0, c].double().numpy().T
        image_from_bev = np.linalg.inv(batch.bev_from_image[0, c].double().numpy())
        found = bev[ahead] @ image_from_bev[:3, :3].T + image_from_bev[:3, 3]
        near = (np.abs(expected[:, :2]) < 1000).all(1)
        np.testing.assert_allclose((found[:, :2] / found[:, 2:])[near], expected[near, :2], atol=0.1)
        drawn = ImageAugmentation.draw(
            augmentation_params(bev_rotation=180.0), frames_params(), SIZE, seed, epoch, frame.token, camera.channel
        )
        np.testing.assert_allclose(batch.augmented_from_image[0, c], drawn.matrix, atol=1e-4)
