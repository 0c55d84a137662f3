"""Sensitivity of regions to their params: every combination of some values, measured on the same frames."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import yaml

from pipeline.errors import UserError
from pipeline.evaluation.region_cells import compare_cells
from pipeline.evaluation.region_quality import Quality
from pipeline.evaluation.region_scores import headline, metrics
from pipeline.evaluation.region_truth import Case
from pipeline.params import Regions, Runtime
from pipeline.strict_yaml import build_model

PREFIX = "regions."
Axes = dict[str, list[Any]]  # key below `regions` -> values, as YAML has them


@dataclass(frozen=True)
class Row:
    """One cell of the grid: where it lies, and the numbers of `pipeline.evaluation.region_scores.headline` and more."""

    place: dict[str, Any]
    numbers: dict[str, float | None]


def parse_axes(words: Sequence[str]) -> Axes:
    """The axes that words like `eps=0.5,0.75` or `regions.ground=plane_fit,none` name.

    Raises:
        UserError: a word is no assignment, or a key is given twice.
    """
    axes: Axes = {}
    for word in words:
        key, equals, text = word.partition("=")
        key = key.removeprefix(PREFIX)
        if not equals or not key or not all(part.strip() for part in text.split(",")):
            raise UserError(f"{word!r} names no values", where="command line", remedy="write key=value,value,…")
        if key in axes:
            raise UserError(f"{key} is given twice", where="command line", remedy="list its values once: key=1,2")
        try:
            axes[key] = list(dict.fromkeys(yaml.safe_load(part) for part in text.split(",")))
        except (yaml.YAMLError, TypeError):
            raise UserError(f"{text!r} are no values", where="command line", remedy="write key=value,value,…") from None
    if not axes:
        raise UserError("the grid has no axis", where="command line", remedy="name values, e.g. eps=0.5,0.75 dims=2,3")
    return axes


def build_cells(base: Regions, axes: Axes) -> list[tuple[dict[str, Any], Regions]]:
    """The product of the axes in their order, the last one fastest: (values, params) of every cell.

    Raises:
        UserError: the strict loader refuses a key or a value.
    """
    cells = []
    for values in itertools.product(*axes.values()):
        place = dict(zip(axes, values, strict=True))
        content: dict[str, Any] = asdict(base)
        for key, value in place.items():
            _set(content, key, value)
        cells.append((place, build_model(Regions, content, "command line: regions")))
    return cells


def run_grid(base: Regions, axes: Axes, cases: Sequence[Case], runtime: Runtime) -> list[Row]:
    """Measures every cell; frames and their truth are read once for all cells.

    Raises:
        UserError: a cell is refused, or a frame or its truth cannot be read.
    """
    cells = build_cells(base, axes)
    qualities = compare_cells([params for _, params in cells], cases, runtime, title=f"{len(cells)} cells")
    return [Row(place, numbers_of(quality)) for (place, _), quality in zip(cells, qualities, strict=True)]


def numbers_of(quality: Quality) -> dict[str, float | None]:
    """The numbers of a cell: the headline and what regions do to objects."""
    numbers, segmentation = headline(quality), metrics(quality)["segmentation"]
    return numbers | {name: segmentation[name] for name in ("over_segmentation", "under_segmentation")}


def collect_experiments(entries: Sequence[Mapping[str, Any]], axes: Axes) -> tuple[Axes, list[Row], int]:
    """The grid that DVC experiments make.

    Args:
        entries: of `dvc.api.exp_show`: a flat mapping of params and metrics per experiment, the newest first; others
            are left out.
        axes: experiments with other values than these are left out; where empty, the axes are all values of `regions`
            that differ between the experiments.

    Returns:
        axes, one row a place (of several experiments at one place the newest) and the number of experiments without
        metrics: queued, running or failed.

    Raises:
        UserError: there is no experiment with metrics, none that differs from another, or none with values of `axes`.
    """
    named = [entry for entry in entries if entry.get("Experiment")]
    done = [entry for entry in named if _metric(entry, "headline.frames") is not None]
    if not done:
        raise UserError(
            f"none of {len(named)} DVC experiments has metrics of region_quality",
            where="dvc exp show",
            remedy="queue some: `dvc exp run --queue -S 'regions.eps=0.5,0.75' region_quality`, then `dvc queue start`",
        )
    # Metrics of region_quality have names below `regions` too, so the params are asked for by their own names.
    found = {field.name: _ordered(_value(entry, field.name) for entry in done) for field in fields(Regions)}
    axes = axes or {key: values for key, values in found.items() if len(values) > 1}
    if not axes:
        raise UserError(
            "the experiments differ in no value of regions",
            where="dvc exp show",
            remedy="queue some: `dvc exp run --queue -S 'regions.eps=0.5,0.75' region_quality`",
        )
    rows: dict[tuple[Any, ...], Row] = {}
    for entry in done:
        place = {key: _value(entry, key) for key in axes}
        if all(value in axes[key] for key, value in place.items()):
            numbers = {name: _metric(entry, f"{_group(name)}.{name}") for name in numbers_of(Quality())}
            rows.setdefault(tuple(place.values()), Row(place, numbers))
    if not rows:
        raise UserError(
            f"none of {len(done)} DVC experiments lies on this grid",
            where="command line",
            remedy="leave the values out: then the grid has all values that the experiments have",
        )
    ordered = [rows[place] for place in itertools.product(*axes.values()) if place in rows]
    return axes, ordered, len(named) - len(done)


def _group(name: str) -> str:
    return "segmentation" if name.endswith("segmentation") else "headline"


def _value(entry: Mapping[str, Any], key: str) -> Any:
    """A param as params.yaml has it: DVC gives every number as float, and null as text."""
    value = entry.get(PREFIX + key)
    if value == "None":
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _metric(entry: Mapping[str, Any], name: str) -> float | None:
    """A number; DVC puts the file before the names that several files have."""
    for key in (name, f"data/region_quality/metrics.json:{name}"):
        value = entry.get(key)
        if isinstance(value, int | float) and math.isfinite(value):
            return value
    return None


def _ordered(values: Any) -> list[Any]:
    """Different values, numbers ascending and before text."""
    distinct = list(dict.fromkeys(values))
    return sorted(
        distinct, key=lambda value: (isinstance(value, str), value is None, value if value is not None else 0)
    )


def _set(content: dict[str, Any], key: str, value: object) -> None:
    *groups, last = key.split(".")
    for group in groups:
        inner = content.setdefault(group, {})
        content = inner if isinstance(inner, dict) else content
    content[last] = value
