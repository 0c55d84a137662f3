"""Builds the embedded world: all driving scenes, the tables that join them, and the maps."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pipeline.engine import run_units
from pipeline.errors import UserError
from pipeline.params import Runtime, Simulate
from pipeline.simulation.drive import Recording, record_scene, scene_location, scene_name
from pipeline.simulation.location import LOCATIONS, make_location
from pipeline.simulation.map_expansion import base_mask, map_expansion
from pipeline.simulation.rig import make_cameras
from pipeline.simulation.schema import TABLES, Row, static_tables, token

# The devkit keeps the names `train` and `val` for its own scenes, so its evaluation takes these.
CUSTOM_SPLITS = {"train": "embedded_train", "val": "embedded_val"}


def build_world(params: Simulate, version: str, out: Path, runtime: Runtime) -> None:
    """Writes a nuScenes v1.0 data set; the same `params` give the same bytes, however many workers.

    Besides the 13 tables: `<version>/splits.json`, `<version>/panoptic.json`, and `<version>/checksums.json` with the
    SHA-256 of every sensor, panoptic and map file, so that the table directory alone identifies the data.

    Args:
        params: sizes, noise and seed.
        version: name of the table directory.
        out: an existing, empty directory; becomes the root of the data set. Nothing is written elsewhere.
        runtime: workers; one driving scene is one unit of work.

    Raises:
        UserError: a number of `params` is out of range.
    """
    _check(params)
    total = params.train_scenes + params.val_scenes
    # The first scene of each split holds every class, so that no class is missing from the validation.
    units = [(params, version, out, i, i in (0, params.train_scenes)) for i in range(total)]
    recordings: list[Recording] = run_units(record_scene, units, title="simulate", runtime=runtime)
    locations = [name for name in LOCATIONS if name in {scene_location(i) for i in range(total)}]
    checksums = {path: digest for r in recordings for path, digest in r.checksums.items()}
    for name in locations:
        location = make_location(params.seed, name)
        files = {
            f"maps/{token('map', name)}.png": base_mask(location),
            f"maps/expansion/{name}.json": _json(map_expansion(location)),
        }
        for path, data in files.items():
            _write(out / path, data)
            checksums[path] = hashlib.sha256(data).hexdigest()
    tables = static_tables(params.lidar, make_cameras(params.image_width, params.image_height), locations)
    for table in (*TABLES, "panoptic"):
        if table not in tables:
            rows: list[Row] = [row for r in recordings for row in r.rows.get(table, [])]
            tables[table] = rows
        _write(out / version / f"{table}.json", _json(tables[table]))
    names = [scene_name(i) for i in range(total)]
    splits = {"train": names[: params.train_scenes], "val": names[params.train_scenes :]}
    splits.update({CUSTOM_SPLITS[k]: v for k, v in list(splits.items())})
    _write(out / version / "splits.json", _json(splits))
    _write(out / version / "checksums.json", _json(dict(sorted(checksums.items()))))


def _check(params: Simulate) -> None:
    low = {
        "train_scenes": 1, "val_scenes": 1, "keyframes_per_scene": 1, "azimuth_steps": 8, "max_range": 5,
        "image_width": 16, "image_height": 16, "jpeg_quality": 1, "range_noise": 0, "dropout": 0,
    }  # fmt: skip
    high = {"dropout": 1, "jpeg_quality": 100}
    for key, least in low.items():
        value = getattr(params, key)
        if value < least or value > high.get(key, value):
            limit = f"at least {least}" + (f" and at most {high[key]}" if key in high else "")
            raise UserError(f"{value} is out of range", where=f"params.yaml: simulate.{key}", remedy=f"use {limit}")


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
