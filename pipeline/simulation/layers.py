"""Map layers of a road network (the polygons and lines of the map expansion) and the surface raster made from them."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Point, Polygon
from shapely.ops import unary_union

from pipeline.simulation.materials import Material
from pipeline.simulation.roads import Line, Network, Road

CROSSING_DEPTH = 3.2  # metres along the road
STOP_DEPTH = 1.6  # metres of stopping area; its last 0.45 m next to the crossing are painted
CELL = 0.1  # metres, surface raster


@dataclass(frozen=True)
class CarPark:
    """A lot beside a road: its outline and the slots in it as rows x, y, yaw."""

    outline: Line
    slots: NDArray[np.float64]


@dataclass
class Layers:
    """Geometry of one location in its map frame, metres.

    Attributes:
        drivable: carriageways and car parks, one (multi)polygon; walkway: beside it.
        crossings: (road, outline); stops: (index of its crossing or None, outline).
        road_dividers, lane_dividers: lines; lights: (x, y, heading of the traffic they face).
    """

    drivable: MultiPolygon
    walkway: MultiPolygon
    parks: list[CarPark]
    crossings: list[tuple[str, Line]] = field(default_factory=list)
    stops: list[tuple[int | None, Line]] = field(default_factory=list)
    road_dividers: list[tuple[str, Line]] = field(default_factory=list)
    lane_dividers: list[Line] = field(default_factory=list)
    lights: list[tuple[float, float, float]] = field(default_factory=list)


def make_layers(network: Network, rng: np.random.Generator, walkway_width: float) -> Layers:
    """Derives every layer from the network; `rng` decides on car parks and which mouths have crossings and lights."""
    parks, entries = _car_parks(network, rng, walkway_width)
    surfaces = [Polygon(r.strip(-r.half, r.half, 0, r.length)).buffer(0) for r in network.roads]
    for n, node in enumerate(network.nodes):
        half = max((r.half for r in network.roads if n in (r.start, r.end)), default=0)
        surfaces.append(Point(node).buffer(half))
    # Closing (grow, then shrink) rounds the corners of the intersections with a 5 m radius.
    roads = unary_union(surfaces).buffer(5).buffer(-5).simplify(0.05)
    lots = unary_union([Polygon(p.outline) for p in parks] + entries) if parks else Polygon()
    drivable = _multi(unary_union([roads, lots]))
    walkway = _multi(roads.buffer(walkway_width).difference(drivable).simplify(0.05))
    layers = Layers(drivable, walkway, parks)
    for road in network.roads:
        _mark(road, layers, rng)
    return layers


def _multi(shape: Polygon | MultiPolygon) -> MultiPolygon:
    parts = [shape] if isinstance(shape, Polygon) else list(shape.geoms)
    return MultiPolygon([p for p in parts if p.area > 1.0])


def _car_parks(network: Network, rng: np.random.Generator, walkway: float) -> tuple[list[CarPark], list[Polygon]]:
    parks: list[CarPark] = []
    entries: list[Polygon] = []
    for road in network.roads:
        for side in (-1, 1):
            room = road.length - sum(road.trim) - 16
            if room < 24 or rng.random() > 0.38:
                continue
            long = float(rng.uniform(22, min(room, 40)))
            start = road.trim[0] + 8 + float(rng.uniform(0, room - long))
            low = road.half + walkway
            outline = road.strip(side * low, side * (low + 16), start, start + long)
            lot = Polygon(outline)
            others = [Polygon(r.strip(-r.half - 5, r.half + 5, 0, r.length)) for r in network.roads if r is not road]
            if not lot.is_valid or any(lot.intersects(o) for o in others + [Polygon(p.outline) for p in parks]):
                continue
            gate = start + long / 2
            entries.append(Polygon(road.strip(side * (road.half - 0.5), side * (low + 0.5), gate - 3.5, gate + 3.5)))
            slots = []
            for s in np.arange(start + 1.6, start + long - 1.2, 2.8):
                for depth in (2.8, 13.2):
                    if depth > 5 or abs(s - gate) > 5:
                        x, y = road.at(s, side * (low + depth))[0]
                        slots.append([x, y, float(road.heading(s)[0]) + np.pi / 2])
            parks.append(CarPark(outline, np.array(slots)))
    return parks, entries


def _mark(road: Road, layers: Layers, rng: np.random.Generator) -> None:
    """Crossings, stop lines, traffic lights and dividers of one road."""
    near = []
    for node, inwards in ((road.start, 1), (road.end, -1)):
        mouth = road.mouth(node)
        crossing = None
        edge = mouth
        if rng.random() < 0.8:
            far = mouth + inwards * CROSSING_DEPTH
            crossing = len(layers.crossings)
            layers.crossings.append(
                (road.name, road.strip(-road.half + 0.2, road.half - 0.2, min(mouth, far), max(mouth, far)))
            )
            edge = far + inwards * 0.6
        back = edge + inwards * STOP_DEPTH
        # Traffic towards `node` keeps to the right: negative offsets when it travels along the line.
        reach = road.lanes * road.lane_width
        low, high = (0.1, reach) if inwards > 0 else (-reach, -0.1)
        layers.stops.append((crossing, road.strip(low, high, min(edge, back), max(edge, back))))
        if rng.random() < 0.5:
            outer = (road.half + 0.5) * (1 if inwards > 0 else -1)
            x, y = road.at(edge, outer)[0]
            layers.lights.append((float(x), float(y), float(road.heading(edge)[0]) + (np.pi if inwards > 0 else 0)))
        near.append(back)
    s = np.linspace(min(near), max(near), max(int(abs(near[1] - near[0]) / 3), 2))
    layers.road_dividers.append((road.name, road.at(s, 0.0)))
    for k in range(1, road.lanes):
        for sign in (-1, 1):
            layers.lane_dividers.append(road.at(s, sign * k * road.lane_width))
    if road.parking > 0:
        for sign in (-1, 1):
            layers.lane_dividers.append(road.at(s, sign * road.lanes * road.lane_width))


def rasterise(layers: Layers, extent: tuple[float, float]) -> NDArray[np.uint8]:
    """The surface raster: uint8 `Material` [rows = y, columns = x], cells of `CELL` metres, row 0 at y = 0."""
    raster = np.full((round(extent[1] / CELL), round(extent[0] / CELL)), Material.GRASS, np.uint8)
    _fill(raster, layers.walkway, Material.WALKWAY)
    _fill(raster, layers.drivable, Material.ROAD)
    for park in layers.parks:
        _fill(raster, MultiPolygon([Polygon(park.outline)]), Material.CARPARK)
        for x, y, yaw in park.slots:
            ahead, side = np.array([np.cos(yaw), np.sin(yaw)]), np.array([-np.sin(yaw), np.cos(yaw)])
            middle = np.array([x, y]) + 1.4 * side
            _stroke(raster, np.stack([middle - 2.4 * ahead, middle + 2.4 * ahead]), Material.WHITE_PAINT, 0.12)
    for _, line in layers.road_dividers:
        _stroke(raster, line, Material.YELLOW_PAINT, 0.25)
    for line in layers.lane_dividers:
        for i in range(0, len(line) - 1, 2):
            _stroke(raster, line[i : i + 2], Material.WHITE_PAINT, 0.18)
    for _, outline in layers.crossings:
        _zebra(raster, outline)
    for _, outline in layers.stops:
        _fill(raster, MultiPolygon([Polygon(_painted_edge(outline, layers))]), Material.WHITE_PAINT)
    return raster


def _painted_edge(outline: Line, layers: Layers) -> Line:
    """The part of a stopping area (a strip of four corners) on the side of the intersection."""
    a, b, c, d = outline[0], outline[1], outline[2], outline[3]  # a, d share one arc length; b, c the other
    nodes = np.concatenate([line[[0, -1]] for _, line in layers.road_dividers])
    # Dividers end behind the stopping area, so the edge further from every divider end faces the intersection.
    first = np.linalg.norm(nodes - (a + d) / 2, axis=1).min()
    second = np.linalg.norm(nodes - (b + c) / 2, axis=1).min()
    share = 0.45 / STOP_DEPTH
    if first > second:
        return np.stack([a, a + share * (b - a), d + share * (c - d), d])
    return np.stack([b, b + share * (a - b), c + share * (d - c), c])


def _zebra(raster: NDArray[np.uint8], outline: Line) -> None:
    """Stripes along the road; the outline is a strip whose first half runs along one kerb."""
    half = len(outline) // 2
    near, far = outline[[0, half - 1]], outline[[-1, half]]
    width = float(np.linalg.norm(far[0] - near[0]))
    for start in np.arange(0.3, width - 0.4, 1.0):
        a, b = start / width, (start + 0.5) / width
        corners = [near[0] + a * (far[0] - near[0]), near[1] + a * (far[1] - near[1]),
                   near[1] + b * (far[1] - near[1]), near[0] + b * (far[0] - near[0])]  # fmt: skip
        _fill(raster, MultiPolygon([Polygon(np.stack(corners))]), Material.WHITE_PAINT)


def _cells(line: Line) -> NDArray[np.int32]:
    return np.asarray(np.round(line / CELL - 0.5), np.int32)


def _fill(raster: NDArray[np.uint8], shape: MultiPolygon, value: int) -> None:
    for polygon in shape.geoms:
        # Even-odd filling leaves the holes out.
        rings = [_cells(np.asarray(r.coords)[:, :2]) for r in (polygon.exterior, *polygon.interiors)]
        cv2.fillPoly(raster, rings, (int(value),))


def _stroke(raster: NDArray[np.uint8], line: Line, value: int, width: float) -> None:
    cv2.polylines(raster, [_cells(line)], False, (int(value),), max(round(width / CELL), 1))
