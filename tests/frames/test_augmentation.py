import numpy as np
import pytest

from pipeline.frames.augmentation import BevAugmentation, ImageAugmentation
from pipeline.geometry.boxes import points_in_box, transform_boxes
from pipeline.geometry.transforms import transform_points
from tests.frames.tiny_dataset import augmentation_params, frames_params

FRAMES, RANGES = frames_params(), augmentation_params()


def test_draws_are_a_pure_function() -> None:
    def draw(seed: int = 0, epoch: int = 0, token: str = "t", view: str = "a") -> BevAugmentation:
        return BevAugmentation.draw(RANGES, seed, epoch, token, view)

    assert draw() == draw()
    assert len({draw(), draw(seed=1), draw(epoch=1), draw(token="u"), draw(view="b")}) == 5
    size = (400, 225)
    images = [ImageAugmentation.draw(RANGES, FRAMES, size, 0, 0, "t", channel) for channel in ("CAM_FRONT", "CAM_BACK")]
    assert images[0] != images[1]
    assert images[0] == ImageAugmentation.draw(RANGES, FRAMES, size, 0, 0, "t", "CAM_FRONT")


def test_draws_fill_their_ranges() -> None:
    drawn = [BevAugmentation.draw(RANGES, 0, epoch, "t", "a") for epoch in range(400)]
    degrees = np.rad2deg([d.rotation for d in drawn])
    scales = np.array([d.scale for d in drawn])
    assert -45 <= degrees.min() < -40
    assert 40 < degrees.max() <= 45
    assert 0.9 <= scales.min() < 0.91
    assert 1.09 < scales.max() <= 1.1
    assert 0.4 < np.std([d.translation for d in drawn]) < 0.6
    assert {(d.flip_x, d.flip_y) for d in drawn} == {(a, b) for a in (True, False) for b in (True, False)}
    images = [ImageAugmentation.draw(RANGES, FRAMES, (400, 225), 0, epoch, "t", "CAM_FRONT") for epoch in range(400)]
    assert {i.flip for i in images} == {True, False}
    assert all(0 <= i.crop[0] <= max(0, int(400 * i.resize) - 176) for i in images)


def test_switched_off_is_the_identity() -> None:
    off = augmentation_params(bev_rotation=0.0, bev_scale=[1.0, 1.0], bev_flip=False, bev_translation=0.0)
    np.testing.assert_array_equal(BevAugmentation.draw(off, 0, 0, "t", "a").matrix, np.eye(4))
    np.testing.assert_array_equal(BevAugmentation().matrix, np.eye(4))


def test_bev_matrix_flips_then_turns_then_scales_then_moves() -> None:
    augmentation = BevAugmentation(flip_x=True, rotation=np.pi / 2, scale=2.0, translation=(10.0, 20.0, 0.5))
    moved = augmentation.matrix @ [1.0, 3.0, 1.0, 1.0]  # flipped (-1, 3), turned (-3, -1), scaled (-6, -2)
    np.testing.assert_allclose(moved, [4.0, 18.0, 2.5, 1.0])


@pytest.mark.parametrize("epoch", range(8))
def test_points_stay_in_their_box(epoch: int) -> None:
    matrix = BevAugmentation.draw(RANGES, 0, epoch, "t", "a").matrix
    box = np.array([[8.0, -3.0, 0.5, 4.0, 2.0, 1.5, 0.7, 2.0, -1.0]], np.float32)
    rng = np.random.default_rng(epoch)
    points = rng.uniform([5, -6, -1], [11, 0, 2], (500, 3)).astype(np.float32)
    inside = points_in_box(points, box[0])
    assert 20 < inside.sum() < 480
    moved_box = transform_boxes(matrix, box)
    grown = moved_box[0].copy()
    grown[3:6] += 1e-3
    moved = transform_points(matrix, points)
    assert points_in_box(moved, grown)[inside].all()
    assert (points_in_box(moved, moved_box[0]) == inside).mean() > 0.99
    # A point that drives with the box is where the moved velocity says.
    later = points[:, :3] + np.array([2.0, -1.0, 0.0], np.float32)
    step = transform_points(matrix, later)[:, :2] - moved[:, :2]
    np.testing.assert_allclose(step, np.tile(moved_box[0, 7:9], (500, 1)), atol=1e-4)


def test_test_time_image_keeps_the_lower_middle() -> None:
    identity = ImageAugmentation.identity(FRAMES, (400, 225))
    assert (identity.flip, identity.rotation) == (False, 0.0)
    middle = identity.matrix @ [200, 225, 1]
    np.testing.assert_allclose(middle[:2], [88, 64], atol=1.0)


@pytest.mark.parametrize("stored", [(160, 90), (400, 225), (1600, 900)])
def test_every_stored_size_shows_the_same_view(stored: tuple[int, int]) -> None:
    """`resize` is relative to the network input: the image's corners land where they do for any other stored size."""
    width, height = stored
    wanted = ImageAugmentation.identity(FRAMES, (400, 225)).matrix @ np.array([[0, 400], [0, 225], [1, 1]])
    found = ImageAugmentation.identity(FRAMES, stored).matrix @ np.array([[0, width], [0, height], [1, 1]])
    np.testing.assert_allclose(found, wanted, atol=1.5)
    for epoch in range(20):
        drawn = ImageAugmentation.draw(RANGES, FRAMES, stored, 0, epoch, "t", "CAM_FRONT")
        assert 0.955 <= drawn.resize * width / 176 <= 1.25


@pytest.mark.parametrize("resize", [0.25, 0.5, 1.0])
def test_scaling_keeps_the_corner_of_the_image(resize: float) -> None:
    """Pixel 0 is centred on 0, so the image begins at -0.5 before and after."""
    corner = ImageAugmentation(resize, (0, 0), (176, 64)).matrix @ [-0.5, -0.5, 1]
    np.testing.assert_allclose(corner[:2], [-0.5, -0.5])


def test_flip_mirrors_pixel_centres() -> None:
    plain = ImageAugmentation(0.5, (10, 40), (176, 64))
    flipped = ImageAugmentation(0.5, (10, 40), (176, 64), flip=True)
    u, v, _ = plain.matrix @ [100, 120, 1]
    np.testing.assert_allclose(flipped.matrix @ [100, 120, 1], [175 - u, v, 1])
