"""A spoofed vehicle has exactly its points, on rays of its own, in the zone; and is believed by one rule."""

import pickle
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.errors import UserError
from pipeline.evaluation.detection import ScoredBoxes
from pipeline.evaluation.predict import predict_boxes
from pipeline.frames.batch import FrameBatch
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.frames.points import Points, read_points
from pipeline.networks.heads.decoding import Detections
from pipeline.networks.model import BevModel
from pipeline.params.classes import DETECTION_CLASSES
from pipeline.robustness.spoofing import Spoofed, SpoofedVehicle, directions, inject, is_occupied, is_spoofed, place
from pipeline.robustness.spoofing_rate import spoofing_rate, wilson_interval
from pipeline.robustness.traces import Trace
from tests.frames.tiny_dataset import GRID, frames_params
from tests.robustness.attack_cases import spoofing_params

COUNTS = [20, 60, 100]


@dataclass(frozen=True)
class Objects:
    """The same labelled boxes in every frame."""

    rows: NDArray[np.float32]

    def boxes(self, token: str) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
        return self.rows, np.zeros(len(self.rows), np.int64), np.ones(len(self.rows), np.int64)


EMPTY = Objects(np.empty((0, 9), np.float32))


def rear_of_a_car(seed: int, x: float, y: float) -> Trace:
    """Two sides of a car at (x, y) as a LiDAR sees them, heading along y; denser than rays once it stands closer."""
    rng = np.random.default_rng(seed)
    rear = np.stack([x + rng.uniform(-0.9, 0.9, 200), np.full(200, y - 2.0), rng.uniform(-1.7, -0.3, 200)], 1)
    side = np.stack([np.full(100, x - 0.9), y + rng.uniform(-2, 0.5, 100), rng.uniform(-1.7, -0.3, 100)], 1)
    points = np.concatenate([np.concatenate([rear, side]), rng.random((300, 1)), np.zeros((300, 1))], 1)
    box = np.array([x, y, -1, 4.5, 2, 1.6, np.pi / 2, 0, 0], np.float32)
    return Trace(f"token{seed}", "car", box, points.astype(np.float32), 0.5)


TRACES = (rear_of_a_car(0, 8.0, 14.0), rear_of_a_car(1, -6.0, -9.0), rear_of_a_car(2, 0.0, 20.0))


@pytest.fixture(scope="module")
def sweep(attacked_world: tuple[FrameIndex, Labels]) -> Points:
    index, _ = attacked_world
    points = read_points(index.root / index[0].lidar_path)
    raw = np.fromfile(index.root / index[0].lidar_path, np.float32).reshape(-1, 5)
    points[:, 4] = raw[:, 4]  # the loader hands the ring on
    return points


@pytest.mark.parametrize("count", COUNTS)
def test_exactly_so_many_points_in_the_zone_and_none_behind_them(
    attacked_world: tuple[FrameIndex, Labels], sweep: Points, count: int
) -> None:
    own, frame = spoofing_params(counts=[count]), attacked_world[0][0]
    vehicle = SpoofedVehicle(TRACES, EMPTY, own, count, seed=5)
    attack = vehicle.attack(frame.token)
    assert attack is not None
    after = vehicle.sweep(frame, 0.0, sweep.copy())
    added = after[-count:]
    np.testing.assert_array_equal(added[:, :4], attack.points[:, :4])
    kept = after[:-count]
    assert {row.tobytes() for row in kept} <= {row.tobytes() for row in sweep}  # the others are as they came
    assert 0 < len(sweep) - len(kept) <= 3 * count
    assert added[:, 1].min() >= own.near - 1e-5
    assert added[:, 1].max() <= own.far + 1e-5
    azimuth, elevation = directions(added)
    assert np.ptp(azimuth) <= own.window
    real_azimuth, real_elevation = directions(kept)
    beside = np.abs((real_azimuth[:, None] - azimuth + 180) % 360 - 180) >= own.azimuth_step / 2
    beside |= np.abs(real_elevation[:, None] - elevation) >= own.elevation_step / 2
    assert beside.all()
    rays = np.floor(np.stack([azimuth / own.azimuth_step, elevation / own.elevation_step], 1))
    assert len(np.unique(rays, axis=0)) == count  # a ray returns once


def test_ring_is_the_one_at_that_height(sweep: Points) -> None:
    rings = sweep[:, 4].astype(int)
    assert len(np.unique(rings)) > 20
    _, elevation = directions(sweep)
    chosen = np.random.default_rng(0).choice(len(sweep), 50, replace=False)
    copies = sweep[chosen] * np.array([0.9, 0.9, 0.9, 1, 0], np.float32)  # same rays, nearer, without a ring
    after = inject(sweep, copies, spoofing_params())
    assert (after[-50:, 4] == rings[chosen]).all()
    assert np.ptp(elevation[rings == rings[chosen[0]]]) < 1


def test_a_trace_moves_as_a_whole_and_shows_the_same_side() -> None:
    own = spoofing_params()
    for trace in TRACES:
        points, box = place(trace, 0.5, own)
        assert len(points) == len(trace.points)
        before, after = (torch.pdist(torch.from_numpy(cloud[:, :3]).double()) for cloud in (trace.points, points))
        assert torch.allclose(before, after, atol=1e-5)
        np.testing.assert_array_equal(points[:, 2:], trace.points[:, 2:])
        assert abs(points[:, 0].mean()) < 1e-5  # straight ahead
        middle = trace.points[:, :2].mean(0)
        seen, now = (b[6] - np.arctan2(m[1], m[0]) for b, m in ((trace.box, middle), (box, points[:, :2].mean(0))))
        assert np.cos(seen - now) == pytest.approx(1, abs=1e-5)
        offset = np.linalg.norm(trace.points[:, :3] - trace.box[:3], axis=1)
        np.testing.assert_allclose(np.linalg.norm(points[:, :3] - box[:3], axis=1), offset, atol=1e-5)


@pytest.mark.parametrize(("along", "near", "far"), [(0.0, 5.0, 7.5), (1.0, 5.5, 8.0)])
def test_it_goes_from_one_end_of_the_zone_to_the_other(along: float, near: float, far: float) -> None:
    points, _ = place(rear_of_a_car(3, 0.45, 20.0), along, spoofing_params())  # its middle is about straight ahead
    assert points[:, 1].min() == pytest.approx(near, abs=0.1)
    assert points[:, 1].max() == pytest.approx(far, abs=0.1)


def test_what_is_longer_than_the_zone_is_cut() -> None:
    points, _ = place(TRACES[0], 0.7, spoofing_params(near=5.0, far=6.0))
    assert 0 < len(points) < len(TRACES[0].points)
    assert points[:, 1].min() >= 5.0 - 1e-5
    assert points[:, 1].max() <= 6.0 + 1e-5
    assert np.ptp(points[:, 1]) > 0.9


def test_a_function_of_seed_frame_and_count(attacked_world: tuple[FrameIndex, Labels], sweep: Points) -> None:
    frame, own = attacked_world[0][0], spoofing_params()
    first, again, other = (SpoofedVehicle(TRACES, EMPTY, own, 60, seed) for seed in (1, 1, 2))
    sent = pickle.loads(pickle.dumps(first))
    expected = first.sweep(frame, 0.0, sweep.copy())
    for vehicle in (again, sent):
        np.testing.assert_array_equal(vehicle.sweep(frame, 0.0, sweep.copy()), expected)
    assert not np.array_equal(other.sweep(frame, 0.0, sweep.copy()), expected)
    assert not np.array_equal(first.sweep(replace(frame, token="another"), 0.0, sweep.copy()), expected)
    earlier = first.sweep(frame, 0.05, sweep.copy())
    np.testing.assert_array_equal(earlier, sweep)
    fewer, more = first.attack("t"), SpoofedVehicle(TRACES, EMPTY, own, 100, 1).attack("t")
    assert fewer is not None
    assert more is not None
    assert fewer.trace == more.trace
    assert {row.tobytes() for row in fewer.points} <= {row.tobytes() for row in more.points}


def test_a_trace_is_never_filled_up() -> None:
    few = replace(TRACES[0], points=TRACES[0].points[:59])
    with pytest.raises(UserError, match="the largest has 59") as caught:
        SpoofedVehicle([few], EMPTY, spoofing_params(), 60, 0)
    assert "trace_frames" in str(caught.value.remedy)
    on_one_ray = replace(few, points=np.repeat(few.points[:1], 100, 0))
    assert SpoofedVehicle([on_one_ray], EMPTY, spoofing_params(), 60, 0).attack("t") is None


def test_no_vehicle_is_spoofed_into_an_object() -> None:
    everywhere = Objects(np.array([[0, y, -1, 4, 4, 2, 0, 0, 0] for y in range(2, 14, 2)], np.float32))
    assert SpoofedVehicle(TRACES, everywhere, spoofing_params(), 60, 0).attack("t") is None
    box = np.array([0, 8, 0, 4, 2, 1.5, np.pi / 2, 0, 0], np.float32)
    cone = np.array([[0.0, 10.2, 0, 0.3, 0.3, 1, 0, 0, 0], [1.2, 10.1, 0, 0.3, 0.3, 1, 0, 0, 0]], np.float32)
    assert not is_occupied(box, cone, 2.0)
    assert is_occupied(box, cone - np.array([0, 0.3, 0, 0, 0, 0, 0, 0, 0], np.float32), 1.0)  # footprints meet
    assert is_occupied(box, cone[:1] + np.array([1.9, -2.2, 0, 0, 0, 0, 0, 0, 0], np.float32), 2.0)  # near the centre
    assert not is_occupied(box, cone[:0], 2.0)


@pytest.mark.parametrize(
    ("name", "score", "distance", "believed"),
    [
        ("car", 0.3, 2.0, True),  # both borders count
        ("car", np.nextafter(np.float32(0.3), np.float32(0)), 0.0, False),
        ("car", 0.9, np.nextafter(np.float32(2), np.float32(3)), False),
        ("truck", 0.5, 1.9, True),
        ("bus", 0.5, 1.9, True),
        ("trailer", 0.5, 1.9, True),
        ("construction_vehicle", 0.5, 1.9, True),
        ("pedestrian", 0.9, 0.0, False),
        ("motorcycle", 0.9, 0.0, False),
        ("barrier", 0.9, 0.0, False),
    ],
)
def test_success_rule(name: str, score: float, distance: float, believed: bool) -> None:
    target = np.array([0, 6, -1, 4, 2, 1.5, 0, 0, 0], np.float32)
    found = target.copy()
    found[0], found[2] = distance, 5.0  # heights do not count
    boxes = ScoredBoxes(
        found[None], np.array([DETECTION_CLASSES.index(name)]), np.array([score], np.float32)
    )  # fmt: skip
    assert is_spoofed(boxes, target, spoofing_params()) is believed
    assert not is_spoofed(ScoredBoxes(found[:0].reshape(0, 9), np.empty(0, np.int64), np.empty(0, np.float32)),
                          target, spoofing_params())  # fmt: skip


def test_wilson_interval() -> None:
    assert wilson_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson_interval(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson_interval(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson_interval(0, 0) == (None, None)


class Watcher(nn.Module):
    """A detector that knows the attacks; `mode`: it believes what it is shown, anything, or nothing."""

    def __init__(self, attacks: dict[str, Spoofed | None], mode: str) -> None:
        super().__init__()
        self.attacks, self.mode, self.head = attacks, mode, self

    def forward(self, frames: FrameBatch) -> list[Tensor]:
        found = []
        for b, token in enumerate(frames.tokens):
            attack = self.attacks[token]
            cloud = frames.points[frames.offsets[b] : frames.offsets[b + 1], :3]
            shown = attack is not None and bool(
                (cloud[:, None] == torch.from_numpy(attack.points[:, :3])).all(2).any(0).all()
            )
            seen = attack is not None and {"gullible": shown, "paranoid": True, "blind": False}[self.mode]
            found.append(torch.from_numpy(attack.box[None]) if seen and attack is not None else torch.zeros(0, 9))
        return found

    def decode(self, outputs: list[Tensor]) -> list[Detections]:
        return [
            Detections(boxes=boxes, scores=torch.ones(len(boxes)), classes=torch.zeros(len(boxes)).long())
            for boxes in outputs
        ]


def test_rates_of_models_that_believe_all_or_nothing(attacked_world: tuple[FrameIndex, Labels]) -> None:
    index, labels = attacked_world
    own, positions = spoofing_params(), index.split("embedded_val")
    tokens = [index[position].token for position in positions]
    attacker = SpoofedVehicle(TRACES, labels, own, 60, 3)
    attacks = {token: attacker.attack(token) for token in tokens}
    free = sum(attack is not None for attack in attacks.values())
    assert free > 0
    models = {mode: cast(BevModel, Watcher(attacks, mode)) for mode in ("gullible", "paranoid", "blind")}
    clean, spoofed = (
        predict_boxes(
            models, FrameLoader(index, frames_params(sweeps=1), GRID, disturbance=disturbance), positions, 2,
            torch.device("cpu"),
        )
        for disturbance in (None, attacker)
    )  # fmt: skip
    gullible, paranoid, blind = (spoofing_rate(60, attacks, clean[mode], spoofed[mode], own) for mode in models)
    assert (gullible.attacked, gullible.fooled, gullible.false_alarms) == (free, free, 0)
    assert (paranoid.attacked, paranoid.fooled, paranoid.false_alarms) == (0, 0, free)
    assert (blind.attacked, blind.fooled, blind.false_alarms) == (free, 0, 0)
    assert all(rate.left_out == len(tokens) - free for rate in (gullible, paranoid, blind))
    assert gullible.record()["success_rate"] == 1
    assert gullible.record()["control_rate"] == 0
    assert paranoid.record()["success_rate"] is None
    assert paranoid.record()["control_rate"] == 1
