"""Records one driving scene: sensor files on disk and its rows of the nuScenes tables."""

import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.transforms import Matrix, matrix_from_pose, quaternion_from_matrix, rotation_about_z
from pipeline.params import Simulate
from pipeline.simulation.actors import Actor, Track
from pipeline.simulation.annotate import LABEL_REACH, surface_points, visibility_token, visible_share
from pipeline.simulation.camera import Light, encode, take
from pipeline.simulation.casting import Caster, Solids, Thing
from pipeline.simulation.lidar import Sweep, scan
from pipeline.simulation.location import LOCATIONS, Location, make_location, near
from pipeline.simulation.objects import CATEGORIES
from pipeline.simulation.population import fill
from pipeline.simulation.rig import LIDAR_ROTATION, lidar_rays, lidar_translation, make_cameras
from pipeline.simulation.roads import arc_lengths
from pipeline.simulation.schema import Row, log_name, rounded, token
from pipeline.simulation.terrain import Terrain

SWEEP_PERIOD = 0.05  # seconds, 20 Hz
SWEEPS_PER_KEYFRAME = 10  # key frames at 2 Hz
EPOCH = 1_600_000_000_000_000  # microseconds, first key frame of the first scene
SCENE_SPACING = 60_000_000  # microseconds between scenes
STAGE_REACH = 95.0  # metres of scenery around the own car


@dataclass
class Recording:
    """What one scene adds to the data set: table rows, and SHA-256 by path relative to its root."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)

    def add(self, table: str, row: Row) -> None:
        """Appends a row."""
        self.rows.setdefault(table, []).append(row)


def scene_name(index: int) -> str:
    """Name of scene number `index`, counted from 0 over both splits."""
    return f"scene-{index + 1:04d}"


def scene_location(index: int) -> str:
    """Scenes take turns among the locations, so every split visits all of them."""
    return LOCATIONS[index % len(LOCATIONS)]


def ego_pose(terrain: Terrain, x: float, y: float, yaw: float) -> Matrix:
    """global_from_ego [4, 4] of a car that stands on the carriageway: pitch and roll follow the slope."""
    xy = np.array([[x, y]])
    slope = terrain.gradient(xy)[0]
    up = np.array([-slope[0], -slope[1], 1.0])
    up /= np.linalg.norm(up)
    ahead = np.array([np.cos(yaw), np.sin(yaw), 0.0])
    ahead -= up * (ahead @ up)
    ahead /= np.linalg.norm(ahead)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([ahead, np.cross(up, ahead), up], axis=1)
    pose[:3, 3] = [x, y, float(terrain.height(xy)[0])]
    return pose


def _ego_track(location: Location, rng: np.random.Generator, duration: float) -> Track:
    lanes = list(location.network.lanes.values())
    lane = lanes[int(rng.integers(len(lanes)))]
    speed = 0.0 if rng.random() < 0.08 else float(rng.uniform(2, 12))
    line = location.network.route(lane, rng, 200)
    end = float(arc_lengths(lane.line)[-1])
    # Half of the drives are close enough to the end of their lane to reach the intersection.
    start = float(rng.uniform(8, max(end - 12, 9))) if rng.random() < 0.5 else max(end - float(rng.uniform(0, 25)), 8)
    return Track(line, min(start, float(arc_lengths(line)[-1]) - 12 - speed * duration), speed)


def record_scene(params: Simulate, version: str, out: Path, index: int, complete: bool) -> Recording:
    """Draws, drives and records scene `index` into `out`.

    Args:
        params: the world.
        version: name of the table directory (also of the panoptic directory).
        out: root of the data set.
        index: over both splits; with `params.seed` it determines everything.
        complete: whether every class must occur.
    """
    location = make_location(params.seed, scene_location(index))
    steps = np.arange(1 - SWEEPS_PER_KEYFRAME, SWEEPS_PER_KEYFRAME * (params.keyframes_per_scene - 1) + 1)
    times = steps * SWEEP_PERIOD
    ego = _ego_track(location, np.random.default_rng([params.seed, index, 2]), float(times[-1]))
    scene = fill(location, ego, times, np.random.default_rng([params.seed, index, 3]), complete)
    stage = _Stage(params, version, out, index, location, scene.actors, scene.centre, scene.clutter)
    poses = ego.poses(times)
    for step, (x, y, yaw) in zip(steps.tolist(), poses, strict=True):
        stage.sweep(step, ego_pose(location.terrain, float(x), float(y), float(yaw)))
    return stage.finish()


class _Stage:
    """One scene under recording."""

    def __init__(
        self, params: Simulate, version: str, out: Path, index: int, location: Location, actors: list[Actor],
        centre: NDArray[np.float64], clutter: list[Thing],
    ) -> None:  # fmt: skip
        self.params, self.version, self.out, self.index = params, version, out, index
        self.location, self.actors, self.centre = location, actors, centre
        self.recording = Recording()
        self.cameras = make_cameras(params.image_width, params.image_height)
        self.rays = lidar_rays(params.lidar, params.azimuth_steps)
        self.light = Light(np.random.default_rng([params.seed, index, 4]))
        probe = np.random.default_rng([params.seed, index, 5])
        self.probes = {a.number: surface_points(a.mesh, probe) for a in actors}
        self.moving = [a for a in actors if a.track.speed > 0]
        still = [self._thing(a, 0.0) for a in actors if a.track.speed == 0]
        self.caster = Caster(location.terrain, centre, [*self._scenery(), *clutter, *still])
        self.scene = token("scene", index)
        self.previous: dict[str, Row] = {}
        self.annotations: dict[int, list[Row]] = {}
        self.ego_from_lidar = matrix_from_pose(LIDAR_ROTATION, lidar_translation(params.lidar))

    def _scenery(self) -> list[Thing]:
        things = []
        for prop in near(self.location, self.centre, STAGE_REACH):
            z = float(self.location.terrain.floor(np.array([[prop.x, prop.y]]))[0])
            x, y = np.array([prop.x, prop.y]) - self.centre
            things.append(Thing(prop.mesh().placed(x, y, z, prop.yaw), 0, prop.semantic))
        return things

    def _pose(self, actor: Actor, time: float) -> NDArray[np.float64]:
        """x, y (map), z of the underside, yaw."""
        x, y, yaw = actor.track.poses(np.array([time]))[0]
        return np.array([x, y, float(self.location.terrain.floor(np.array([[x, y]]))[0]), yaw])

    def _thing(self, actor: Actor, time: float) -> Thing:
        x, y, z, yaw = self._pose(actor, time)
        mesh = actor.mesh.placed(x - self.centre[0], y - self.centre[1], z, yaw)
        return Thing(mesh, actor.number, CATEGORIES[actor.name][1])

    def sweep(self, step: int, global_from_ego: Matrix) -> None:
        """Records the LiDAR at sweep number `step` (0 = first key frame), and at key frames everything else."""
        time = step * SWEEP_PERIOD
        moving = Solids([self._thing(a, time) for a in self.moving])
        local_from_ego = global_from_ego.copy()
        local_from_ego[:2, 3] -= self.centre
        rng = np.random.default_rng([self.params.seed, self.index, 6, step + SWEEPS_PER_KEYFRAME])
        turn = scan(self.caster, moving, local_from_ego @ self.ego_from_lidar, self.rays, self.params, rng)
        lidar = self._data(step, "LIDAR_TOP", global_from_ego, turn.points.tobytes(), "pcd.bin", (0, 0))
        if step % SWEEPS_PER_KEYFRAME == 0:
            for camera in self.cameras:
                image = take(self.caster, moving, local_from_ego @ camera.ego_from_camera, camera, self.light)
                data = encode(image, self.params.jpeg_quality)
                self._data(step, camera.channel, global_from_ego, data, "jpg", camera.size)
            self._annotate(step, global_from_ego, local_from_ego, moving, turn, lidar)

    def _data(self, step: int, channel: str, pose: Matrix, data: bytes, suffix: str, size: tuple[int, int]) -> str:
        """Writes a sensor file with its sample_data and ego_pose rows; returns the token."""
        timestamp = EPOCH + self.index * SCENE_SPACING + round(step * SWEEP_PERIOD * 1e6)
        key = step % SWEEPS_PER_KEYFRAME == 0
        log = log_name(self.location.name)
        path = f"{'samples' if key else 'sweeps'}/{channel}/{log}__{channel}__{timestamp}.{suffix}"
        self._write(path, data)
        name = token("sample_data", self.index, channel, step)
        row: Row = {
            "token": name,
            # A sweep belongs to the key frame that follows it: the devkit interpolates boxes on that understanding.
            "sample_token": token("sample", self.index, max(-(-step // SWEEPS_PER_KEYFRAME), 0)),
            "ego_pose_token": name,
            "calibrated_sensor_token": token("calibrated_sensor", channel),
            "timestamp": timestamp,
            "fileformat": "pcd" if channel == "LIDAR_TOP" else "jpg",
            "is_key_frame": key,
            "height": size[1],
            "width": size[0],
            "filename": path,
            "prev": "",
            "next": "",
        }
        if channel in self.previous:
            row["prev"] = self.previous[channel]["token"]
            self.previous[channel]["next"] = name
        self.previous[channel] = row
        self.recording.add("sample_data", row)
        self.recording.add(
            "ego_pose",
            {
                "token": name,
                "timestamp": timestamp,
                "rotation": rounded(quaternion_from_matrix(pose), 12),
                "translation": rounded(pose[:3, 3]),
            },
        )
        return name

    def _write(self, path: str, data: bytes) -> None:
        file = self.out / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        self.recording.checksums[path] = hashlib.sha256(data).hexdigest()

    def _annotate(
        self, step: int, pose: Matrix, local_from_ego: Matrix, moving: Solids, turn: Sweep, lidar: str
    ) -> None:
        time, frame = step * SWEEP_PERIOD, step // SWEEPS_PER_KEYFRAME
        places = {a.number: self._pose(a, time) for a in self.actors}
        close = [
            a for a in self.actors if np.hypot(*(places[a.number][:2] - pose[:2, 3])) <= LABEL_REACH
        ]  # fmt: skip
        points = np.bincount(turn.number, minlength=len(self.actors) + 1)
        probes = np.stack([self._probes(a, places[a.number]) for a in close]) if close else np.zeros((0, 24, 3))
        numbers = np.array([a.number for a in close], np.int32)
        shares = visible_share(
            self.caster, moving, local_from_ego, self.cameras, numbers, probes.astype(np.float32)
        )  # fmt: skip
        labelled = np.zeros(len(self.actors) + 1, np.bool_)
        for actor, share in zip(close, shares.tolist(), strict=True):
            if points[actor.number] > 0 or share > 0:
                labelled[actor.number] = True
                self._annotation(actor, frame, places[actor.number], int(points[actor.number]), share)
        instance = np.where(labelled[turn.number], turn.number, 0)
        panoptic = (turn.semantic.astype(np.uint16) * 1000 + instance).astype(np.uint16)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, data=panoptic)
        path = f"panoptic/{self.version}/{lidar}_panoptic.npz"
        self._write(path, buffer.getvalue())
        self.recording.add("panoptic", {"token": lidar, "sample_data_token": lidar, "filename": path})

    def _probes(self, actor: Actor, place: NDArray[np.float64]) -> NDArray[np.float32]:
        x, y, z, yaw = place
        turned = self.probes[actor.number] @ rotation_about_z(yaw)[:3, :3].T.astype(np.float32)
        return np.asarray(turned + np.array([x - self.centre[0], y - self.centre[1], z], np.float32))

    def _annotation(self, actor: Actor, frame: int, place: NDArray[np.float64], points: int, share: float) -> None:
        length, width, height = actor.size
        earlier = self.annotations.setdefault(actor.number, [])
        row: Row = {
            "token": token("sample_annotation", self.index, actor.number, frame),
            "sample_token": token("sample", self.index, frame),
            "instance_token": token("instance", self.index, actor.number),
            "visibility_token": visibility_token(share),
            "attribute_tokens": [token("attribute", actor.attribute)] if actor.attribute else [],
            "translation": rounded([place[0], place[1], place[2] + height / 2], 4),
            "size": rounded([width, length, height], 4),
            "rotation": rounded(quaternion_from_matrix(rotation_about_z(float(place[3]))), 12),
            "prev": earlier[-1]["token"] if earlier else "",
            "next": "",
            "num_lidar_pts": points,
            "num_radar_pts": 0,
        }
        if earlier:
            earlier[-1]["next"] = row["token"]
        earlier.append(row)
        self.recording.add("sample_annotation", row)

    def finish(self) -> Recording:
        """Adds the rows that need the whole scene: scene, samples and instances."""
        frames = self.params.keyframes_per_scene
        samples = [token("sample", self.index, k) for k in range(frames)]
        for k, name in enumerate(samples):
            stamp = EPOCH + self.index * SCENE_SPACING + round(k * SWEEPS_PER_KEYFRAME * SWEEP_PERIOD * 1e6)
            before, after = samples[k - 1] if k else "", samples[k + 1] if k + 1 < frames else ""
            self.recording.add(
                "sample", {"token": name, "timestamp": stamp, "prev": before, "next": after, "scene_token": self.scene}
            )
        self.recording.add(
            "scene",
            {
                "token": self.scene,
                "log_token": token("log", self.location.name),
                "nbr_samples": frames,
                "first_sample_token": samples[0],
                "last_sample_token": samples[-1],
                "name": scene_name(self.index),
                "description": f"Simulated drive, {len(self.actors)} objects",
            },
        )
        for actor in self.actors:
            rows = self.annotations.get(actor.number, [])
            if rows:
                self.recording.add(
                    "instance",
                    {
                        "token": rows[0]["instance_token"],
                        "category_token": token("category", CATEGORIES[actor.name][0]),
                        "nbr_annotations": len(rows),
                        "first_annotation_token": rows[0]["token"],
                        "last_annotation_token": rows[-1]["token"],
                    },
                )
        return self.recording
