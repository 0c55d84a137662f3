"""Ray casting against a slow twin, and the kerb."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.simulation.casting import Caster, Solids, Thing
from pipeline.simulation.materials import Material
from pipeline.simulation.objects import make_object
from pipeline.simulation.shapes import block
from pipeline.simulation.terrain import KERB

FlatWorld = Callable[[list[Thing]], Caster]
NOTHING = Solids([])


def _brute(triangles: NDArray[np.float32], origin: NDArray[np.float32], way: NDArray[np.float32]) -> tuple[float, int]:
    """Moeller-Trumbore over every triangle."""
    best, index = np.inf, -1
    for i, (a, b, c) in enumerate(triangles.astype(np.float64)):
        e1, e2 = b - a, c - a
        p = np.cross(way, e2)
        det = e1 @ p
        if abs(det) < 1e-12:
            continue
        s = origin - a
        u = (s @ p) / det
        q = np.cross(s, e1)
        v, t = (way @ q) / det, (e2 @ q) / det
        if u >= 0 and v >= 0 and u + v <= 1 and 0 < t < best:
            best, index = t, i
    return best, index


def test_equals_a_loop_over_triangles() -> None:
    rng = np.random.default_rng(0)
    mesh = make_object("car", rng).placed(6.0, 1.0, 0.0, 0.4)
    other = make_object("pedestrian", rng).placed(4.0, -0.5, 0.0, 1.0)
    solids = Solids([Thing(mesh, 1, 17), Thing(other, 2, 2)])
    triangles = np.concatenate([mesh.triangles, other.triangles])
    origin = np.array([0.0, 0.0, 1.8], np.float32)
    ways = rng.normal([1, 0, -0.15], [0.2, 0.25, 0.15], (60, 3))
    ways = (ways / np.linalg.norm(ways, axis=1, keepdims=True)).astype(np.float32)
    distance, index, _ = solids.cast(np.tile(origin, (60, 1)), ways)
    expected = [_brute(triangles, origin, w) for w in ways]
    assert np.mean([i >= 0 for _, i in expected]) > 0.3
    np.testing.assert_allclose(distance, [d for d, _ in expected], rtol=1e-4)
    owners = np.where(index >= 0, solids.number[index], 0)
    slow = [0 if i < 0 else (1 if i < len(mesh.triangles) else 2) for _, i in expected]
    assert np.mean(owners == slow) > 0.98


def test_kerb_is_a_step(flat: FlatWorld) -> None:
    caster = flat([])
    origins = np.tile(np.array([0, 0, 1.84], np.float32), (4000, 1))
    ways = np.zeros((4000, 3), np.float32)
    angle = np.linspace(np.arctan2(1.84, 60), np.arctan2(1.84, 4), 4000)
    ways[:, 1], ways[:, 2] = np.cos(angle), -np.sin(angle)
    hits = caster.cast(origins, ways, NOTHING)
    points = origins + ways * hits.distance[:, None]
    road, raised = hits.material == Material.ROAD, hits.material == Material.WALKWAY
    kerb = hits.material == Material.KERB
    assert np.abs(points[road, 2]).max() < 2e-3 and points[road, 1].max() < 20.01
    assert np.abs(points[raised, 2] - KERB).max() < 2e-3 and points[raised, 1].min() > 19.99
    assert kerb.any() and np.abs(points[kerb, 1] - 20).max() < 0.5
    assert np.all((points[kerb, 2] > 0) & (points[kerb, 2] < KERB))


def test_nearest_wins_and_hides(flat: FlatWorld) -> None:
    wall = block((0.2, 6, 3), (5, 0, 0), Material.CONCRETE, (0.5, 0.5, 0.5))
    behind = block((1, 1, 1), (8, 0, 0), Material.METAL, (0.5, 0.5, 0.5))
    caster = flat([Thing(behind, 7, 17), Thing(wall, 0, 28)])
    origin, way = np.array([[0, 0, 0.5]], np.float32), np.array([[1, 0, 0]], np.float32)
    hits = caster.cast(origin, way, NOTHING)
    assert hits.number[0] == 0 and hits.semantic[0] == 28
    assert hits.distance[0] == pytest.approx(4.9, abs=1e-4)
    np.testing.assert_allclose(hits.normal[0], [-1, 0, 0], atol=1e-5)
    near = Solids([Thing(block((1, 1, 1), (3, 0, 0), Material.METAL, (0, 0, 0)), 9, 17)])
    assert caster.cast(origin, way, near).number[0] == 9
