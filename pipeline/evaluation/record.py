"""metrics.json: the numbers of every cell of one arm."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pipeline.artifacts.card import dump_json
from pipeline.artifacts.publish import write_file
from pipeline.errors import UserError
from pipeline.params import parse_trial

METRICS = "metrics.json"
SUBMISSION = "submission.json"  # of a detection cell, in the devkit's format
MAPS = "maps.npz"  # of a map cell: `MapPictures` of KEPT_FRAMES frames
KEPT_FRAMES = 8
Item = TypeVar("Item")


def write_metrics(folder: Path, cells: dict[str, dict[str, Any]]) -> None:
    """Writes {"<task>-<fraction>-<seed>": metrics} to `folder`: sorted keys, six significant digits, NaN as null."""
    write_file(folder / METRICS, dump_json(six_digits(cells)))


def read_metrics(folder: Path) -> dict[str, dict[str, Any]]:
    """Reads what `write_metrics` wrote.

    Raises:
        UserError: the file is missing or not of that form.
    """
    path = folder / METRICS
    try:
        cells = json.loads(path.read_bytes())
        if not isinstance(cells, dict) or any(not isinstance(value, dict) for value in cells.values()):
            raise ValueError("it is not {cell: metrics}")
        for cell in cells:
            parse_cell(cell)
    except (OSError, ValueError) as error:
        raise UserError(
            f"the metrics cannot be read: {error}", where=str(path), remedy="run `dvc repro` to evaluate again"
        ) from error
    return cells


def name_cell(task: str, fraction: float, seed: int) -> str:
    """The name of a task, fraction and seed, e.g. detection-0.1-0; also the name of the fine-tuned checkpoint."""
    return f"{task}-{fraction}-{seed}"


def parse_cell(name: str) -> tuple[str, float, int]:
    """(task, fraction, seed) of a name that `name_cell` made."""
    trial, _, seed = name.rpartition("-")
    return *parse_trial(trial), int(seed)


def six_digits(value: Any) -> Any:
    """`value` with every float inside it cut to six significant digits, so that the last bits cannot differ."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: six_digits(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [six_digits(item) for item in value]
    return value


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` of `items`, evenly spread and in order; the first one always is among them."""
    count = min(count, len(items))
    return [items[index * len(items) // count] for index in range(count)]
