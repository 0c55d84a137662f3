"""Fills one driving scene: traffic, parked vehicles, people, cycles, a building site, and clutter."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.actors import Actor, Space, Track, standing
from pipeline.simulation.casting import Thing
from pipeline.simulation.location import Location, near
from pipeline.simulation.materials import Material
from pipeline.simulation.objects import make_object
from pipeline.simulation.props import CLUTTER
from pipeline.simulation.roads import Lane, arc_lengths

Rng = np.random.Generator
REACH = 62.0  # metres around the ego within which objects are put

# Class of a moving, stopped or parked vehicle: cars are common, trailers and building machines rare, as recorded.
_TRAFFIC = {"car": 0.80, "truck": 0.12, "bus": 0.08}
_PARKED = {"car": 0.84, "truck": 0.11, "trailer": 0.05}
EGO_SIZE = (4.9, 2.0)


@dataclass
class Scene:
    """What stands and moves in one driving scene, map coordinates."""

    ego: Track
    actors: list[Actor]
    clutter: list[Thing]  # meshes in local coordinates around `centre`
    centre: NDArray[np.float64]


class _Filler:
    """The state of filling one scene."""

    def __init__(self, location: Location, ego: Track, times: NDArray[np.float64], rng: Rng) -> None:
        self.location, self.rng, self.times = location, rng, times
        self.space = Space(np.linspace(times[0], times[-1], 6))
        self.path = ego.poses(times)
        self.centre = self.path[len(self.path) // 2, :2]
        self.actors: list[Actor] = []
        self.space.place(ego, EGO_SIZE, 0.5)

    def add(self, name: str, track: Track, attribute: str, rider: bool = False, margin: float = 0.25) -> bool:
        mesh = make_object(name, self.rng, rider)
        size = mesh.size
        if np.hypot(*(track.poses(self.times[:1])[0, :2] - self.centre)) > REACH + 15:
            return False
        if not self.space.place(track, size[:2], margin):
            return False
        self.actors.append(Actor(len(self.actors) + 1, name, mesh, size, track, attribute))
        return True

    def repeat(self, count: int, attempt: Callable[[], bool]) -> None:
        """Calls `attempt` until it worked `count` times or failed too often."""
        tries = 0
        while count > 0 and tries < 200:
            count -= int(attempt())
            tries += 1

    def near_ego(self, spread: float) -> NDArray[np.float64]:
        """A random point, denser towards the ego's way, [2]."""
        start = self.path[int(self.rng.integers(len(self.path))), :2]
        angle, reach = self.rng.uniform(0, 2 * np.pi), spread * np.sqrt(self.rng.random())
        return np.asarray(start + reach * np.array([np.cos(angle), np.sin(angle)]))

    def surface(self, point: NDArray[np.float64]) -> int:
        return int(self.location.terrain.surface(point[None])[0])


def fill(location: Location, ego: Track, times: NDArray[np.float64], rng: Rng, complete: bool) -> Scene:
    """Draws the population of a scene.

    Args:
        location: where.
        ego: the own car's track.
        times: seconds of all sweeps.
        rng: the only source of randomness.
        complete: put at least one of every class near the ego (a split's first scene).
    """
    filler = _Filler(location, ego, times, rng)
    for prop in near(location, filler.centre, REACH):
        if prop.kind != "building":
            filler.space.place(standing(prop.x, prop.y, 0.0), (0.5, 0.5), 0.0)
    lanes = [lane for lane in location.network.lanes.values() if _distance(lane, filler.centre) < REACH]
    _site(filler, lanes, bool(complete or rng.random() < 0.75))
    for name, share in (("bus", 0.9), ("trailer", 0.9), ("truck", 1.2)):
        filler.repeat(max(int(rng.poisson(share)), int(complete)), partial(_roadside, filler, lanes, name, 25.0))
        if complete and all(actor.name != name for actor in filler.actors):  # no kerb that close was free
            filler.repeat(1, partial(_roadside, filler, lanes, name, 45.0))
    filler.repeat(int(rng.integers(4, 9)), lambda: _drive(filler, lanes))
    filler.repeat(int(rng.integers(0, 4)), lambda: _queue(filler, lanes))
    filler.repeat(int(rng.integers(5, 11)), lambda: _roadside(filler, lanes, _draw(_PARKED, rng), 45.0))
    _car_parks(filler)
    for name, share in (("bicycle", 2.4), ("motorcycle", 1.8)):
        filler.repeat(int(rng.poisson(share)) + int(complete), partial(_ride, filler, lanes, name))
        filler.repeat(int(rng.poisson(1.2)), partial(_left_behind, filler, name))
    filler.repeat(int(rng.integers(5, 13)), lambda: _walk(filler))
    filler.repeat(int(rng.integers(0, 4)), lambda: _cross(filler))
    filler.repeat(int(rng.poisson(1.5)), lambda: _stray(filler, "traffic_cone"))
    clutter = _clutter(filler)
    return Scene(ego, filler.actors, clutter, filler.centre)


def _draw(shares: dict[str, float], rng: Rng) -> str:
    return str(rng.choice(list(shares), p=list(shares.values())))


def _distance(lane: Lane, point: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(lane.line - point, axis=1).min())


def _pick(filler: _Filler, lanes: list[Lane]) -> Lane:
    return lanes[int(filler.rng.integers(len(lanes)))]


def _drive(filler: _Filler, lanes: list[Lane]) -> bool:
    rng, lane = filler.rng, _pick(filler, lanes)
    line = filler.location.network.route(lane, rng, 220)
    # Sweeps before the first key frame have negative times, so the start leaves room behind.
    track = Track(line, float(rng.uniform(8, arc_lengths(lane.line)[-1])), float(rng.uniform(2.5, 11.5)))
    return track.room > 40 and filler.add(_draw(_TRAFFIC, rng), track, "vehicle.moving", margin=0.5)


def _queue(filler: _Filler, lanes: list[Lane]) -> bool:
    """A vehicle that waits at the end of its lane, or behind another one."""
    rng, lane = filler.rng, _pick(filler, lanes)
    end = float(arc_lengths(lane.line)[-1]) - 9.0 - 7.5 * float(rng.integers(0, 3))
    if end < 5:
        return False
    x, y, yaw = Track(lane.line, end).poses(np.zeros(1))[0]
    return filler.add(_draw(_TRAFFIC, rng), standing(x, y, yaw), "vehicle.stopped", margin=0.4)


def _roadside(filler: _Filler, lanes: list[Lane], name: str, spread: float) -> bool:
    """A vehicle at the right-hand kerb; a bus among them is one at its stop."""
    rng, lane = filler.rng, _pick(filler, lanes)
    road = next(r for r in filler.location.network.roads if r.name == lane.road)
    forward = lane.source == road.start
    s = float(rng.uniform(road.trim[0] + 10, max(road.length - road.trim[1] - 10, road.trim[0] + 11)))
    offset = road.half - (1.35 if name in ("truck", "bus", "trailer") else 1.08)
    x, y = road.at(s, -offset if forward else offset)[0]
    if np.hypot(x - filler.centre[0], y - filler.centre[1]) > spread:
        return False
    yaw = float(road.heading(s)[0]) + (0 if forward else np.pi) + float(rng.normal(0, 0.02))
    attribute = "vehicle.stopped" if name == "bus" else "vehicle.parked"
    return filler.add(name, standing(float(x), float(y), yaw), attribute)


def _car_parks(filler: _Filler) -> None:
    rng = filler.rng
    for park in filler.location.layers.parks:
        if np.linalg.norm(park.outline - filler.centre, axis=1).min() > 45:
            continue
        for x, y, yaw in park.slots:
            if rng.random() < 0.45:
                turn = np.pi * float(rng.integers(2)) + float(rng.normal(0, 0.03))
                filler.add("car", standing(x, y, yaw + turn), "vehicle.parked", margin=0.05)


def _ride(filler: _Filler, lanes: list[Lane], name: str) -> bool:
    rng, lane = filler.rng, _pick(filler, lanes)
    line = filler.location.network.route(lane, rng, 150)
    if name == "bicycle":
        step = np.gradient(line, axis=0)
        right = np.stack([step[:, 1], -step[:, 0]], axis=-1) / np.linalg.norm(step, axis=1, keepdims=True)
        line = line + right * (lane.width / 2 - 0.5)
    speed = float(rng.uniform(2.0, 5.5) if name == "bicycle" else rng.uniform(3, 10))
    track = Track(line, float(rng.uniform(6, arc_lengths(lane.line)[-1])), speed)
    if np.hypot(*(track.poses(np.zeros(1))[0, :2] - filler.centre)) > 38 or track.room < 25:
        return False
    return filler.add(name, track, "cycle.with_rider", rider=True)


def _left_behind(filler: _Filler, name: str) -> bool:
    point = filler.near_ego(32)
    if filler.surface(point) != Material.WALKWAY:
        return False
    yaw = float(filler.rng.uniform(0, 2 * np.pi))
    return filler.add(name, standing(point[0], point[1], yaw), "cycle.without_rider", margin=0.1)


def _walk(filler: _Filler) -> bool:
    """A person or a small group on the pavement, walking along it or standing."""
    rng, point = filler.rng, filler.near_ego(36)
    if filler.surface(point) != Material.WALKWAY:
        return False
    angle = float(rng.uniform(0, 2 * np.pi))
    speed = float(rng.uniform(0.7, 1.7)) if rng.random() < 0.7 else 0.0
    way = np.array([np.cos(angle), np.sin(angle)])
    if speed > 0 and any(filler.surface(point + d * way) != Material.WALKWAY for d in (-1.5, 1.5, 3.0)):
        return False
    placed = False
    for _ in range(1 + int(rng.random() < 0.3) * int(rng.integers(1, 4))):
        start = point + rng.normal(0, 0.7, 2) * placed
        if speed > 0:
            track = Track(np.stack([start - 20 * way, start + 20 * way]), 20.0, speed)
        else:
            track = standing(start[0], start[1], angle)
        attribute = "pedestrian.moving" if speed > 0 else "pedestrian.standing"
        placed = filler.add("pedestrian", track, attribute, margin=0.05) or placed
    return placed


def _cross(filler: _Filler) -> bool:
    """A person on a crossing, walking from kerb to kerb."""
    rng, crossings = filler.rng, filler.location.layers.crossings
    close = [o for _, o in crossings if np.linalg.norm(o.mean(axis=0) - filler.centre) < 40]
    if not close:
        return False
    outline = close[int(rng.integers(len(close)))]
    half = len(outline) // 2
    near_kerb, far_kerb = outline[:half].mean(axis=0), outline[half:].mean(axis=0)
    if rng.random() < 0.5:
        near_kerb, far_kerb = far_kerb, near_kerb
    track = Track(
        np.stack([near_kerb, far_kerb]) + rng.uniform(-1, 1, 2),
        float(rng.uniform(1.0, 5.0)), float(rng.uniform(0.9, 1.6)),
    )  # fmt: skip
    return track.room > 3 and filler.add("pedestrian", track, "pedestrian.moving", margin=0.05)


def _stray(filler: _Filler, name: str) -> bool:
    point = filler.near_ego(30)
    if filler.surface(point) == Material.GRASS:
        return False
    return filler.add(name, standing(point[0], point[1], 0.0), "", margin=0.3)


def _site(filler: _Filler, lanes: list[Lane], machine: bool) -> None:
    """A building site along a kerb: barriers towards the traffic, cones at its ends, a machine and workers inside."""
    rng = filler.rng
    close = [lane for lane in lanes if _distance(lane, filler.centre) < 22]
    roads = {r.name: r for r in filler.location.network.roads}
    for _ in range(12):
        lane = _pick(filler, close or lanes)
        road = roads[lane.road]
        side = -1 if lane.source == road.start else 1
        depth = min(3.6, road.half - 0.6)
        spots = np.linspace(road.trim[0] + 4, road.length - road.trim[1] - 4, 40)
        away = np.linalg.norm(road.at(spots, side * road.half) - filler.centre, axis=1)
        options = spots[away < 26]
        if len(options) == 0:
            continue
        middle = float(options[int(rng.integers(len(options)))])
        heading = float(road.heading(middle)[0])
        x, y = road.at(middle, side * (road.half - depth / 2 + 1.0))[0]
        if machine and not filler.add(
            "construction_vehicle", standing(x, y, heading + float(rng.normal(0, 0.4))),
            str(rng.choice(["vehicle.stopped", "vehicle.parked"])), margin=0.1,
        ):  # fmt: skip
            continue
        count, before = int(rng.integers(3, 8)), len(filler.actors)
        for i in range(count):
            s = middle + (i - (count - 1) / 2) * 2.6
            x, y = road.at(s, side * (road.half - depth))[0]
            turn = float(road.heading(s)[0]) + np.pi / 2 + float(rng.normal(0, 0.06))
            filler.add("barrier", standing(x, y, turn), "", margin=0.0)
        for end in (-1, 1):
            for k in range(int(rng.integers(2, 5))):
                s = middle + end * (count * 1.3 + 1.0 + 1.3 * k)
                x, y = road.at(s, side * (road.half - depth * (1 - 0.22 * k)))[0]
                filler.add("traffic_cone", standing(x, y, 0.0), "", margin=0.0)
        for _ in range(int(rng.integers(0, 3))):
            x, y = road.at(middle + float(rng.uniform(-5, 5)), side * (road.half - depth * float(rng.random())))[0]
            filler.add("pedestrian", standing(x, y, float(rng.uniform(0, 6))), "pedestrian.standing", margin=0.05)
        if len(filler.actors) > before:
            return


def _clutter(filler: _Filler) -> list[Thing]:
    """Things that look like objects but are none, on pavements and verges."""
    rng, terrain = filler.rng, filler.location.terrain
    kinds, shares = list(CLUTTER), np.array([entry[2] for entry in CLUTTER.values()])
    things: list[Thing] = []
    houses = [p for p in near(filler.location, filler.centre, REACH) if p.kind == "building"]
    for _ in range(150):
        if len(things) >= 34:
            break
        point = filler.near_ego(40)
        surface = filler.surface(point)
        if surface not in (Material.WALKWAY, Material.GRASS) or (surface == Material.GRASS and rng.random() < 0.6):
            continue
        if any(np.hypot(p.x - point[0], p.y - point[1]) < p.radius * 0.8 for p in houses):
            continue
        builder, semantic, _ = CLUTTER[kinds[int(rng.choice(len(kinds), p=shares))]]
        mesh, yaw = builder(rng), float(rng.uniform(0, 2 * np.pi))
        length, width, _ = mesh.size
        around = np.arange(8) * np.pi / 4
        corners = point + 0.5 * np.hypot(length, width) * np.stack([np.cos(around), np.sin(around)], axis=-1)
        if any(filler.surface(c) not in (Material.WALKWAY, Material.GRASS) for c in corners):
            continue
        if filler.space.place(standing(point[0], point[1], yaw), (length, width), 0.1):
            floor = float(terrain.floor(point[None])[0])
            local = point - filler.centre
            things.append(Thing(mesh.placed(local[0], local[1], floor - 0.02, yaw), 0, semantic))
    return things
