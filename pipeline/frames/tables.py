"""Reads nuScenes tables in bounded memory, or says which one is missing or broken and where to get it."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import UserError

Row: TypeAlias = dict[str, Any]

# Where a person who lacks a file of the dataset gets it.
DOWNLOAD = "download nuScenes from https://www.nuscenes.org/nuscenes#download and unpack every archive into the root"

PIECE = 1 << 18  # bytes of text that are parsed at once; with larger pieces memory comes and goes, which costs time
_TAIL = 1 << 13  # bytes at the end of a piece in which the border of two rows is looked for first
_BORDER = re.compile(rb"\}\s*,(?=\s*\{)")


def find_table(root: Path, version: str, name: str) -> Path:
    """The file of a table.

    Args:
        root: the dataset root, which holds samples/, sweeps/, maps/ and the table directory.
        version: name of the table directory, e.g. v1.0-trainval.
        name: table name without suffix, e.g. sample_data.

    Raises:
        UserError: the root, the table directory or the table is missing.
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
    return path


def read_table(root: Path, version: str, name: str, *columns: str) -> list[Row]:
    """All rows of `<root>/<version>/<name>.json`, for tables that are small.

    Args:
        columns: what every row must hold.

    Raises:
        UserError: as `find_table`; or the table is no JSON list of rows, or a row lacks one of `columns`.
    """
    path = find_table(root, version, name)
    rows = [row for piece in _pieces(path) for row in piece]
    for row in rows:
        if not all(column in row for column in columns):
            raise _lacking(path, next(column for column in columns if column not in row))
    return rows


def read_columns(
    root: Path, version: str, name: str, schema: pa.Schema, keep: Callable[[Row], bool] | None = None
) -> pa.Table:
    """Some columns of a table that may hold millions of rows; the text is never in memory as a whole.

    Args:
        schema: the columns and their types.
        keep: whether a row is wanted; all are without it.

    Returns:
        One chunk a column, rows in the order of the table.

    Raises:
        UserError: as `read_table`; or a value has another type.
    """
    path = find_table(root, version, name)
    batches = []
    for rows in _pieces(path):
        try:
            wanted = rows if keep is None else [row for row in rows if keep(row)]
            batch = pa.RecordBatch.from_pylist(wanted, schema)
        except KeyError as error:
            raise _lacking(path, str(error.args[0])) from None
        except (pa.ArrowException, OverflowError) as error:
            raise UserError(
                f"a row of the table {name} holds a value of the wrong type ({error})",
                where=str(path),
                remedy=f"the table is damaged: {DOWNLOAD}",
            ) from None
        for column, field in zip(batch.columns, schema, strict=True):
            if column.null_count:
                raise _lacking(path, field.name)
        batches.append(batch)
    return pa.Table.from_batches(batches, schema).combine_chunks()


def by_token(rows: list[Row]) -> dict[str, Row]:
    """The same rows, looked up by their `token`."""
    return {row["token"]: row for row in rows}


def find_rows(tokens: pa.ChunkedArray, among: pa.ChunkedArray) -> NDArray[np.int64]:
    """Where each of `tokens` stands in `among`, int64; -1 where it does not."""
    places = pc.index_in(tokens, value_set=among.combine_chunks())
    return np.asarray(pc.fill_null(places, -1).to_numpy(), np.int64)


def numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    """A column of numbers [N] or of lists of K numbers [N, K]; a missing number in a list becomes NaN."""
    array = column.combine_chunks()
    if not pa.types.is_fixed_size_list(array.type):
        return np.asarray(array.to_numpy(zero_copy_only=False))
    return np.asarray(array.flatten().to_numpy(zero_copy_only=False)).reshape(-1, array.type.list_size)


def _pieces(path: Path) -> Iterator[list[Row]]:
    """The rows of a table, some megabytes of text at a time."""
    rest, opening = b"", b""
    with path.open("rb") as file:
        while text := file.read(PIECE):
            rest += text
            border = _last_border(rest)
            if border is None:
                continue
            try:
                rows = _parse(opening + rest[: border + 1] + b"]")
            except ValueError:
                continue  # the border lay inside a text, or the table is damaged: the end of the file will tell
            yield _rows(path, rows)
            rest, opening = rest[rest.index(b",", border) + 1 :], b"["
    try:
        rows = _parse(opening + rest)
    except ValueError as error:
        raise UserError(
            f"the table {path.stem} is not valid JSON ({error})", where=str(path), remedy=f"it is damaged: {DOWNLOAD}"
        ) from error
    yield _rows(path, rows)


def _parse(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        return json.loads(text)  # slow; knows the NaN that Python's own writer puts into tables


def _last_border(text: bytes) -> int | None:
    """Where the last row ends that another one follows: the position of its closing brace."""
    borders = list(_BORDER.finditer(text, max(0, len(text) - _TAIL))) or list(_BORDER.finditer(text))
    return borders[-1].start() if borders else None


def _rows(path: Path, rows: Any) -> list[Row]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(
            f"the table {path.stem} is not a list of rows", where=str(path), remedy=f"replace it: {DOWNLOAD}"
        )
    return rows


def _lacking(path: Path, column: str) -> UserError:
    return UserError(
        f"a row of the table {path.stem} lacks {column!r}",
        where=str(path),
        remedy=f"the table is damaged: {DOWNLOAD}",
    )
