"""Moving objects that are lost or doubled: in frames where every point is known, and through the loader."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.frame import Frame, Sweep
from pipeline.frames.index import FrameIndex
from pipeline.frames.index_building import build_index
from pipeline.frames.labels import Labels, build_labels
from pipeline.frames.points import read_points
from pipeline.geometry.boxes import points_in_box
from pipeline.geometry.transforms import Matrix, inverse, rotation_about_z, transform_points
from pipeline.params import Prepare
from pipeline.robustness.objects import MovingObjects, find_owners
from tests.frames.tiny_dataset import GRID, dataset_at, frames_params

OBJECTS, RETURNS = 6, 20
PARKED = OBJECTS  # its row, behind those that move


class KnownBoxes:
    """Six cars that move and one that does not, 10 m apart."""

    def boxes(self, token: str) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
        rows = np.arange(OBJECTS + 1, dtype=np.float32)
        boxes = np.zeros((len(rows), 9), np.float32)
        boxes[:, 0], boxes[:, 1] = 10 * rows - 30, 12
        boxes[:, 3:6], boxes[:, 6] = (4, 2, 1.6), 0.1 * rows
        boxes[:, 7], boxes[:, 8] = 3, 1
        boxes[PARKED, 7:] = (0.3, 0.3)  # 0.42 m/s: how annotations jitter
        if token == "calm":
            boxes = boxes[PARKED:]
        return boxes, np.zeros(len(boxes), np.int64), np.full(len(boxes), RETURNS)


def key_frame(token: str = "t") -> Frame:
    """The sensor was turned and elsewhere 0.1 s before."""
    lidar_from_sweep = rotation_about_z(0.3)
    lidar_from_sweep[:3, 3] = (1.5, -2.0, 0.1)
    return Frame(
        token, "l", "scene", 0, "nowhere", "key", 0, np.eye(4), np.eye(4), np.eye(4),
        (Sweep("earlier", lidar_from_sweep, 0.1),), (),
    )  # fmt: skip


def lidar_from(frame: Frame, lag: float) -> Matrix:
    return frame.sweeps[0].lidar_from_sweep if lag else np.eye(4)


def cloud(frame: Frame, lag: float) -> NDArray[np.float32]:
    """20 returns of each car where it was then, and 30 of the ground beside; the ring says whose they are."""
    rng = np.random.default_rng(1)
    boxes = KnownBoxes().boxes("t")[0]
    parts = []
    for row, box in enumerate(boxes):
        local = rng.uniform(-0.49, 0.49, (RETURNS, 3)) * box[3:6]
        placed = local @ rotation_about_z(float(box[6]))[:3, :3].T + box[:3]
        placed[:, :2] -= box[7:9] * lag
        parts.append(np.column_stack([placed, np.full(RETURNS, 0.5), np.full(RETURNS, row)]))
    ground = rng.uniform([-40, -40, -1.8], [40, 5, -1.8], (30, 3))
    parts.append(np.column_stack([ground, np.full(30, 0.2), np.full(30, 99)]))
    return transform_points(inverse(lidar_from(frame, lag)), np.concatenate(parts))


def owners(points: NDArray[np.float32]) -> set[int]:
    return set(points[:, 4].astype(int).tolist())


@pytest.mark.parametrize("severity", [1, 2, 3])
@pytest.mark.parametrize("lag", [0.0, 0.1])
def test_a_share_of_the_moving_objects_is_lost(severity: int, lag: float) -> None:
    frame = key_frame()
    points = cloud(frame, lag)
    left = MovingObjects("dropout", severity, 0, KnownBoxes()).sweep(frame, lag, points)
    lost = owners(points) - owners(left)
    assert len(lost) == (2, 4, 6)[severity - 1] and lost <= set(range(OBJECTS))
    np.testing.assert_array_equal(left, points[~np.isin(points[:, 4], list(lost))])


def test_a_heavier_severity_loses_more_of_the_same() -> None:
    frame = key_frame()
    points = cloud(frame, 0.0)
    left = [owners(MovingObjects("dropout", s, 0, KnownBoxes()).sweep(frame, 0.0, points)) for s in (1, 2, 3)]
    assert left[0] > left[1] > left[2] == {PARKED, 99}


def test_the_same_objects_are_lost_in_every_sweep_and_others_in_another_frame() -> None:
    dropout = MovingObjects("dropout", 1, 0, KnownBoxes())
    left = [
        owners(dropout.sweep(key_frame(token), lag, cloud(key_frame(token), lag)))
        for token in ("t", *"abcdef")
        for lag in (0.0, 0.1)
    ]
    assert left[::2] == left[1::2]
    assert len({frozenset(names) for names in left}) > 2
    another = MovingObjects("dropout", 1, 1, KnownBoxes())
    assert any(owners(another.sweep(f := key_frame(t), 0.0, cloud(f, 0.0))) != left[2 * k] for k, t in enumerate("tab"))


@pytest.mark.parametrize("severity", [1, 2, 3])
@pytest.mark.parametrize("lag", [0.0, 0.1])
def test_a_ghost_follows_every_moving_object(severity: int, lag: float) -> None:
    frame = key_frame()
    points = cloud(frame, lag)
    doubled = MovingObjects("overlap", severity, 0, KnownBoxes()).sweep(frame, lag, points)
    np.testing.assert_array_equal(doubled[: len(points)], points)
    ghosts = doubled[len(points) :]
    moving = points[points[:, 4] < OBJECTS]
    assert len(ghosts) == len(moving) == OBJECTS * RETURNS
    real, ghost = (transform_points(lidar_from(frame, lag), part) for part in (moving, ghosts))
    behind = np.array([3.0, 1.0, 0.0]) * (0.1, 0.25, 0.5)[severity - 1]
    np.testing.assert_allclose(ghost[:, :3], real[:, :3] - behind, atol=1e-5)
    np.testing.assert_array_equal(ghosts[:, 3:], moving[:, 3:])


@pytest.mark.parametrize("kind", ["dropout", "overlap"])
def test_what_does_not_move_stays(kind: str) -> None:
    disturbance = MovingObjects(kind, 3, 0, KnownBoxes())  # type: ignore[arg-type]
    frame = key_frame("calm")
    points = cloud(frame, 0.0)
    assert disturbance.sweep(frame, 0.0, points) is points
    assert disturbance.sweep(key_frame(), 0.0, np.empty((0, 5), np.float32)).shape == (0, 5)


def test_unknown_kinds_and_severities_are_refused() -> None:
    with pytest.raises(ValueError, match="dropout or overlap"):
        MovingObjects("swap", 1, 0, KnownBoxes())  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no severity"):
        MovingObjects("dropout", 4, 0, KnownBoxes())


def test_owners_are_those_whose_box_holds_the_point() -> None:
    rng = np.random.default_rng(4)
    points = rng.uniform([-12, -12, -3], [12, 12, 3], (20_000, 3)).astype(np.float32)
    boxes = np.zeros((40, 9), np.float32)
    boxes[:, :3], boxes[:, 3:6] = rng.uniform(-10, 10, (40, 3)) * (1, 1, 0.1), rng.uniform(0.5, 5, (40, 3))
    boxes[:, 6] = rng.uniform(-np.pi, np.pi, 40)
    inside = np.stack([points_in_box(points, box) for box in boxes])
    expected = np.where(inside.any(axis=0), inside.argmax(axis=0), -1)
    assert (expected >= 0).mean() > 0.1
    assert (find_owners(points, boxes) != expected).sum() <= 2  # on a border, where rounding decides


def test_through_the_loader(world: Path, tmp_path: Path) -> None:
    dataset = dataset_at(
        world, version="v1.0-embedded", pretrain_split="embedded_train", train_split="embedded_train",
        val_split="embedded_val",
    )  # fmt: skip
    (tmp_path / "index").mkdir()
    (tmp_path / "labels").mkdir()
    build_index(dataset, tmp_path / "index")
    index = FrameIndex.open(tmp_path / "index", world)
    build_labels(dataset, Prepare(0.2, [1.0]), index, tmp_path / "labels")
    labels = Labels.open(tmp_path / "labels")
    inside = {position: moving_returns(index[position], index.root, labels) for position in range(len(index))}
    position = max(inside, key=lambda p: inside[p])
    assert inside[position] >= 20

    def points(disturbance: MovingObjects | None, sweeps: int = 0) -> NDArray[np.float32]:
        loader = FrameLoader(index, replace(frames_params(), sweeps=sweeps), GRID, disturbance=disturbance)
        return loader.load([position], crop=False).points.numpy()

    clean = points(None)
    dropout = pickle.loads(pickle.dumps(MovingObjects("dropout", 3, 0, labels)))
    assert len(points(dropout)) == len(clean) - inside[position]
    stacked = len(points(None, 2)) - len(points(dropout, 2))
    assert (len(index[position].sweeps) >= 2) and stacked > 2 * inside[position]
    assert len(points(MovingObjects("overlap", 3, 0, labels))) == len(clean) + inside[position]


def moving_returns(frame: Frame, root: Path, labels: Labels) -> int:
    cloud = read_points(root / frame.lidar_path)
    boxes = labels.boxes(frame.token)[0]
    moving = boxes[np.linalg.norm(boxes[:, 7:9], axis=1) > 0.5]
    return int(sum(points_in_box(cloud, box).sum() for box in moving))
