"""Draws the map expansion: one bit-mask raster per location, once for the whole dataset."""

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import shapely
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from pipeline.errors import UserError
from pipeline.frames.index import MAPS, FrameIndex
from pipeline.frames.maps import CHUNK, MAP_CLASSES
from pipeline.frames.tables import DOWNLOAD, Row

DIVIDER_LAYERS = ("road_divider", "lane_divider")
# The devkit draws lines 3 pixels wide (thickness 2 in OpenCV) and the field uses half-metre pixels.
DIVIDER_WIDTH = 1.5  # metres
MARGIN = 100.0  # metres around the ego poses that are drawn
_SUBPIXEL_BITS = 8


def build_maps(root: Path, resolution: float, index: FrameIndex, out: Path) -> bool:
    """Draws the map around every ego pose.

    Args:
        root: dataset root; the map expansion lies in `<root>/maps/expansion`.
        resolution: metres a raster cell.
        index: the frames whose surroundings are drawn.
        out: the index directory; holds `maps.zarr` afterwards.

    Returns:
        False where the dataset has no map expansion; then nothing is written.

    Raises:
        UserError: the map of one location is missing or broken while others exist.
    """
    folder = root / "maps" / "expansion"
    if not any(folder.glob("*.json")):
        print(f"maps: no map expansion in {folder}; the map task is switched off")
        return False
    centres: dict[str, list[NDArray[np.float64]]] = {}
    for position in range(len(index)):
        frame = index[position]
        centres.setdefault(frame.location, []).append(frame.global_from_ego[:2, 3])
    group = zarr.open_group(out / MAPS, mode="w")
    for location, positions in sorted(centres.items()):
        layers = _read_layers(folder / f"{location}.json")
        _draw_location(group, location, layers, np.array(positions), resolution)
    return True


def _read_layers(path: Path) -> list[list[shapely.Polygon]]:
    """Per class the polygons to fill, global metres."""
    try:
        table = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError("the map of a location is missing", where=str(path), remedy=DOWNLOAD) from None
    except ValueError as error:
        raise UserError(f"the map is not valid JSON ({error})", where=str(path), remedy=DOWNLOAD) from error
    try:
        return _layers(table)
    except (KeyError, TypeError) as error:
        raise UserError(
            f"the map expansion lacks {error}",
            where=str(path),
            remedy="get map expansion version 1.3 from https://www.nuscenes.org/nuscenes#download",
        ) from error


def _layers(table: dict[str, list[Row]]) -> list[list[shapely.Polygon]]:
    nodes = {row["token"]: (row["x"], row["y"]) for row in table["node"]}
    polygons = {row["token"]: row for row in table["polygon"]}
    lines = {row["token"]: row for row in table["line"]}

    def polygon(token: str) -> shapely.Polygon:
        row = polygons[token]
        holes = [[nodes[n] for n in hole["node_tokens"]] for hole in row["holes"] if hole["node_tokens"]]
        return shapely.Polygon([nodes[n] for n in row["exterior_node_tokens"]], holes)

    drivable = [polygon(token) for row in table["drivable_area"] for token in row["polygon_tokens"]]
    plain = [
        # The devkit leaves out invalid polygons of these layers as well.
        [shape for row in table[name] if (shape := polygon(row["polygon_token"])).is_valid]
        for name in MAP_CLASSES[1:-1]
    ]
    paths = [
        [nodes[n] for n in lines[row["line_token"]]["node_tokens"]] for name in DIVIDER_LAYERS for row in table[name]
    ]
    strips = shapely.buffer(
        [shapely.LineString(path) for path in paths if len(path) > 1], DIVIDER_WIDTH / 2, quad_segs=2
    )
    return [drivable, *plain, [part for strip in strips for part in shapely.get_parts(strip)]]


def _draw_location(
    group: zarr.Group, name: str, layers: list[list[shapely.Polygon]], positions: NDArray[np.float64], resolution: float
) -> None:
    """One array: rows along global y, columns along global x; cell (0, 0) has its lower left corner at `origin`."""
    origin = np.floor((positions.min(0) - MARGIN) / resolution) * resolution
    columns, rows = (int(n) for n in np.ceil((positions.max(0) + MARGIN - origin) / resolution))
    array = group.create_array(
        name, shape=(rows, columns), chunks=(CHUNK, CHUNK), dtype="uint8", fill_value=0,
        compressors=ZstdCodec(level=3),
        attributes={"origin": origin.tolist(), "resolution": resolution, "classes": list(MAP_CLASSES)},
    )  # fmt: skip
    bounds = [shapely.bounds(layer).reshape(-1, 4) for layer in layers]
    for row, column in _chunks_near(positions, origin, resolution, (rows, columns)):
        top, left = row * CHUNK, column * CHUNK
        shape = (min(CHUNK, rows - top), min(CHUNK, columns - left))
        corner = origin + np.array([left, top]) * resolution
        opposite = corner + np.array([shape[1], shape[0]]) * resolution
        block = np.zeros(shape, np.uint8)
        for bit, (layer, box) in enumerate(zip(layers, bounds, strict=True)):
            inside = (box[:, :2] <= opposite).all(1) & (box[:, 2:] >= corner).all(1)
            _fill(block, [layer[k] for k in np.flatnonzero(inside)], 1 << bit, corner, resolution)
        if block.any():
            array[top : top + shape[0], left : left + shape[1]] = block


def _chunks_near(
    positions: NDArray[np.float64], origin: NDArray[np.float64], resolution: float, shape: tuple[int, int]
) -> Iterator[tuple[int, int]]:
    """Chunks within `MARGIN` of an ego pose."""
    side = CHUNK * resolution
    for row in range(-(-shape[0] // CHUNK)):
        for column in range(-(-shape[1] // CHUNK)):
            corner = origin + np.array([column, row]) * side
            outside = np.maximum(0.0, np.maximum(corner - positions, positions - corner - side))
            if (np.hypot(outside[:, 0], outside[:, 1]) <= MARGIN).any():
                yield row, column


def _fill(
    block: NDArray[np.uint8], shapes: list[shapely.Polygon], bit: int, corner: NDArray[np.float64], resolution: float
) -> None:
    if not shapes:
        return
    mask = np.zeros_like(block)
    for shape in shapes:
        rings = [
            # OpenCV's pixel k is centred on k: our cell k spans [k, k + 1) * resolution.
            np.rint((((np.asarray(ring.coords)[:, :2] - corner) / resolution) - 0.5) * (1 << _SUBPIXEL_BITS)).astype(
                np.int32
            )
            for ring in (shape.exterior, *shape.interiors)
        ]
        # All rings of one polygon at once: the even-odd rule leaves its holes open and erases no neighbour.
        cv2.fillPoly(mask, rings, (bit,), shift=_SUBPIXEL_BITS)
    block |= mask
