"""A nuScenes root small enough to write in a test: static points and one moving car seen from a turning vehicle."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.frames.frame import CAMERA_CHANNELS
from pipeline.geometry.transforms import inverse, matrix_from_pose, quaternion_from_matrix, rotation_about_z
from pipeline.params import Augmentation, Dataset, Frames, Grid

VERSION = "v1.0-tiny"
SCENES = ("scene-c", "scene-a", "scene-d", "scene-b")  # not sorted on purpose
LOCATION = "boston-seaport"  # the devkit opens maps of its own four locations only
SIZE = (400, 225)
FOCAL = 316.0
SPEED = np.array([3.0, 1.0, 0.0])  # of the car, global
START = np.array([400.0, 600.0])
LIDAR_FROM_BODY = [0.7077955119163518, -0.006492242056004365, 0.010646214713995808, -0.7063073142877817]
YAWS = dict(zip(CAMERA_CHANNELS, np.deg2rad([55, 0, -55, 110, 180, -110]), strict=True))

Rows = list[dict[str, Any]]


def dataset_at(root: Path, **changes: Any) -> Dataset:
    values: dict[str, Any] = {
        "name": "tiny", "root": str(root), "version": VERSION, "simulated": [], "pretrain_split": "train",
        "train_split": "train", "val_split": "val", "splits": {},
    }  # fmt: skip
    return Dataset(**(values | changes))


def frames_params(**changes: Any) -> Frames:
    values: dict[str, Any] = {"sweeps": 4, "ego_radius": 1.0, "image_height": 64, "image_width": 176, "resize": 1.091}
    return Frames(**(values | changes))


def augmentation_params(**changes: Any) -> Augmentation:
    values: dict[str, Any] = {
        "resize": [0.955, 1.25], "image_rotation": 5.4, "image_flip": True, "bev_rotation": 45.0,
        "bev_scale": [0.9, 1.1], "bev_flip": True, "bev_translation": 0.5,
    }  # fmt: skip
    return Augmentation(**(values | changes))


GRID = Grid(reach=32.0, z_min=-5.0, z_max=3.0, pillar=0.4, stride=2)


class PointNumbers:
    """Regions that make every key-frame point recognisable."""

    def read(self, position: int, points: int) -> NDArray[np.int16]:
        return np.arange(points, dtype=np.int16)


def ego_pose(seconds: float) -> NDArray[np.float64]:
    """global_from_ego of a vehicle that drives 8 m/s and turns."""
    pose = rotation_about_z(0.3 + 0.4 * seconds)
    pose[:3, 3] = [START[0] + 8 * seconds, START[1] + 2 * seconds, 0.1 * seconds]
    return pose


def static_points() -> NDArray[np.float64]:
    """Global points that every sweep sees."""
    rng = np.random.default_rng(3)
    points = rng.uniform([-40, -40, 0], [40, 40, 3], (900, 3))
    points[:, :2] += START
    return points


def write_tiny(root: Path) -> None:
    """Four scenes of two key frames, two sweeps before each; sensor and pose differ at every time stamp."""
    tables: dict[str, Rows] = {
        name: []
        for name in (
            "scene", "sample", "sample_data", "ego_pose", "calibrated_sensor", "sensor", "log", "map", "category",
            "attribute", "visibility", "instance", "sample_annotation",
        )
    }  # fmt: skip
    _write_sensors(tables)
    tables["log"].append({"token": "log", "logfile": "log", "vehicle": "v", "date_captured": "", "location": LOCATION})
    tables["map"].append({"token": "map", "log_tokens": ["log"], "category": "semantic_prior", "filename": ""})
    tables["category"] += [
        {"token": "car", "name": "vehicle.car", "description": ""},
        {"token": "dog", "name": "animal", "description": ""},
    ]
    tables["attribute"].append({"token": "moving", "name": "vehicle.moving", "description": ""})
    tables["visibility"].append({"token": "4", "level": "v80-100", "description": ""})
    for channel in ("LIDAR_TOP", *CAMERA_CHANNELS):
        (root / "samples" / channel).mkdir(parents=True)
    (root / "sweeps" / "LIDAR_TOP").mkdir(parents=True)
    for number, scene in enumerate(SCENES):
        _write_scene(root, tables, scene, 1_000_000_000 + number * 100_000_000)
    (root / VERSION).mkdir()
    for name, rows in tables.items():
        (root / VERSION / f"{name}.json").write_text(json.dumps(rows))
    splits = {"train": ["scene-d", "scene-a", "scene-b"], "val": ["scene-c"]}
    (root / VERSION / "splits.json").write_text(json.dumps(splits))
    (root / "maps" / "expansion").mkdir(parents=True)
    (root / "maps" / "expansion" / f"{LOCATION}.json").write_text(json.dumps(_map_expansion()))


def _write_sensors(tables: dict[str, Rows]) -> None:
    ego_from_lidar = matrix_from_pose(LIDAR_FROM_BODY, [0.94, 0.0, 1.84])
    poses: dict[str, tuple[NDArray[np.float64], list[list[float]]]] = {"LIDAR_TOP": (ego_from_lidar, [])}
    for channel, yaw in YAWS.items():
        ego_from_camera = rotation_about_z(float(yaw))
        # Camera axes: x right, y down, z forward.
        ego_from_camera[:3, :3] = ego_from_camera[:3, :3] @ np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
        ego_from_camera[:3, 3] = [1.0 + 0.5 * np.cos(yaw), 0.5 * np.sin(yaw), 1.5]
        poses[channel] = (ego_from_camera, [[FOCAL, 0, SIZE[0] / 2], [0, FOCAL, SIZE[1] / 2], [0, 0, 1]])
    for channel, (pose, intrinsic) in poses.items():
        modality = "lidar" if channel == "LIDAR_TOP" else "camera"
        tables["sensor"].append({"token": f"sensor-{channel}", "channel": channel, "modality": modality})
        tables["calibrated_sensor"].append(
            {"token": channel, "sensor_token": f"sensor-{channel}", "translation": pose[:3, 3].tolist(),
             "rotation": quaternion_from_matrix(pose).tolist(), "camera_intrinsic": intrinsic}
        )  # fmt: skip


def _write_scene(root: Path, tables: dict[str, Rows], scene: str, start: int) -> None:
    samples = [f"{scene}-0", f"{scene}-1"]
    tables["scene"].append(
        {"token": scene, "log_token": "log", "nbr_samples": 2, "first_sample_token": samples[0],
         "last_sample_token": samples[1], "name": scene, "description": ""}
    )  # fmt: skip
    tables["instance"].append(
        {"token": f"{scene}-i", "category_token": "car", "nbr_annotations": 2,
         "first_annotation_token": f"{samples[0]}-car", "last_annotation_token": f"{samples[1]}-car"}
    )  # fmt: skip
    tables["instance"].append(
        {"token": f"{scene}-j", "category_token": "dog", "nbr_annotations": 1,
         "first_annotation_token": f"{samples[0]}-dog", "last_annotation_token": f"{samples[0]}-dog"}
    )  # fmt: skip
    chain: Rows = []
    for step in range(6):  # sweeps 0.1 s apart; 2 and 5 are key frames
        seconds, key = step * 0.1, step in (2, 5)
        sample = samples[0] if step <= 2 else samples[1]
        chain.append(_data(root, tables, scene, "LIDAR_TOP", seconds, start, sample, key))
        if key:
            number = samples.index(sample)
            tables["sample"].append(
                {"token": sample, "timestamp": start + round(seconds * 1e6), "scene_token": scene,
                 "prev": samples[0] if number else "", "next": "" if number else samples[1]}
            )  # fmt: skip
            for camera, channel in enumerate(CAMERA_CHANNELS):
                _data(root, tables, scene, channel, seconds + 0.01 * (camera - 3), start, sample, True)
            _annotate(tables, sample, samples, f"{scene}-i", f"{scene}-j", seconds)
    for before, after in pairwise(chain):
        before["next"], after["prev"] = after["token"], before["token"]


def _data(
    root: Path, tables: dict[str, Rows], scene: str, channel: str, seconds: float, start: int, sample: str, key: bool
) -> dict[str, Any]:
    stamp = start + round(seconds * 1e6)
    token = f"{scene}-{channel}-{stamp}"
    pose = ego_pose(seconds)
    folder, suffix = ("samples" if key else "sweeps"), ("pcd.bin" if channel == "LIDAR_TOP" else "jpg")
    row: dict[str, Any] = {
        "token": token, "sample_token": sample, "ego_pose_token": token, "calibrated_sensor_token": channel,
        "timestamp": stamp, "fileformat": suffix, "is_key_frame": key, "prev": "", "next": "",
        "height": 0 if channel == "LIDAR_TOP" else SIZE[1], "width": 0 if channel == "LIDAR_TOP" else SIZE[0],
        "filename": f"{folder}/{channel}/{token}.{suffix}",
    }  # fmt: skip
    tables["sample_data"].append(row)
    tables["ego_pose"].append(
        {"token": token, "timestamp": stamp, "rotation": quaternion_from_matrix(pose).tolist(),
         "translation": pose[:3, 3].tolist()}
    )  # fmt: skip
    calibration = next(row for row in tables["calibrated_sensor"] if row["token"] == channel)
    sensor_from_global = inverse(pose @ matrix_from_pose(calibration["rotation"], calibration["translation"]))
    local = static_points() @ sensor_from_global[:3, :3].T + sensor_from_global[:3, 3]
    path = root / row["filename"]
    if channel == "LIDAR_TOP":
        own_car = np.array([[0.2, 0.3, -1.0], [-0.4, 0.9, -1.2]])
        cloud = np.concatenate([own_car, local])
        extra = np.stack([np.full(len(cloud), 51.0), np.arange(len(cloud)) % 32], axis=1)
        np.concatenate([cloud, extra], axis=1).astype(np.float32).tofile(path)
    else:
        cv2.imwrite(
            str(path), _picture(local, np.array(calibration["camera_intrinsic"])), [cv2.IMWRITE_JPEG_QUALITY, 95]
        )
    return row


def beacons(points: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """The rows of the static points that the pictures show as blobs."""
    return points[:40]


def _picture(local: NDArray[np.float64], intrinsic: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A blob on black at every beacon."""
    picture = np.zeros((SIZE[1], SIZE[0]), np.float64)
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    for point in beacons(local):
        if point[2] > 1:
            u, v, _ = intrinsic @ point / point[2]
            picture += np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / (2 * 4.0**2))
    return np.repeat((picture.clip(0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)


def _annotate(tables: dict[str, Rows], sample: str, samples: list[str], car: str, dog: str, seconds: float) -> None:
    first = sample == samples[0]
    common = {"sample_token": sample, "visibility_token": "4", "num_radar_pts": 0}
    place = [START[0] + 10, START[1] + 5, 1.0] + SPEED * seconds
    tables["sample_annotation"] += [
        {**common, "token": f"{sample}-car", "instance_token": car, "attribute_tokens": ["moving"], "num_lidar_pts": 7,
         "translation": place.tolist(), "size": [1.9, 4.6, 1.7],
         "rotation": quaternion_from_matrix(rotation_about_z(float(np.arctan2(SPEED[1], SPEED[0])))).tolist(),
         "prev": "" if first else f"{samples[0]}-car", "next": f"{samples[1]}-car" if first else ""},
    ]  # fmt: skip
    if first:
        tables["sample_annotation"].append(
            {**common, "token": f"{sample}-dog", "instance_token": dog, "attribute_tokens": [], "num_lidar_pts": 2,
             "translation": [START[0], START[1] + 9, 0.5], "size": [0.3, 0.8, 0.5], "rotation": [1.0, 0.0, 0.0, 0.0],
             "prev": "", "next": ""}
        )  # fmt: skip


def _map_expansion() -> dict[str, Any]:
    layers = (
        "drivable_area", "road_segment", "road_block", "lane", "ped_crossing", "walkway", "stop_line", "carpark_area",
        "road_divider", "lane_divider", "traffic_light", "lane_connector", "polygon", "line", "node",
    )  # fmt: skip
    table: dict[str, Any] = {name: [] for name in layers}
    table |= {"version": "1.3", "canvas_edge": [2979.5, 2118.1], "arcline_path_3": {}, "connectivity": {}}

    def nodes(points: list[tuple[float, float]]) -> list[str]:
        tokens = []
        for x, y in points:
            tokens.append(f"n{len(table['node'])}")
            table["node"].append({"token": tokens[-1], "x": START[0] + x, "y": START[1] + y})
        return tokens

    def polygon(points: list[tuple[float, float]], hole: list[tuple[float, float]] | None = None) -> str:
        token = f"p{len(table['polygon'])}"
        holes = [{"node_tokens": nodes(hole)}] if hole else []
        table["polygon"].append({"token": token, "exterior_node_tokens": nodes(points), "holes": holes})
        return token

    road = polygon([(-90, -12), (95, -9), (93, 14), (-90, 11)], [(20, -2), (34, -3), (34, 4), (21, 5)])
    side = polygon([(-8, 10), (5, 9), (9, 80), (-6, 82)])
    table["drivable_area"].append({"token": "d", "polygon_tokens": [road, side]})
    shapes: dict[str, list[tuple[float, float]]] = {
        "ped_crossing": [(-20, -12), (-15, -12), (-14, 12), (-19, 12)],
        "walkway": [(-90, 11), (-8, 11), (-8, 17), (-90, 18)],
        "carpark_area": [(12, 20), (30, 18), (33, 36), (14, 39)],
        "stop_line": [(-25, -11), (-22, -11), (-22, 0), (-25, 0)],
    }
    for name, points in shapes.items():
        row: dict[str, Any] = {"token": name, "polygon_token": polygon(points)}
        if name == "stop_line":
            row |= {
                "stop_line_type": "YIELD",
                "ped_crossing_tokens": [],
                "traffic_light_tokens": [],
                "road_block_token": "",
            }
        table[name].append(row)
    for name, points in (
        ("road_divider", [(-90.0, 0.0), (0.0, 1.0), (15.0, 2.0)]),
        ("lane_divider", [(40.0, 2.0), (90.0, 4.0)]),
    ):
        table["line"].append({"token": f"l-{name}", "node_tokens": nodes(points)})
        table[name].append({"token": name, "line_token": f"l-{name}", "lane_divider_segments": []})
    return table
