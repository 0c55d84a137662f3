"""The maps as `NuScenesMap` reads them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.simulation.location import LOCATIONS, make_location
from pipeline.simulation.materials import Material

LAYERS = ("drivable_area", "ped_crossing", "walkway", "stop_line", "carpark_area", "road_divider", "lane_divider")


@pytest.fixture(scope="module", params=LOCATIONS[:3])
def expansion(request: pytest.FixtureRequest, world: Path) -> Any:
    from nuscenes.map_expansion.map_api import NuScenesMap

    return NuScenesMap(str(world), request.param)


def test_layers_exist_and_are_valid(expansion: Any) -> None:
    for layer in LAYERS:
        assert len(getattr(expansion, layer)) > 0, layer
    for polygon in expansion.polygon:
        assert polygon["exterior_node_tokens"]
    for layer in ("ped_crossing", "walkway", "stop_line", "carpark_area", "road_segment"):
        for row in getattr(expansion, layer):
            assert expansion.extract_polygon(row["polygon_token"]).is_valid, layer


def test_masks_agree_with_the_surface_raster(expansion: Any) -> None:
    width, height = expansion.canvas_edge
    box = (width / 2, height / 2, height, width)
    canvas = (round(height * 2), round(width * 2))
    mask = expansion.get_map_mask(box, 0.0, ["drivable_area", "walkway"], canvas)
    terrain = make_location(3, expansion.map_name).terrain
    rng = np.random.default_rng(0)
    points = rng.uniform([1, 1], [width - 1, height - 1], (20000, 2))
    surface = terrain.surface(points)
    rows, columns = (points[:, 1] * 2).astype(int), (points[:, 0] * 2).astype(int)
    drivable = (surface != Material.GRASS) & (surface != Material.WALKWAY)
    for found, expected in ((mask[0], drivable), (mask[1], surface == Material.WALKWAY)):
        assert expected.mean() > 0.03
        assert np.mean((found[rows, columns] > 0) == expected) > 0.985  # they differ only at borders


def test_lanes_lead_on(expansion: Any) -> None:
    for lane in expansion.lane:
        poses = np.array(expansion.discretize_lanes([lane["token"]], 1.0)[lane["token"]])
        assert np.linalg.norm(np.diff(poses[:, :2], axis=0), axis=1).max() < 1.5
        outgoing = expansion.get_outgoing_lane_ids(lane["token"])
        assert outgoing and lane["token"] in expansion.get_incoming_lane_ids(outgoing[0])


def test_own_car_drives_on_the_road(devkit: Any, expansion: Any) -> None:
    seen = 0
    for row in devkit.sample_data:
        scene = devkit.get("scene", devkit.get("sample", row["sample_token"])["scene_token"])
        if devkit.get("log", scene["log_token"])["location"] == expansion.map_name and row["channel"] == "LIDAR_TOP":
            x, y, _ = devkit.get("ego_pose", row["ego_pose_token"])["translation"]
            assert expansion.layers_on_point(x, y)["drivable_area"]
            seen += 1
    assert seen > 0
