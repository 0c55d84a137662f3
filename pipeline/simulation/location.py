"""The four places of the world, each with its own network, hills, paint and permanent scenery."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Polygon, box
from shapely.strtree import STRtree

from pipeline.simulation import props
from pipeline.simulation.layers import Layers, make_layers, rasterise
from pipeline.simulation.materials import SEMANTIC_MANMADE, SEMANTIC_VEGETATION
from pipeline.simulation.roads import Network, Road, make_network
from pipeline.simulation.shapes import Mesh
from pipeline.simulation.terrain import Terrain, make_waves

# The embedded places borrow the names of nuScenes' own: the unmodified devkit opens map expansions of no other name.
LOCATIONS = ("boston-seaport", "singapore-hollandvillage", "singapore-onenorth", "singapore-queenstown")

# nodes in x, nodes in y, spacing (m), steepness, pavement width (m), share of built-up frontage, metres between trees
_CHARACTER: dict[str, tuple[int, int, float, float, float, float, float]] = {
    "boston-seaport": (4, 3, 105.0, 0.015, 3.6, 0.85, 17.0),
    "singapore-hollandvillage": (4, 3, 90.0, 0.045, 2.4, 0.60, 9.0),
    "singapore-onenorth": (3, 3, 115.0, 0.030, 3.0, 0.70, 13.0),
    "singapore-queenstown": (4, 3, 98.0, 0.035, 2.8, 0.50, 11.0),
}


@dataclass(frozen=True)
class Prop:
    """A permanent thing: what, where, and the seed its mesh is drawn from; `length`, `width` for buildings only."""

    kind: str
    x: float
    y: float
    yaw: float
    seed: int
    semantic: int
    radius: float
    length: float = 0.0
    width: float = 0.0

    def mesh(self) -> Mesh:
        """Standing on z = 0 about its own origin."""
        rng = np.random.default_rng(self.seed)
        if self.kind == "building":
            return props.building(rng, self.length, self.width)
        return {"tree": props.tree, "lamp": props.lamp, "sign": props.sign, "traffic_light": props.traffic_light}[
            self.kind
        ](rng)


@dataclass(frozen=True)
class Location:
    """One place, metres in its map frame."""

    name: str
    network: Network
    layers: Layers
    terrain: Terrain
    scenery: tuple[Prop, ...]


@lru_cache(maxsize=len(LOCATIONS))
def make_location(seed: int, name: str) -> Location:
    """Draws location `name`; a pure function of its arguments."""
    rng = np.random.default_rng([seed, LOCATIONS.index(name), 1])
    columns, rows, spacing, steepness, walkway, built, trees = _CHARACTER[name]
    network = make_network(rng, columns, rows, spacing, margin=92.0)
    layers = make_layers(network, rng, walkway)
    terrain = Terrain(rasterise(layers, network.extent), make_waves(rng, steepness))
    scenery = [
        *_buildings(network, layers, rng, walkway, built),
        *_street_furniture(network, layers, rng, walkway, trees),
    ]
    return Location(name, network, layers, terrain, tuple(scenery))


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _buildings(network: Network, layers: Layers, rng: np.random.Generator, walkway: float, built: float) -> list[Prop]:
    """Houses along both sides of every road, clear of streets, car parks and each other."""
    paved = STRtree([*layers.drivable.geoms, *layers.walkway.geoms])
    placed: list[Polygon] = []
    result = []
    for road in network.roads:
        for side in (-1, 1):
            s = 4.0
            while s < road.length - 10:
                length, width = float(rng.uniform(9, 24)), float(rng.uniform(7, 15))
                gap, setback = float(rng.uniform(0.5, 7)), float(rng.uniform(0.4, 6))
                if rng.random() < built:
                    middle = s + length / 2
                    x, y = road.at(middle, side * (road.half + walkway + setback + width / 2))[0]
                    yaw = float(road.heading(middle)[0])
                    outline = _rectangle(float(x), float(y), yaw, length, width)
                    free = not any(outline.intersects(paved.geometries[i]) for i in paved.query(outline))
                    if free and not any(outline.intersects(p) for p in placed):
                        placed.append(outline)
                        radius = float(np.hypot(length, width) / 2)
                        result.append(
                            Prop(
                                "building", float(x), float(y), yaw, _seed(rng), SEMANTIC_MANMADE, radius, length, width
                            )
                        )
                s += length + gap
    return result


def _rectangle(x: float, y: float, yaw: float, length: float, width: float) -> Polygon:
    ahead = np.array([np.cos(yaw), np.sin(yaw)]) * length / 2
    side = np.array([-np.sin(yaw), np.cos(yaw)]) * width / 2
    centre = np.array([x, y])
    return Polygon([centre + ahead + side, centre - ahead + side, centre - ahead - side, centre + ahead - side])


def _street_furniture(
    network: Network, layers: Layers, rng: np.random.Generator, walkway: float, trees: float
) -> list[Prop]:
    drivable = layers.drivable.buffer(0.3)
    result = []

    def add(kind: str, road: Road, s: float, offset: float, yaw: float, semantic: int) -> None:
        x, y = road.at(s, offset)[0]
        if not drivable.intersects(box(x - 0.2, y - 0.2, x + 0.2, y + 0.2)):
            result.append(Prop(kind, float(x), float(y), yaw, _seed(rng), semantic, 0.5))

    for road in network.roads:
        for side in (-1, 1):
            for s in np.arange(12.0, road.length - 12, 26.0):
                towards = float(road.heading(s)[0]) - side * np.pi / 2
                add("lamp", road, float(s), side * (road.half + 0.5), towards, SEMANTIC_MANMADE)
            for s in np.arange(8.0, road.length - 8, trees):
                at = float(s + rng.uniform(-2, 2))
                offset = road.half + (walkway - 0.5 if rng.random() < 0.6 else walkway + float(rng.uniform(0.5, 6)))
                add("tree", road, at, side * offset, 0.0, SEMANTIC_VEGETATION)
            for s in rng.uniform(10, road.length - 10, 2):
                facing = float(road.heading(s)[0]) + (0 if side < 0 else np.pi)
                add("sign", road, float(s), side * (road.half + 0.4), facing, SEMANTIC_MANMADE)
    for x, y, yaw in layers.lights:
        result.append(Prop("traffic_light", x, y, yaw, _seed(rng), SEMANTIC_MANMADE, 0.4))
    return result


def near(location: Location, centre: NDArray[np.float64], reach: float) -> list[Prop]:
    """Scenery within `reach` metres of `centre` [2]."""
    return [p for p in location.scenery if np.hypot(p.x - centre[0], p.y - centre[1]) - p.radius < reach]
