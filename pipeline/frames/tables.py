"""Reads one nuScenes table, or says which one is missing and where to get it."""

import json
from pathlib import Path
from typing import Any, TypeAlias

from pipeline.errors import UserError

Row: TypeAlias = dict[str, Any]

# Where a person who lacks a file of the dataset gets it.
DOWNLOAD = "download nuScenes from https://www.nuscenes.org/nuscenes#download and unpack every archive into the root"


def read_table(root: Path, version: str, name: str) -> list[Row]:
    """The rows of `<root>/<version>/<name>.json`.

    Args:
        root: the dataset root, which holds samples/, sweeps/, maps/ and the table directory.
        version: name of the table directory, e.g. v1.0-trainval.
        name: table name without suffix, e.g. sample_data.

    Raises:
        UserError: the root, the table directory or the table is missing, or the table is no JSON list of rows.
    """
    if not root.is_dir():
        raise UserError(
            "the dataset root does not exist",
            where=f"dataset.root = {root}",
            remedy=f"run `calico configure dataset.root=PATH`, or {DOWNLOAD}",
        )
    tables = root / version
    if not tables.is_dir():
        present = sorted(path.parent.name for path in root.glob("*/sample.json"))
        raise UserError(
            "the table directory does not exist",
            where=f"{tables} (dataset.version = {version})",
            remedy=f"set dataset.version to one of {', '.join(present)}" if present else DOWNLOAD,
        )
    path = tables / f"{name}.json"
    if not path.is_file():
        raise UserError(f"the table {name} is missing", where=str(path), remedy=DOWNLOAD)
    try:
        rows = json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(
            f"the table {name} is not valid JSON ({error})", where=str(path), remedy=f"it is damaged: {DOWNLOAD}"
        ) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"the table {name} is not a list of rows", where=str(path), remedy=f"replace it: {DOWNLOAD}")
    return rows


def by_token(rows: list[Row]) -> dict[str, Row]:
    """The same rows, looked up by their `token`."""
    return {row["token"]: row for row in rows}
