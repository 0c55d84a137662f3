"""A small embedded world together with what its cameras truly see: the object and the depth at every pixel."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.frames.index import FrameIndex
from pipeline.frames.index_building import build_index
from pipeline.geometry.transforms import Matrix, matrix_from_pose, quaternion_from_matrix
from pipeline.params import Dataset, Runtime, Simulate
from pipeline.simulation import drive
from pipeline.simulation.camera import Light
from pipeline.simulation.casting import Caster, Solids
from pipeline.simulation.rig import CameraModel
from pipeline.simulation.world import build_world

VERSION = "v1.0-embedded"
PARAMS = Simulate(
    seed=5, train_scenes=1, val_scenes=1, keyframes_per_scene=2, azimuth_steps=360, range_noise=0.02, dropout=0.03,
    max_range=70.0, image_width=800, image_height=450, jpeg_quality=85,
)  # fmt: skip


@dataclass(frozen=True)
class View:
    """One image's truth.

    Attributes:
        number: int32 [H, W], the object hit at every pixel's centre, 0 = none.
        depth: float32 [H, W], metres along the optical axis; inf in the sky.
    """

    number: NDArray[np.int32]
    depth: NDArray[np.float32]


@dataclass(frozen=True)
class TrueWorld:
    """The world on disk; `views[position][channel]` in the order of the index."""

    dataset: Dataset
    views: list[dict[str, View]]


def record_true_world(root: Path, runtime: Runtime) -> TrueWorld:
    """Builds the world in one process with cameras that note what each pixel's ray hits. Its images stay black."""
    seen: list[tuple[str, View]] = []

    def take(caster: Caster, moving: Solids, pose: Matrix, camera: CameraModel, light: Light) -> NDArray[np.uint8]:
        rays = np.ascontiguousarray(camera.rays @ pose[:3, :3].T.astype(np.float32))
        start = np.ascontiguousarray(np.broadcast_to(pose[:3, 3].astype(np.float32), rays.shape))
        hits = caster.cast(start, rays, moving)
        shape = camera.size[::-1]
        view = View(hits.number.reshape(shape), (hits.distance * camera.rays[:, 2]).reshape(shape))
        seen.append((camera.channel, view))
        return np.zeros((*shape, 3), np.uint8)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drive, "take", take)
        build_world(PARAMS, VERSION, root, runtime)
    splits = ("embedded_train", "embedded_train", "embedded_val")
    dataset = Dataset("embedded", str(root), VERSION, ["embedded"], *splits, {})
    return TrueWorld(dataset, [dict(seen[first : first + 6]) for first in range(0, len(seen), 6)])


def index_of(dataset: Dataset, out: Path) -> FrameIndex:
    """A fresh index in `out`."""
    out.mkdir(parents=True)
    build_index(dataset, out)
    return FrameIndex.open(out, Path(dataset.root))


def turned_copy(
    dataset: Dataset, root: Path, table: str, channels: Sequence[str], axis: str, degrees: float
) -> Dataset:
    """The dataset with one kind of matrix turned, sensor files linked.

    Args:
        root: the new root.
        table: `calibrated_sensor` (an extrinsic) or `ego_pose` (of the named channels' key frames and sweeps).
        channels: whose rows.
        axis: x, y or z of the sensor (calibrated_sensor) or of the car (ego_pose).
        degrees: how far.
    """
    source = Path(dataset.root)
    (root / dataset.version).mkdir(parents=True)
    for path in source.iterdir():
        if path.name != dataset.version:
            (root / path.name).symlink_to(path)
    tables = {path.stem: json.loads(path.read_bytes()) for path in (source / dataset.version).glob("*.json")}
    sensors = {row["token"] for row in tables["sensor"] if row["channel"] in channels}
    turned = {row["token"] for row in tables["calibrated_sensor"] if row["sensor_token"] in sensors}
    if table == "ego_pose":
        turned = {row["ego_pose_token"] for row in tables["sample_data"] if row["calibrated_sensor_token"] in turned}
    for row in tables[table]:
        if row["token"] in turned:
            pose = matrix_from_pose(row["rotation"], row["translation"]) @ turn(axis, degrees)
            row["rotation"] = quaternion_from_matrix(pose).tolist()
    for name, rows in tables.items():
        (root / dataset.version / f"{name}.json").write_text(json.dumps(rows))
    values: dict[str, Any] = vars(dataset) | {"root": str(root)}
    return Dataset(**values)


def turn(axis: str, degrees: float) -> Matrix:
    """float64 [4, 4], a rotation about one axis."""
    half = np.deg2rad(degrees) / 2
    quaternion = [np.cos(half), *(np.sin(half) * (name == axis) for name in "xyz")]
    return matrix_from_pose(quaternion, [0.0, 0.0, 0.0])
