"""A random road network: curved roads between jittered grid nodes, their lanes, and the ways across intersections."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Line = NDArray[np.float64]  # [N, 2], metres


@dataclass(frozen=True)
class Road:
    """One road from node `start` to node `end`; offsets are positive to the left of that direction.

    Attributes:
        line: centre line between the nodes, about 2 m a step.
        lanes: lanes a direction.
        lane_width: metres.
        parking: width of the parking strip on each side, metres (0 = none).
        trim: metres cut off at the two ends by the intersections.
    """

    name: str
    start: int
    end: int
    line: Line
    lanes: int
    lane_width: float
    parking: float
    trim: tuple[float, float]

    @property
    def half(self) -> float:
        """From centre line to kerb, metres."""
        return self.lanes * self.lane_width + self.parking

    @cached_property
    def arc(self) -> NDArray[np.float64]:
        """Arc length of every point of `line`, [N]."""
        return arc_lengths(self.line)

    @property
    def length(self) -> float:
        """Node to node, metres."""
        return float(self.arc[-1])

    def at(self, s: NDArray[np.float64] | float, offset: float) -> Line:
        """Points at arc length `s` and sideways `offset`, [N, 2]."""
        s = np.atleast_1d(np.asarray(s, np.float64))
        point = along(self.line, self.arc, s)
        heading = self.heading(s)
        return np.asarray(point + offset * np.stack([-np.sin(heading), np.cos(heading)], axis=-1))

    def heading(self, s: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Direction of travel at arc length `s`, radians, [N]."""
        s = np.atleast_1d(np.asarray(s, np.float64))
        step = along(self.line, self.arc, np.minimum(s + 1, self.length)) - along(
            self.line, self.arc, np.maximum(s - 1, 0)
        )
        return np.arctan2(step[:, 1], step[:, 0])

    def strip(self, low: float, high: float, start: float, end: float) -> Line:
        """The outline between two offsets and two arc lengths, a polygon [M, 2]."""
        s = np.linspace(start, end, max(int((end - start) / 3), 1) + 1)
        return np.concatenate([self.at(s, low), self.at(s, high)[::-1]])

    def mouth(self, node: int) -> float:
        """Arc length at which the intersection at `node` begins."""
        return self.trim[0] if node == self.start else self.length - self.trim[1]


@dataclass(frozen=True)
class Lane:
    """A lane or, with `turn`, a way across an intersection. `line` runs in the direction of travel."""

    name: str
    road: str
    line: Line
    width: float
    source: int  # node it comes from
    target: int  # node it leads to
    index: int  # 0 = next to the centre line
    following: tuple[str, ...] = ()


@dataclass(frozen=True)
class Network:
    """Roads, lanes and connectors of one location, metres in its map frame."""

    nodes: Line
    roads: tuple[Road, ...]
    lanes: dict[str, Lane]
    connectors: dict[str, Lane]
    extent: tuple[float, float]

    def route(self, lane: Lane, rng: np.random.Generator, length: float) -> Line:
        """A drive that starts at the beginning of `lane` and goes on for at least `length` metres if roads allow."""
        line, current = lane.line, lane
        while arc_lengths(line)[-1] < length and current.following:
            current = {**self.lanes, **self.connectors}[current.following[int(rng.integers(len(current.following)))]]
            line = np.concatenate([line, current.line[1:]])
        return line


def arc_lengths(line: Line) -> NDArray[np.float64]:
    """Distance travelled at every point of `line`, [N], metres."""
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def along(line: Line, arc: NDArray[np.float64], s: NDArray[np.float64]) -> Line:
    """Points of `line` at arc lengths `s`, [N, 2]."""
    return np.stack([np.interp(s, arc, line[:, 0]), np.interp(s, arc, line[:, 1])], axis=-1)


def bezier(p0: Line, p1: Line, p2: Line, p3: Line, step: float = 2.0) -> Line:
    """A cubic Bezier curve as points about `step` metres apart."""
    count = max(int(np.linalg.norm(p3 - p0) / step), 4)
    t = np.linspace(0, 1, count + 1)[:, None]
    return np.asarray((1 - t) ** 3 * p0 + 3 * (1 - t) ** 2 * t * p1 + 3 * (1 - t) * t**2 * p2 + t**3 * p3)


def make_network(rng: np.random.Generator, columns: int, rows: int, spacing: float, margin: float) -> Network:
    """Draws a network.

    Args:
        rng: the only source of randomness.
        columns, rows: nodes of the grid.
        spacing: metres between nodes before the jitter.
        margin: metres kept free around the outermost nodes.
    """
    grid = np.array([[c * spacing, r * spacing] for r in range(rows) for c in range(columns)], np.float64)
    nodes = grid + margin + rng.uniform(-0.13, 0.13, grid.shape) * spacing
    pairs = [(i, i + 1) for i in range(len(nodes)) if i % columns < columns - 1]
    pairs += [(i, i + columns) for i in range(len(nodes) - columns)]
    # A missing edge inside the grid makes T-junctions; the rim stays whole so that every lane leads on.
    inner = [p for p in pairs if not _on_rim(p, columns, rows)]
    dropped = {inner[i] for i in rng.permutation(len(inner))[: len(inner) // 4]}
    width = float(rng.uniform(3.2, 3.6))
    drafts: list[tuple[int, int, Line, int, float]] = []
    for pair in pairs:
        bend, lanes, parking = rng.normal(0, 0.10, 2), 1 + int(rng.random() < 0.35), 2.4 * float(rng.random() < 0.6)
        if pair not in dropped:
            a, b = nodes[pair[0]], nodes[pair[1]]
            way = b - a
            side = np.array([-way[1], way[0]])
            line = bezier(a, a + way / 3 + bend[0] * side, b - way / 3 + bend[1] * side, b)
            drafts.append((*pair, line, lanes, parking))
    trims = {n: _trims(n, drafts, width) for n in range(len(nodes))}
    roads = tuple(
        Road(f"road{i}", a, b, line, lanes, width, parking, (trims[a][i], trims[b][i]))
        for i, (a, b, line, lanes, parking) in enumerate(drafts)
    )
    lanes_by_name = {lane.name: lane for road in roads for lane in _lanes(road)}
    connectors = {c.name: c for c in _connectors(lanes_by_name)}
    following: dict[str, tuple[str, ...]] = {}
    for connector in connectors.values():
        incoming = connector.name.split(">")[0]
        following[incoming] = (*following.get(incoming, ()), connector.name)
    linked = {n: Lane(**{**lane.__dict__, "following": following.get(n, ())}) for n, lane in lanes_by_name.items()}
    extent = (float(grid[:, 0].max() + 2 * margin), float(grid[:, 1].max() + 2 * margin))
    return Network(nodes, roads, linked, connectors, extent)


def _on_rim(pair: tuple[int, int], columns: int, rows: int) -> bool:
    cells = [divmod(i, columns) for i in pair]
    return any(all(c[0] == r for c in cells) for r in (0, rows - 1)) or any(
        all(c[1] == k for c in cells) for k in (0, columns - 1)
    )


def _trims(node: int, drafts: list[tuple[int, int, Line, int, float]], width: float) -> dict[int, float]:
    """Where each road's intersection area begins: beyond the corner it makes with either neighbour."""
    arms: list[tuple[float, float, int]] = []
    for i, (a, b, line, lanes, parking) in enumerate(drafts):
        if node in (a, b):
            way = line[4] - line[0] if node == a else line[-5] - line[-1]
            arms.append((float(np.arctan2(way[1], way[0])), lanes * width + parking, i))
    arms.sort()
    trims: dict[int, float] = {}
    for k, (angle, half, i) in enumerate(arms):
        need = half + 3.0
        for other in (arms[k - 1], arms[(k + 1) % len(arms)]):
            between = abs((other[0] - angle + np.pi) % (2 * np.pi) - np.pi)
            if 0.2 < between < 2.9:
                need = max(need, (half + other[1]) / 2 / np.tan(between / 2) + 4.0)
        trims[i] = float(np.clip(need, half + 3, 26))
    return trims


def _lanes(road: Road) -> list[Lane]:
    s = np.linspace(road.trim[0], road.length - road.trim[1], 24)
    lanes = []
    for k in range(road.lanes):
        offset = (k + 0.5) * road.lane_width
        lanes.append(Lane(f"{road.name}f{k}", road.name, road.at(s, -offset), road.lane_width, road.start, road.end, k))
        lanes.append(
            Lane(f"{road.name}b{k}", road.name, road.at(s, offset)[::-1], road.lane_width, road.end, road.start, k)
        )
    return lanes


def _connectors(lanes: dict[str, Lane]) -> list[Lane]:
    result = []
    for come in lanes.values():
        for leave in lanes.values():
            if come.target != leave.source or come.road == leave.road:
                continue
            ahead, away = come.line[-1] - come.line[-2], leave.line[1] - leave.line[0]
            ahead, away = ahead / np.linalg.norm(ahead), away / np.linalg.norm(away)
            turn = float(np.arctan2(ahead[0] * away[1] - ahead[1] * away[0], ahead @ away))
            outermost = max(other.index for other in lanes.values() if other.road == leave.road)
            # Straight on keeps the lane as far as it goes on; a right turn ends in the outer lane, a left one inside.
            wanted = min(come.index, outermost) if abs(turn) < 0.6 else (outermost if turn < 0 else 0)
            if leave.index == wanted:
                reach = 0.4 * float(np.linalg.norm(leave.line[0] - come.line[-1]))
                line = bezier(come.line[-1], come.line[-1] + ahead * reach, leave.line[0] - away * reach, leave.line[0])
                result.append(
                    Lane(f"{come.name}>{leave.name}", "", line, come.width, come.target, come.target, come.index,
                         (leave.name,))
                )  # fmt: skip
    return result
