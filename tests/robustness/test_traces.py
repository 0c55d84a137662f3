"""Traces are of vehicles that something hides in part, and of nothing else."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.frames.points import read_points
from pipeline.geometry.boxes import points_in_box
from pipeline.robustness.traces import VEHICLES, Trace, collect_traces, occluded_share
from tests.robustness.attack_cases import spoofing_params

CAR = np.array([0, 10, 0, 4, 2, 1.6, np.pi / 2, 0, 0], np.float32)  # tail towards the sensor, its rear face at y = 8


def returns(x: float, y: float, z: float = 0.0, count: int = 1) -> NDArray[np.float32]:
    return np.tile(np.array([[x, y, z, 0.5, 0]], np.float32), (count, 1))


@pytest.mark.parametrize(
    ("points", "share"),
    [
        (returns(0, 8.1, count=3), 0.0),  # all rays hit
        (returns(0, 5, count=3), 1.0),  # all were stopped
        (np.concatenate([returns(0, 8.1, count=3), returns(0.3, 5)]), 0.25),
        (np.concatenate([returns(0, 8.1), returns(0, 30, count=9)]), 0.0),  # what passed through tells nothing
        (np.concatenate([returns(0, 8.1), returns(3, 5, count=9)]), 0.0),  # beside the car
        (np.concatenate([returns(0, 8.1), returns(0, -5, count=9)]), 0.0),  # behind the sensor
        (np.concatenate([returns(0, 8.1), returns(0, 6, -0.59, count=9)]), 0.0),  # under it, on the road
    ],
)
def test_share_of_stopped_rays_by_hand(points: NDArray[np.float32], share: float) -> None:
    assert occluded_share(points, CAR) == pytest.approx(share)


def test_a_turned_box_is_turned() -> None:
    across = CAR.copy()
    across[6] = 0.0  # 4 m along x
    points = np.concatenate([returns(0, 9.5), returns(0.9, 5)])  # the second ray passes y = 9 at x = 1.6
    assert occluded_share(points, CAR) == 0.0  # ... which a car pointing away does not reach
    assert occluded_share(points, across) == 0.5


def test_traces_of_the_world(attacked_world: tuple[FrameIndex, Labels]) -> None:
    index, labels = attacked_world
    positions = index.split("embedded_train")
    own = spoofing_params(occluded=0.05, counts=[20, 60])
    traces = collect_traces(index, labels, positions, own)
    assert traces
    by_token = {index[position].token: position for position in positions}
    for trace in traces:
        points = read_points(index.root / index[by_token[trace.token]].lidar_path)
        assert trace.name in VEHICLES
        assert len(trace.points) >= 20
        assert trace.occluded == occluded_share(points, trace.box) >= 0.05
        np.testing.assert_array_equal(trace.points, points[points_in_box(points, trace.box)])
    stricter = collect_traces(index, labels, positions, spoofing_params(occluded=0.3, counts=[20]))
    assert ids(stricter) == [key for key, trace in zip(ids(traces), traces, strict=True) if trace.occluded >= 0.3]
    one = collect_traces(index, labels, positions, spoofing_params(occluded=0.05, counts=[20, 60], trace_frames=1))
    assert {trace.token for trace in one} <= {index[positions[0]].token}


def ids(traces: tuple[Trace, ...]) -> list[tuple[str, bytes]]:
    return [(trace.token, trace.box.tobytes()) for trace in traces]
