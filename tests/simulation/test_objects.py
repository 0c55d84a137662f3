"""Shapes: closed boxes, centred meshes, ten classes of plausible size."""

import numpy as np
import pytest

from pipeline.simulation.materials import GROUND_COLOUR, GROUND_SEMANTIC, RAISED, REFLECTIVITY, RETURN_RATE, Material
from pipeline.simulation.objects import CATEGORIES, make_object
from pipeline.simulation.props import CLUTTER
from pipeline.simulation.schema import CATEGORY_NAMES
from pipeline.simulation.shapes import ball, block, cone, tube

# detection class: least and most of length, width, height in metres
SIZES = {
    "car": ((3.6, 5.3), (1.6, 2.1), (1.3, 2.2)), "truck": ((5, 10), (1.8, 2.8), (1.7, 3.9)),
    "bus": ((9.5, 13), (2.5, 3.1), (3, 3.8)), "trailer": ((8.5, 13), (2.1, 2.9), (1.8, 4.2)),
    "construction_vehicle": ((4, 8), (1.9, 3), (2.2, 4)), "pedestrian": ((0.2, 1.0), (0.4, 0.8), (1.0, 2.0)),
    "motorcycle": ((1.8, 2.5), (0.6, 0.9), (0.9, 1.9)), "bicycle": ((1.5, 1.9), (0.4, 0.8), (0.9, 2.0)),
    "traffic_cone": ((0.2, 0.7), (0.2, 0.7), (0.6, 1.1)), "barrier": ((0.3, 0.7), (1.6, 2.5), (0.7, 1.2)),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CATEGORIES))
def test_class_sizes_and_placement(name: str) -> None:
    sizes = []
    for seed in range(12):
        mesh = make_object(name, np.random.default_rng(seed), rider=bool(seed % 2))
        points = mesh.triangles.reshape(-1, 3)
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        np.testing.assert_allclose([*middle[:2], points[:, 2].min()], 0, atol=1e-5)
        for value, (low, high) in zip(mesh.size, SIZES[name], strict=True):
            assert low <= value <= high, (name, mesh.size)
        sizes.append(mesh.size)
    assert len({tuple(np.round(s, 3)) for s in sizes}) > 6  # variants, not one mould


def test_panoptic_indices_name_the_category() -> None:
    for category, index in CATEGORIES.values():
        assert CATEGORY_NAMES[index] == category


def test_material_tables_cover_every_material() -> None:
    assert len(REFLECTIVITY) == len(RETURN_RATE) == len(RAISED) == len(Material)
    assert len(GROUND_COLOUR) == len(GROUND_SEMANTIC) == Material.KERB + 1


def test_primitives_are_closed_and_as_large_as_asked() -> None:
    grey = (0.5, 0.5, 0.5)
    at = (1.0, 2.0, 3.0)
    shapes = {
        "block": (block((1, 2, 3), at, Material.METAL, grey), (1, 2, 3), 6.0),
        "tube": (tube(0.5, 2.0, at, Material.METAL, grey, axis=1), (1, 2, 1), np.pi / 2),
        "cone": (cone(0.5, 2.0, at, Material.METAL, grey), (1, 1, 2), np.pi / 6),
        "ball": (ball((0.5, 0.5, 1.0), at, Material.METAL, grey), (1, 1, 2), np.pi / 3),
    }
    for name, (mesh, size, volume) in shapes.items():
        np.testing.assert_allclose(mesh.size, size, rtol=0.1, err_msg=name)
        a, b, c = mesh.triangles.astype(np.float64).transpose(1, 0, 2)
        # Divergence theorem: the signed volume is right only for a closed surface wound one way.
        enclosed = abs(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)
        assert enclosed == pytest.approx(volume, rel=0.2), name


def test_clutter_shares_add_up_and_meshes_build() -> None:
    assert sum(share for _, _, share in CLUTTER.values()) == pytest.approx(1)
    for kind, (builder, _, _) in CLUTTER.items():
        assert min(builder(np.random.default_rng(1)).size) > 0, kind
