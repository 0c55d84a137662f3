"""Images and visibility against projections."""

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.geometry.transforms import inverse
from pipeline.simulation.annotate import surface_points, visibility_token, visible_share
from pipeline.simulation.camera import Light, take
from pipeline.simulation.casting import Caster, Solids, Thing
from pipeline.simulation.materials import Material
from pipeline.simulation.rig import make_cameras
from pipeline.simulation.shapes import Mesh, block

FlatWorld = Callable[[list[Thing]], Caster]
NOTHING = Solids([])
CAMERAS = make_cameras(400, 225)


def _magenta(x: float, y: float) -> Mesh:
    return block((1.5, 1.5, 1.5), (x, y, 0), Material.PLASTIC, (1.0, 0.0, 1.0))


@pytest.mark.parametrize(("channel", "x", "y"), [("CAM_FRONT", 10, 1), ("CAM_BACK", -8, -1), ("CAM_FRONT_LEFT", 6, 6)])
def test_object_lies_on_its_pixels(flat: FlatWorld, channel: str, x: float, y: float) -> None:
    camera = next(c for c in CAMERAS if c.channel == channel)
    mesh = _magenta(x, y)
    light = Light(np.random.default_rng(0))
    image = take(flat([Thing(mesh, 1, 17)]), NOTHING, camera.ego_from_camera, camera, light).astype(int)
    back = inverse(camera.ego_from_camera)
    corners = (mesh.triangles.reshape(-1, 3) @ back[:3, :3].T + back[:3, 3]) @ camera.intrinsic.T
    u, v = corners[:, 0] / corners[:, 2], corners[:, 1] / corners[:, 2]
    seen = (image[..., 0] > image[..., 1] + 40) & (image[..., 2] > image[..., 1] + 40)
    rows, columns = np.nonzero(seen)
    assert len(rows) > 100
    # Up to a pixel, the object's pixels span exactly the box around its projected corners.
    np.testing.assert_allclose(
        [columns.min(), columns.max(), rows.min(), rows.max()], [u.min(), u.max(), v.min(), v.max()], atol=1.01
    )


def test_scaled_intrinsics_and_six_views() -> None:
    large = make_cameras(800, 450)
    for small, big in zip(CAMERAS, large, strict=True):
        np.testing.assert_allclose(big.intrinsic[:2], 2 * small.intrinsic[:2])
    ahead = {c.channel: c.ego_from_camera[:3, 2] for c in CAMERAS}
    angle = {name: np.degrees(np.arctan2(way[1], way[0])) for name, way in ahead.items()}
    assert abs(angle["CAM_FRONT"]) < 2 and abs(abs(angle["CAM_BACK"]) - 180) < 2
    assert 45 < angle["CAM_FRONT_LEFT"] < 65 and -65 < angle["CAM_FRONT_RIGHT"] < -45
    assert 100 < angle["CAM_BACK_LEFT"] < 120 and -120 < angle["CAM_BACK_RIGHT"] < -100


def test_visible_share(flat: FlatWorld) -> None:
    rng = np.random.default_rng(0)
    mesh = _magenta(12, 0)
    probes = surface_points(mesh, rng)[None]
    numbers = np.array([4], np.int32)
    free = visible_share(flat([Thing(mesh, 4, 17)]), NOTHING, np.eye(4), CAMERAS, numbers, probes)
    screen = Solids([Thing(block((0.2, 6, 3), (8, 0, 0), Material.CONCRETE, (0, 0, 0)), 0, 28)])
    hidden = visible_share(flat([Thing(mesh, 4, 17)]), screen, np.eye(4), CAMERAS, numbers, probes)
    half = Solids([Thing(block((0.2, 6, 3), (8, 3, 0), Material.CONCRETE, (0, 0, 0)), 0, 28)])
    partly = visible_share(flat([Thing(mesh, 4, 17)]), half, np.eye(4), CAMERAS, numbers, probes)
    assert free[0] > 0.9 and hidden[0] == 0 and 0.2 < partly[0] < 0.8
    assert [visibility_token(s) for s in (0.0, 0.4, 0.5, 0.7, 1.0)] == ["1", "1", "2", "3", "4"]


def test_shadow_falls_on_the_ground(flat: FlatWorld) -> None:
    camera = next(c for c in CAMERAS if c.channel == "CAM_FRONT")
    light = Light(np.random.default_rng(0))
    light.sun = np.array([0, 0, 1], np.float32)
    roof = block((4, 4, 0.1), (10, 0, 4), Material.CONCRETE, (0.5, 0.5, 0.5))
    lit = take(flat([]), NOTHING, camera.ego_from_camera, camera, light)
    shaded = take(flat([Thing(roof, 0, 28)]), NOTHING, camera.ego_from_camera, camera, light)
    row = round(float(camera.intrinsic[1, 2] + camera.intrinsic[1, 1] * 1.51 / (10 - 1.7)))
    assert shaded[row, 200].mean() < 0.75 * lit[row, 200].mean()
