"""The grid of the sensitivity study as heat maps and as a table."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes as Panel
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from pipeline.evaluation.region_grid import Axes, Row

QUANTITIES = {
    "recall": "recall of objects",
    "purity": "purity",
    "regions_a_frame": "regions a frame",
    "share_rich": "share of points in regions",
}
# In the table, with short names, so that it fits a terminal.
SHOWN = {
    "recall": "recall", "recall_car": "car", "recall_pedestrian": "pedestrian", "purity": "purity",
    "regions_a_frame": "regions", "share_rich": "rich", "over_segmentation": "over", "under_segmentation": "under",
}  # fmt: skip


def draw_heatmaps(axes: Axes, rows: Sequence[Row], path: Path) -> None:
    """One row of panels per quantity: the two axes with most values span a panel, the others tell panels apart.

    Panels of one quantity share their colours. A cell without a number is left empty.

    Args:
        axes: values of every axis.
        rows: cells; those of a full grid, or fewer.
        path: image file to write; its suffix chooses the format.
    """
    across, up, others = choose_axes(axes)
    combinations = [dict(zip(others, values, strict=True)) for values in itertools.product(*(axes[o] for o in others))]
    across_values, up_values = axes[across], axes[up] if up else [None]
    width = 1.2 + len(combinations) * max(2.2, 0.62 * len(across_values))
    height = 0.5 + len(QUANTITIES) * max(1.6, 0.45 * len(up_values) + 0.9)
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(QUANTITIES), len(combinations), squeeze=False)
    found = {tuple(row.place.items()): row.numbers for row in rows}
    for number, (quantity, title) in enumerate(QUANTITIES.items()):
        line = list(panels[number])
        tables = []
        for combination in combinations:
            table = np.full((len(up_values), len(across_values)), np.nan)
            for (i, low), (j, right) in itertools.product(enumerate(up_values), enumerate(across_values)):
                place = {**combination, across: right, **({up: low} if up else {})}
                value = found.get(tuple((axis, place[axis]) for axis in axes), {}).get(quantity)
                table[i, j] = np.nan if value is None else value
            tables.append(table)
        known = np.concatenate([table[np.isfinite(table)] for table in tables])
        norm = Normalize(known.min(), known.max()) if len(known) else Normalize(0, 1)
        for panel, combination, table in zip(line, combinations, tables, strict=True):
            image = panel.imshow(table, norm=norm, cmap="viridis", origin="lower", aspect="auto")
            _write_numbers(panel, table, norm)
            panel.set_xticks(range(len(across_values)), [str(value) for value in across_values], fontsize=7)
            panel.set_yticks(range(len(up_values)), [_text(value) if up else "" for value in up_values], fontsize=7)
            if number == 0:
                panel.set_title("\n".join(f"{key} {_text(value)}" for key, value in combination.items()), fontsize=8)
            if number == len(QUANTITIES) - 1:
                panel.set_xlabel(across, fontsize=8)
        line[0].set_ylabel(f"{title}\n\n{up or ''}", fontsize=8)
        figure.colorbar(image, ax=line, shrink=0.9).ax.tick_params(labelsize=7)
    # Without the name of the software in it, equal figures are equal files.
    figure.savefig(path, dpi=130, metadata={"Software": None} if path.suffix == ".png" else None)


def choose_axes(axes: Axes) -> tuple[str, str | None, list[str]]:
    """The axis with most values, the next one (None where there is one axis), and the others in their order."""
    first, *rest = sorted(axes, key=lambda name: -len(axes[name]))
    second = rest[0] if rest else None
    return first, second, [name for name in axes if name not in (first, second)]


def grid_table(axes: Axes, rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and lines of the grid as text."""
    lines = [
        [*(_text(row.place[axis]) for axis in axes), *(_text(row.numbers[name], digits=3) for name in SHOWN)]
        for row in rows
    ]
    return [*axes, *SHOWN.values()], lines


def _write_numbers(panel: Panel, table: np.ndarray[Any, Any], norm: Normalize) -> None:
    for (i, j), value in np.ndenumerate(table):
        if np.isfinite(value):
            colour = "black" if norm(value) > 0.6 else "white"
            text = f"{value:.1f}" if value >= 2 else f"{value:.3f}"
            panel.text(j, i, text, ha="center", va="center", fontsize=7, color=colour)


def _text(value: Any, digits: int | None = None) -> str:
    if value is None:
        return "–" if digits else "null"
    return f"{value:.{digits}f}" if digits and isinstance(value, float) else str(value)
