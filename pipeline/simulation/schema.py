"""Tokens, vocabulary and the tables of a nuScenes data set that do not depend on any scene."""

import hashlib
from collections.abc import Iterable
from typing import Any

from pipeline.params import LidarLayout
from pipeline.simulation.rig import LIDAR_ROTATION, CameraModel, lidar_translation

Row = dict[str, Any]

TABLES = (
    "attribute", "calibrated_sensor", "category", "ego_pose", "instance", "log", "map", "sample", "sample_annotation",
    "sample_data", "scene", "sensor", "visibility",
)  # fmt: skip

# Order = panoptic index, as in the category table of nuScenes-lidarseg.
CATEGORY_NAMES = (
    "noise", "animal", "human.pedestrian.adult", "human.pedestrian.child", "human.pedestrian.construction_worker",
    "human.pedestrian.personal_mobility", "human.pedestrian.police_officer", "human.pedestrian.stroller",
    "human.pedestrian.wheelchair", "movable_object.barrier", "movable_object.debris",
    "movable_object.pushable_pullable", "movable_object.trafficcone", "static_object.bicycle_rack", "vehicle.bicycle",
    "vehicle.bus.bendy", "vehicle.bus.rigid", "vehicle.car", "vehicle.construction", "vehicle.emergency.ambulance",
    "vehicle.emergency.police", "vehicle.motorcycle", "vehicle.trailer", "vehicle.truck", "flat.driveable_surface",
    "flat.other", "flat.sidewalk", "flat.terrain", "static.manmade", "static.other", "static.vegetation",
    "vehicle.ego",
)  # fmt: skip

ATTRIBUTES = (
    "vehicle.moving", "vehicle.stopped", "vehicle.parked", "cycle.with_rider", "cycle.without_rider",
    "pedestrian.sitting_lying_down", "pedestrian.standing", "pedestrian.moving",
)  # fmt: skip

_LEVELS = (("1", "v0-40", "0 and 40%"), ("2", "v40-60", "40 and 60%"), ("3", "v60-80", "60 and 80%"),
           ("4", "v80-100", "80 and 100%"))  # fmt: skip


def token(*parts: object) -> str:
    """The token of a record: 32 hexadecimal digits that depend on its name only."""
    return hashlib.md5("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def rounded(values: Iterable[Any], digits: int = 6) -> list[float]:
    """Floats as they go into a table: fixed precision, no negative zero."""
    return [round(float(v), digits) + 0.0 for v in values]


def log_name(location: str) -> str:
    """Name of the one log of a location."""
    return f"embedded-{location}"


def static_tables(lidar: LidarLayout, cameras: list[CameraModel], locations: list[str]) -> dict[str, list[Row]]:
    """attribute, calibrated_sensor, category, log, map, sensor and visibility."""
    sensors = [{"token": token("sensor", "LIDAR_TOP"), "channel": "LIDAR_TOP", "modality": "lidar"}]
    calibrated: list[Row] = [
        {
            "token": token("calibrated_sensor", "LIDAR_TOP"),
            "sensor_token": token("sensor", "LIDAR_TOP"),
            "translation": lidar_translation(lidar),
            "rotation": LIDAR_ROTATION,
            "camera_intrinsic": [],
        }
    ]
    for camera in cameras:
        sensors.append({"token": token("sensor", camera.channel), "channel": camera.channel, "modality": "camera"})
        calibrated.append(
            {
                "token": token("calibrated_sensor", camera.channel),
                "sensor_token": token("sensor", camera.channel),
                "translation": camera.translation,
                "rotation": camera.rotation,
                "camera_intrinsic": [rounded(row) for row in camera.intrinsic.tolist()],
            }
        )
    return {
        "attribute": [{"token": token("attribute", n), "name": n, "description": ""} for n in ATTRIBUTES],
        "calibrated_sensor": calibrated,
        "category": [
            {"token": token("category", n), "name": n, "description": "", "index": i}
            for i, n in enumerate(CATEGORY_NAMES)
        ],
        "log": [
            {
                "token": token("log", name),
                "logfile": log_name(name),
                "vehicle": "embedded",
                "date_captured": "2020-09-13",
                "location": name,
            }
            for name in locations
        ],
        "map": [
            {
                "category": "semantic_prior",
                "token": token("map", name),
                "filename": f"maps/{token('map', name)}.png",
                "log_tokens": [token("log", name)],
            }
            for name in locations
        ],
        "sensor": sensors,
        "visibility": [
            {"token": t, "level": level, "description": f"visibility of whole object is between {words}"}
            for t, level, words in _LEVELS
        ],
    }
