"""A location as a nuScenes map expansion (version 1.3) and as the base mask of the map table."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from shapely.geometry import MultiPoint, Polygon

from pipeline.simulation.location import Location
from pipeline.simulation.materials import Material
from pipeline.simulation.roads import Lane, Line
from pipeline.simulation.schema import Row, rounded, token

_LAYERS = (
    "polygon", "line", "node", "drivable_area", "road_segment", "road_block", "lane", "ped_crossing", "walkway",
    "stop_line", "carpark_area", "road_divider", "lane_divider", "traffic_light", "lane_connector",
)  # fmt: skip


class _Writer:
    """Collects records; tokens count up within a location."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: dict[str, list[Row]] = {layer: [] for layer in _LAYERS}

    def add(self, layer: str, **fields: Any) -> str:
        name = token("map", self.name, layer, len(self.rows[layer]))
        self.rows[layer].append({"token": name, **fields})
        return name

    def nodes(self, line: Line) -> list[str]:
        return [self.add("node", x=round(float(x), 4), y=round(float(y), 4)) for x, y in line[:, :2]]

    def line(self, line: Line) -> str:
        return self.add("line", node_tokens=self.nodes(line))

    def polygon(self, outline: Line, holes: list[Line] | None = None) -> str:
        rings = [{"node_tokens": self.nodes(h)} for h in holes or []]
        return self.add("polygon", exterior_node_tokens=self.nodes(outline), holes=rings)

    def shape(self, polygon: Polygon) -> str:
        holes = [np.asarray(ring.coords)[:-1] for ring in polygon.interiors]
        return self.polygon(np.asarray(polygon.exterior.coords)[:-1], holes)


def _ribbon(lane: Lane) -> Line:
    step = np.gradient(lane.line, axis=0)
    left = np.stack([-step[:, 1], step[:, 0]], axis=-1) / np.linalg.norm(step, axis=1, keepdims=True)
    half = lane.width / 2
    return np.concatenate([lane.line - half * left, (lane.line + half * left)[::-1]])


def _arcs(lane: Lane) -> list[Row]:
    """The centre line as a chain of straight arc-line paths."""
    step = np.diff(lane.line, axis=0)
    heading, length = np.arctan2(step[:, 1], step[:, 0]), np.linalg.norm(step, axis=1)
    return [
        {
            "start_pose": rounded([*lane.line[i], heading[i]]),
            "end_pose": rounded([*lane.line[i + 1], heading[i]]),
            "shape": "LSR",
            "radius": 999.999,
            "segment_length": rounded([0.0, length[i], 0.0]),
        }
        for i in range(len(step))
        if length[i] > 1e-6
    ]


def map_expansion(location: Location) -> dict[str, Any]:
    """Every layer that `NuScenesMap` reads, as its JSON object."""
    network, layers = location.network, location.layers
    w = _Writer(location.name)
    drivable = w.add("drivable_area", polygon_tokens=[w.shape(p) for p in layers.drivable.geoms])
    for polygon in layers.walkway.geoms:
        w.add("walkway", polygon_token=w.shape(polygon))
    segments: dict[str, str] = {}
    blocks: dict[tuple[str, int], str] = {}
    for road in network.roads:
        start, end = road.trim[0], road.length - road.trim[1]
        segments[road.name] = w.add(
            "road_segment",
            polygon_token=w.polygon(road.strip(-road.half, road.half, start, end)),
            is_intersection=False,
            drivable_area_token=drivable,
        )
        for side in (-1, 1):
            low, high = sorted((0.0, side * road.half))
            edges = [w.line(np.concatenate([road.at(s, low), road.at(s, high)])) for s in (start, end)]
            blocks[road.name, side] = w.add(
                "road_block",
                polygon_token=w.polygon(road.strip(low, high, start, end)),
                from_edge_line_token=edges[0 if side < 0 else 1],
                to_edge_line_token=edges[1 if side < 0 else 0],
                road_segment_token=segments[road.name],
            )
    for node in range(len(network.nodes)):
        corners = [
            road.at(road.mouth(node), offset)
            for road in network.roads
            if node in (road.start, road.end)
            for offset in (-road.half, road.half)
        ]
        hull = MultiPoint(np.concatenate(corners)).convex_hull
        w.add("road_segment", polygon_token=w.shape(hull), is_intersection=True, drivable_area_token=drivable)
    crossings = [
        w.add("ped_crossing", polygon_token=w.polygon(outline), road_segment_token=segments[road])
        for road, outline in layers.crossings
    ]
    for crossing, outline in layers.stops:
        w.add(
            "stop_line",
            polygon_token=w.polygon(outline),
            stop_line_type="YIELD" if crossing is None else "PED_CROSSING",
            ped_crossing_tokens=[] if crossing is None else [crossings[crossing]],
            traffic_light_tokens=[],
            road_block_token="",
        )
    for park in layers.parks:
        w.add("carpark_area", polygon_token=w.polygon(park.outline), orientation=0.0, road_block_token="")
    for road_name, line in layers.road_dividers:
        w.add("road_divider", line_token=w.line(line), road_segment_token=segments[road_name])
    for line in layers.lane_dividers:
        name = w.line(line)
        parts = [{"node_token": n, "segment_type": "SINGLE_DASHED_WHITE"} for n in w.rows["line"][-1]["node_tokens"]]
        w.add("lane_divider", line_token=name, lane_divider_segments=parts)
    for x, y, yaw in layers.lights:
        across = np.array([-np.sin(yaw), np.cos(yaw)]) * 0.3
        w.add(
            "traffic_light",
            line_token=w.line(np.stack([np.array([x, y]) - across, np.array([x, y]) + across])),
            traffic_light_type="VERTICAL",
            from_road_block_token="",
            items=[],
            pose={"tx": round(x, 4), "ty": round(y, 4), "tz": 0.0, "rx": 0.0, "ry": 0.0, "rz": round(yaw, 6)},
        )
    return {
        **_lanes(location, w),
        **w.rows,
        "version": "1.3",
        "canvas_edge": [network.extent[0], network.extent[1]],
    }


def _lanes(location: Location, w: _Writer) -> dict[str, Any]:
    """Writes lanes and connectors; returns their arc-line paths and connectivity."""
    network = location.network
    names: dict[str, str] = {}
    for lane in network.lanes.values():
        ribbon = _ribbon(lane)
        half = len(ribbon) // 2
        names[lane.name] = w.add(
            "lane",
            polygon_token=w.polygon(ribbon),
            lane_type="CAR",
            from_edge_line_token=w.line(ribbon[[0, -1]]),
            to_edge_line_token=w.line(ribbon[[half - 1, half]]),
            left_lane_divider_segments=[],
            right_lane_divider_segments=[],
        )
    for lane in network.connectors.values():
        names[lane.name] = w.add("lane_connector", polygon_token=w.polygon(_ribbon(lane)))
    everything = {**network.lanes, **network.connectors}
    incoming: dict[str, list[str]] = {name: [] for name in everything}
    for lane in everything.values():
        for after in lane.following:
            incoming[after].append(names[lane.name])
    return {
        "arcline_path_3": {names[lane.name]: _arcs(lane) for lane in everything.values()},
        "connectivity": {
            names[lane.name]: {"incoming": incoming[lane.name], "outgoing": [names[n] for n in lane.following]}
            for lane in everything.values()
        },
    }


def base_mask(location: Location) -> bytes:
    """PNG at 0.1 m a pixel, 255 on carriageway and pavement, row 0 at the largest y: what `MapMask` reads."""
    raster: NDArray[np.uint8] = location.terrain.raster
    mask = np.where(raster[::-1] == Material.GRASS, 0, 255).astype(np.uint8)
    return bytes(cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 2])[1].tobytes())
