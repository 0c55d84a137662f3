"""Traces: the LiDAR points of partly hidden vehicles, cut out of the training frames.

Sun et al. (Towards Robust LiDAR-based Perception in Autonomous Driving, USENIX Security 2020) found that detectors take
the few points of an occluded vehicle for a vehicle wherever they lie, also where nothing occludes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.frames.index import FrameIndex
from pipeline.frames.points import Points, read_points
from pipeline.frames.reader import LabelSource
from pipeline.geometry.boxes import points_in_box
from pipeline.params.attacks import Spoofing
from pipeline.params.classes import DETECTION_CLASSES

VEHICLES = ("car", "truck", "bus", "trailer", "construction_vehicle")
CLEARANCE = 0.3  # metres above a box's floor: a ray below it met the road, not what hides the vehicle


@dataclass(frozen=True)
class Trace:
    """What a LiDAR saw of one vehicle.

    Attributes:
        token: sample token of its frame.
        name: detection class.
        box: float32 [9] in `BOX_FIELDS` order, LiDAR frame.
        points: float32 [K, 5]: x, y, z (m, LiDAR frame), intensity (0..1), zero.
        occluded: share of the rays to the vehicle that something before it stopped.
    """

    token: str
    name: str
    box: NDArray[np.float32]
    points: Points
    occluded: float


def collect_traces(
    index: FrameIndex, labels: LabelSource, positions: Sequence[int], spoofing: Spoofing
) -> tuple[Trace, ...]:
    """Every trace of the searched frames that may serve an attack.

    A vehicle gives a trace if it has as many points as the smallest attack wants, at least the share `occluded` of its
    rays is stopped before it, and its centre lies no farther behind its nearest point than the zone is long: of a
    longer one only an end would fit, metres from where a detector would see its centre.

    Args:
        index: the frames.
        labels: their boxes.
        positions: frames of the training split; see `searched_frames`.
        spoofing: what a trace has to fulfil.

    Returns:
        Traces in the order of the frames; perhaps none.
    """
    traces = []
    for position in searched_frames(positions, spoofing):
        frame = index[position]
        points = read_points(index.root / frame.lidar_path)
        for box, label in zip(*labels.boxes(frame.token)[:2], strict=True):
            name = DETECTION_CLASSES[label]
            if name not in VEHICLES:
                continue
            own = points[points_in_box(points, box)]
            if len(own) < min(spoofing.counts, default=1):
                continue
            share = occluded_share(points, box)
            if share >= spoofing.occluded and _centre_depth(own, box) <= spoofing.far - spoofing.near:
                traces.append(Trace(frame.token, name, box, own, share))
    return tuple(traces)


def searched_frames(positions: Sequence[int], spoofing: Spoofing) -> list[int]:
    """The frames of a training split that are searched for traces: `trace_frames` of them, evenly spread."""
    count = min(spoofing.trace_frames, len(positions))
    return [positions[place] for place in np.linspace(0, len(positions) - 1, count).round().astype(int)]


def occluded_share(points: Points, box: NDArray[np.float32]) -> float:
    """Of the rays that would have hit a box, the share that something before it stopped.

    Each return stands for the ray from the sensor to it and on. A ray that enters the box beyond its return was
    stopped; one whose return lies inside hit; one that passed through (a corner, a window) tells nothing.

    Args:
        points: [N, >= 3], metres, a whole sweep in its sensor's frame.
        box: [9] of the same frame; its lowest 0.3 m are left out for the rays that were stopped.

    Returns:
        In [0, 1]; 0 for a box that no ray would have hit.
    """
    xyz = points[:, :3].astype(np.float64)
    cos, sin = np.cos(float(box[6])), np.sin(float(box[6]))
    box_from_lidar = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    floor = np.array([0, 0, CLEARANCE])
    centre, half = box[:3] + floor / 2, np.maximum(box[3:6] - floor, 0) / 2
    sensor, rays = -box_from_lidar @ centre, xyz @ box_from_lidar.T
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = (-half - sensor) / rays, (half - sensor) / rays  # in multiples of the return's distance
    enter, leave = np.minimum(first, second).max(1), np.maximum(first, second).min(1)
    stopped = np.count_nonzero((enter < leave) & (enter > 1))
    hit = np.count_nonzero(points_in_box(points, box))
    return stopped / max(stopped + hit, 1)


def _centre_depth(points: Points, box: NDArray[np.float32]) -> float:
    """How far the box's centre lies behind the nearest of its points, metres along the way to the points' middle."""
    ahead = points[:, :2].mean(0)
    ahead = ahead / np.linalg.norm(ahead)
    return float(box[:2] @ ahead - (points[:, :2] @ ahead).min())
