"""One object of a driving scene and how it moves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.roads import Line, along, arc_lengths
from pipeline.simulation.shapes import Mesh, Vector


@dataclass(frozen=True)
class Track:
    """Motion along `line` ([N, 2], map metres) from arc length `start` at `speed` m/s.

    A line of one point stands still with heading `yaw`, radians.
    """

    line: Line
    start: float = 0.0
    speed: float = 0.0
    yaw: float = 0.0

    def poses(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """x, y, yaw at `times` (s), [T, 3]. The heading is the chord's over 2 m, so that corners are rounded off."""
        if len(self.line) == 1:
            return np.tile([*self.line[0], self.yaw], (len(times), 1))
        arc = arc_lengths(self.line)
        s = self.start + self.speed * times
        ahead, behind = along(self.line, arc, np.minimum(s + 1, arc[-1])), along(self.line, arc, np.maximum(s - 1, 0))
        step = ahead - behind
        return np.column_stack([along(self.line, arc, s), np.arctan2(step[:, 1], step[:, 0])])

    @property
    def room(self) -> float:
        """Metres left on the line."""
        return float(arc_lengths(self.line)[-1]) - self.start if len(self.line) > 1 else 0.0


def standing(x: float, y: float, yaw: float) -> Track:
    """A track that stays in place."""
    return Track(np.array([[x, y]], np.float64), yaw=yaw)


@dataclass(frozen=True)
class Actor:
    """An annotated object: `number` is unique in its scene and > 0; `attribute` is a nuScenes attribute or empty."""

    number: int
    name: str  # detection class
    mesh: Mesh
    size: Vector
    track: Track
    attribute: str


class Space:
    """Who is where when: keeps new objects off those already placed, at all probe times."""

    def __init__(self, times: NDArray[np.float64]) -> None:
        self._times = times
        self._centres: list[NDArray[np.float64]] = []
        self._radii: list[NDArray[np.float64]] = []

    def _discs(self, track: Track, size: tuple[float, float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """An object as a row of discs along its length: centres [K, T, 2], radii [K]."""
        long, short = max(size), min(size)
        count = max(int(np.ceil(long / max(short, 0.3))), 1)
        poses = track.poses(self._times)
        turned = poses[:, 2] + (np.pi / 2 if size[1] > size[0] else 0.0)
        offsets = (np.arange(count) - (count - 1) / 2) * (long / count)
        ahead = np.stack([np.cos(turned), np.sin(turned)], axis=-1)
        radius = np.hypot(long / count, short) / 2
        return poses[None, :, :2] + offsets[:, None, None] * ahead[None], np.full(count, radius)

    def place(self, track: Track, size: tuple[float, float], margin: float = 0.2) -> bool:
        """Occupies the space of an object of `size` (length, width) if it is free at all times; tells whether."""
        centres, radii = self._discs(track, size)
        if self._centres:
            others, reach = np.concatenate(self._centres), np.concatenate(self._radii)
            apart = np.linalg.norm(centres[:, None] - others[None], axis=-1)
            if np.any(apart < (radii[:, None] + reach[None] + margin)[..., None]):
                return False
        self._centres.append(centres)
        self._radii.append(radii)
        return True
