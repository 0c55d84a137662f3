"""LiDAR spoofing: a vehicle that is not there, made of the points of one that was elsewhere.

After Sun et al., USENIX Security 2020: the trace of an occluded vehicle is moved as a whole to a place close before the
car. The attacker answers single rays with pulses of his own, inside a window of azimuth; where he does, the real
return of that ray does not arrive.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Polygon

from pipeline.errors import UserError
from pipeline.evaluation.detection import ScoredBoxes
from pipeline.frames.augmentation import generator
from pipeline.frames.disturbance import Disturbance
from pipeline.frames.frame import Frame
from pipeline.frames.points import Points
from pipeline.frames.reader import LabelSource
from pipeline.geometry.boxes import footprint_corners, transform_boxes
from pipeline.geometry.transforms import rotation_about_z
from pipeline.params.attacks import Spoofing
from pipeline.params.classes import DETECTION_CLASSES
from pipeline.robustness.traces import VEHICLES, Trace


@dataclass(frozen=True)
class Spoofed:
    """The attack on one frame, in its LiDAR frame.

    Attributes:
        points: float32 [count, 5]: x, y, z (m), intensity (0..1), zero.
        box: float32 [9] in `BOX_FIELDS` order, where the trace's vehicle would stand.
        trace: which of the traces it is.
    """

    points: Points
    box: NDArray[np.float32]
    trace: int


class SpoofedVehicle(Disturbance):
    """A `Disturbance` of the key frame's sweep; cameras and earlier sweeps stay as they are."""

    def __init__(self, traces: Sequence[Trace], labels: LabelSource, spoofing: Spoofing, count: int, seed: int) -> None:
        """Every frame gets a trace and a place of its own, the same for every model.

        Args:
            traces: of `collect_traces`.
            labels: boxes of the attacked frames: no vehicle is spoofed where an object stands.
            spoofing: zone, window and rays.
            count: how many points are spoofed, exactly: a trace with fewer rays is never filled up, another one serves.
            seed: of the choice. Attacks of other counts try the same traces at the same places in the same order.

        Raises:
            UserError: no trace has `count` points.
        """
        most = max((len(trace.points) for trace in traces), default=0)
        if most < count:
            raise UserError(
                f"none of the {len(traces)} traces has {count} points, the largest has {most}",
                where="params.yaml: stress.spoofing",
                remedy="search more training frames (trace_frames), ask for less occlusion (occluded) or fewer points",
            )
        self._traces, self._labels, self._spoofing = tuple(traces), labels, spoofing
        self._count, self._seed = count, seed

    def attack(self, token: str) -> Spoofed | None:
        """What is spoofed into the frame of a sample token; None if no trace with enough rays fits beside its objects.

        The first trace that fits, in a drawn order, is taken.
        """
        rng = generator(self._seed, 0, token, "spoofing")
        order, along = rng.permutation(len(self._traces)), rng.random(len(self._traces))
        shuffled = generator(self._seed, 0, token, "spoofing/points")
        objects = self._labels.boxes(token)[0]
        for number in order:
            trace = self._traces[number]
            if len(trace.points) < self._count:
                continue
            points, box = place(trace, along[number], self._spoofing)
            rays = reachable(points, self._spoofing)
            if len(rays) >= self._count and not is_occupied(box, objects, self._spoofing.radius):
                chosen = np.sort(shuffled.permutation(rays)[: self._count])
                return Spoofed(points[chosen], box, int(number))
        return None

    def sweep(self, frame: Frame, lag: float, points: Points) -> Points:
        """The key frame's sweep with the spoofed returns instead of the real ones on their rays."""
        if lag > 0:
            return points
        spoofed = self.attack(frame.token)
        if spoofed is None:
            return points
        return inject(points, spoofed.points, self._spoofing)


def place(trace: Trace, along: float, spoofing: Spoofing) -> tuple[Points, NDArray[np.float32]]:
    """Moves a trace as a whole into the zone before the car.

    It turns about the sensor until the middle of its points is straight ahead, so that it shows the sensor the same
    side, and is shifted along y. Heights stay.

    Args:
        trace: what is moved.
        along: in [0, 1], how far into the zone, from where its nearest point is at `near` to where its farthest one is
            at `far`.
        spoofing: the zone.

    Returns:
        points: float32 [K, 5], those of the trace that are in the zone.
        box: float32 [9], the vehicle's box, moved with them.
    """
    xyz = trace.points[:, :3].astype(np.float64)
    x, y = xyz[:, :2].mean(0)
    moved = rotation_about_z(np.pi / 2 - np.arctan2(y, x))
    ahead = xyz @ moved[1, :3]
    depth = ahead - ahead.min()
    inside = depth <= spoofing.far - spoofing.near
    room = spoofing.far - spoofing.near - depth[inside].max()
    moved[1, 3] = spoofing.near + along * room - ahead.min()
    points = trace.points[inside]
    points[:, :3] = xyz[inside] @ moved[:3, :3].T + moved[:3, 3]
    return points, transform_boxes(moved, trace.box[None])[0]


def reachable(points: Points, spoofing: Spoofing) -> NDArray[np.int64]:
    """The points that one laser can make the sensor see: inside the best window of azimuth, one a ray.

    Args:
        points: [K, >= 3], metres, LiDAR frame; K > 0, all ahead (y > 0).
        spoofing: window and spacing of the rays.

    Returns:
        Ascending rows of `points`. The window is the one with the most rays; of the points of a ray the nearest counts.
    """
    nearest = np.argsort(np.linalg.norm(points[:, :3], axis=1), kind="stable")
    azimuth, elevation = directions(points[nearest])
    cells = np.stack([azimuth / spoofing.azimuth_step, elevation / spoofing.elevation_step], 1)
    _, first = np.unique(np.floor(cells), axis=0, return_index=True)
    rays = first[np.argsort(azimuth[first], kind="stable")]
    # All points are ahead, about 90 degrees: no window crosses the cut of the angle.
    ends = np.searchsorted(azimuth[rays], azimuth[rays] + spoofing.window, side="right")
    start = int((ends - np.arange(len(rays))).argmax())
    return np.sort(nearest[rays[start : ends[start]]])


def inject(real: Points, spoofed: Points, spoofing: Spoofing) -> Points:
    """Real returns but those on the rays of spoofed ones, nearer ones too, then the spoofed ones.

    A real return is on the ray of a spoofed one if it is less than half a ray's spacing away in azimuth and elevation.

    Args:
        real: float32 [N, 5], a sweep as in `Disturbance.sweep`.
        spoofed: float32 [n, 5]; the last column is filled with the ring that is nearest in elevation.
        spoofing: spacing of the rays.

    Returns:
        float32 [M + n, 5].
    """
    azimuth, elevation = directions(real)
    own_azimuth, own_elevation = directions(spoofed)
    apart = np.remainder(azimuth[:, None] - own_azimuth + 180, 360) - 180
    taken = np.abs(apart) < spoofing.azimuth_step / 2
    taken &= np.abs(elevation[:, None] - own_elevation) < spoofing.elevation_step / 2
    added, rings = spoofed.copy(), np.unique(real[:, 4])
    heights = np.array([np.median(elevation[real[:, 4] == ring]) for ring in rings])
    if len(rings):
        added[:, 4] = rings[np.abs(own_elevation[:, None] - heights).argmin(1)]
    return np.concatenate([real[~taken.any(1)], added])


def directions(points: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Azimuth (from x to y) and elevation of every point as seen from the sensor, degrees, float64 [N] each."""
    x, y, z = points[:, :3].astype(np.float64).T
    return np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))


def is_spoofed(found: ScoredBoxes, box: NDArray[np.float32], spoofing: Spoofing) -> bool:
    """The success rule: a box of a vehicle class, of enough score, centred close enough to the spoofed vehicle.

    Args:
        found: a model's boxes.
        box: float32 [9], the spoofed vehicle's.
        spoofing: `score` and `radius`, borders included; distances on the ground plane.
    """
    vehicle = np.isin(found.classes, [DETECTION_CLASSES.index(name) for name in VEHICLES])
    distance = np.linalg.norm(found.boxes[:, :2].astype(np.float64) - box[:2], axis=1)
    sure = found.scores >= np.float32(spoofing.score)
    return bool((vehicle & sure & (distance <= spoofing.radius)).any())


def is_occupied(box: NDArray[np.float32], objects: NDArray[np.float32], radius: float) -> bool:
    """Whether an object is where a vehicle would be spoofed: footprints meet, or centres are within `radius`.

    Args:
        box: float32 [9], the spoofed vehicle's.
        objects: float32 [K, 9], the annotated objects of the frame, of any class.
        radius: metres.
    """
    if (np.linalg.norm(objects[:, :2].astype(np.float64) - box[:2], axis=1) <= radius).any():
        return True
    own, *others = (Polygon(corners) for corners in footprint_corners(np.concatenate([box[None], objects])))
    return any(own.intersects(other) for other in others)
