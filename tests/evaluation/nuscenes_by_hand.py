"""A nuScenes dataset of two key frames written by hand, so that every devkit number can be worked out on paper."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.geometry.transforms import Matrix, inverse, matrix_from_pose
from pipeline.params import Dataset, Evaluate

VERSION = "v1.0-byhand"


@dataclass(frozen=True)
class Pose:
    """The part of a frame that scoring needs."""

    token: str
    global_from_lidar: Matrix


@dataclass(frozen=True)
class ByHand:
    """The dataset, its poses, and the truth in the LiDAR frame: token -> (boxes [K, 9], classes [K])."""

    dataset: Dataset
    evaluate: Evaluate
    poses: list[Pose]
    truth: dict[str, tuple[NDArray[np.float32], NDArray[np.int64]]]


# category, x forward-ish and y in the global frame relative to the ego, length, width, height, yaw, velocity along x
OBJECTS: list[tuple[str, float, float, float, float, float, float, float]] = [
    ("vehicle.car", 10.0, 0.0, 4.5, 1.9, 1.6, 0.3, 5.0),
    ("vehicle.car", -12.0, 6.0, 4.4, 1.8, 1.5, -2.0, 0.0),
    ("vehicle.car", 3.0, -18.0, 4.6, 1.9, 1.7, 1.2, 0.0),
    ("human.pedestrian.adult", 5.0, 7.0, 0.7, 0.7, 1.8, 0.0, 1.0),
    ("human.pedestrian.adult", -6.0, -7.0, 0.7, 0.7, 1.7, 2.0, 0.0),
    ("vehicle.truck", 45.0, 0.0, 8.0, 2.5, 3.0, 0.0, 0.0),  # beyond a cap of 32 m
]
LABELS = {"vehicle.car": 0, "human.pedestrian.adult": 5, "vehicle.truck": 1}
ATTRIBUTES = {
    ("vehicle.car", True): "vehicle.moving",
    ("vehicle.car", False): "vehicle.parked",
    ("human.pedestrian.adult", True): "pedestrian.moving",
    ("human.pedestrian.adult", False): "pedestrian.standing",
    ("vehicle.truck", False): "vehicle.parked",
}


def write_by_hand(root: Path) -> ByHand:
    """Two key frames 0.5 s apart in one scene, five boxes in range, one truck out of it, written to `root`."""
    (root / VERSION).mkdir(parents=True)
    (root / "maps").mkdir()
    (root / "samples" / "LIDAR_TOP").mkdir(parents=True)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(root / "maps" / "plain.png")
    lidar_rotation = [np.cos(-np.pi / 4), 0.0, 0.0, np.sin(-np.pi / 4)]  # nuScenes mounts it turned by -90 degrees
    ego_rotation = [np.cos(0.35), 0.0, 0.0, np.sin(0.35)]
    categories = sorted(LABELS)
    attributes = sorted(set(ATTRIBUTES.values()))
    samples, data, egos, annotations, instances = [], [], [], [], []
    poses: list[Pose] = []
    truth = {}
    for frame in range(2):
        token, time = f"sample{frame}", frame * 500_000
        ego = [600.0 + 2.0 * frame, 1600.0, 0.0]
        samples.append(
            {"token": token, "timestamp": time, "scene_token": "scene", "prev": f"sample{frame - 1}" if frame else "",
             "next": "" if frame else "sample1"}
        )  # fmt: skip
        egos.append({"token": f"ego{frame}", "timestamp": time, "translation": ego, "rotation": ego_rotation})
        data.append(
            {"token": f"data{frame}", "sample_token": token, "ego_pose_token": f"ego{frame}",
             "calibrated_sensor_token": "lidar", "timestamp": time, "fileformat": "pcd", "is_key_frame": True,
             "height": 0, "width": 0, "filename": f"samples/LIDAR_TOP/{frame}.pcd.bin", "prev": "", "next": ""}
        )  # fmt: skip
        cloud = np.random.default_rng(frame).uniform([-30, -30, -2, 0, 0], [30, 30, 1, 255, 31], (4000, 5))
        (root / str(data[-1]["filename"])).write_bytes(cloud.astype(np.float32).tobytes())
        pose = matrix_from_pose(ego_rotation, ego) @ matrix_from_pose(lidar_rotation, [0.9, 0.0, 1.8])
        poses.append(Pose(token, pose))
        lidar_from_global = inverse(pose)
        boxes, classes = [], []
        for number, (category, x, y, length, width, height, yaw, speed) in enumerate(OBJECTS):
            centre = np.array([600.0 + x + speed * 0.5 * frame, 1600.0 + y, height / 2])
            annotations.append(
                {"token": f"box{frame}-{number}", "sample_token": token, "instance_token": f"instance{number}",
                 "visibility_token": "4", "attribute_tokens": [ATTRIBUTES[category, speed > 0]],
                 "translation": centre.tolist(), "size": [width, length, height],
                 "rotation": [np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)],
                 "prev": f"box0-{number}" if frame else "", "next": "" if frame else f"box1-{number}",
                 "num_lidar_pts": 20, "num_radar_pts": 0}
            )  # fmt: skip
            local = lidar_from_global @ [*centre, 1.0]
            turn = float(np.arctan2(lidar_from_global[1, 0], lidar_from_global[0, 0]))
            velocity = lidar_from_global[:2, 0] * speed
            boxes.append([*local[:3], length, width, height, yaw + turn, *velocity])
            classes.append(LABELS[category])
        truth[token] = (np.array(boxes, np.float32), np.array(classes, np.int64))
    for number, row in enumerate(OBJECTS):
        instances.append(
            {"token": f"instance{number}", "category_token": row[0], "nbr_annotations": 2,
             "first_annotation_token": f"box0-{number}", "last_annotation_token": f"box1-{number}"}
        )  # fmt: skip
    scene = {"token": "scene", "log_token": "log", "name": "scene-9001", "nbr_samples": 2, "description": "",
             "first_sample_token": "sample0", "last_sample_token": "sample1"}  # fmt: skip
    tables: dict[str, list[dict[str, Any]]] = {
        "category": [{"token": name, "name": name, "description": "", "index": i} for i, name in enumerate(categories)],
        "attribute": [{"token": name, "name": name, "description": ""} for name in attributes],
        "visibility": [{"token": "4", "level": "v80-100", "description": ""}],
        "instance": instances,
        "sensor": [{"token": "top", "channel": "LIDAR_TOP", "modality": "lidar"}],
        "calibrated_sensor": [{"token": "lidar", "sensor_token": "top", "translation": [0.9, 0.0, 1.8],
                               "rotation": lidar_rotation, "camera_intrinsic": []}],
        "ego_pose": egos,
        "log": [{"token": "log", "logfile": "", "vehicle": "", "date_captured": "", "location": "nowhere"}],
        "scene": [scene],
        "sample": samples,
        "sample_data": data,
        "sample_annotation": annotations,
        "map": [{"token": "map", "log_tokens": ["log"], "category": "", "filename": "maps/plain.png"}],
    }  # fmt: skip
    for name, rows in tables.items():
        (root / VERSION / f"{name}.json").write_text(json.dumps(rows))
    (root / VERSION / "splits.json").write_text(json.dumps({"byhand_val": ["scene-9001"]}))
    dataset = Dataset("byhand", str(root), VERSION, [], "byhand_val", "byhand_val", "byhand_val", {})
    evaluate = Evaluate("detection_cvpr_2019", 32.0, [0.35, 0.5, 0.65], batch=2, calibration_frames=2)
    return ByHand(dataset, evaluate, poses, truth)
