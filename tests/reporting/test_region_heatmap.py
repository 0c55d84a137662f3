"""Heat maps and table of a grid: every cell where its values say, colours by value, nothing where nothing is known."""

import itertools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from matplotlib import colormaps
from numpy.typing import NDArray

from pipeline.evaluation.region_grid import Axes, Row, numbers_of
from pipeline.evaluation.region_quality import Quality
from pipeline.reporting.figures.region_heatmap import QUANTITIES, SHOWN, choose_axes, draw_heatmaps, grid_table

NOTHING = numbers_of(Quality())


def row(place: dict[str, Any], **numbers: float) -> Row:
    return Row(place, {**NOTHING, **numbers})


def full_grid(axes: Axes) -> list[Row]:
    places = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    return [row(place, recall=number / len(places), purity=0.9) for number, place in enumerate(places)]


def read(path: Path) -> NDArray[np.int64]:
    image = cv2.imread(str(path))
    assert image is not None
    return image[..., ::-1].astype(np.int64)


def area(path: Path, value: float) -> int:
    """Pixels in the colour of a value in [0, 1]."""
    colour = np.rint(np.array(colormaps["viridis"](value)[:3]) * 255)
    return int((np.abs(read(path) - colour).max(axis=2) <= 2).sum())


def test_the_longest_axes_span_the_panels() -> None:
    axes: Axes = {"ground": ["none", "plane_fit"], "eps": [1, 2, 3], "min_samples": [3, 5], "dims": [2, 3, 4, 5]}
    assert choose_axes(axes) == ("dims", "eps", ["ground", "min_samples"])
    assert choose_axes({"eps": [1, 2]}) == ("eps", None, [])


def test_colours_follow_values_and_unknown_cells_stay_empty(tmp_path: Path) -> None:
    axes: Axes = {"eps": [0.25, 0.5, 0.75]}
    rows = [row({"eps": eps}, recall=eps) for eps in axes["eps"]]
    draw_heatmaps(axes, rows, tmp_path / "full.png")
    draw_heatmaps(axes, [rows[0], rows[2]], tmp_path / "gap.png")
    draw_heatmaps(axes, [rows[0], row({"eps": 0.5}), rows[2]], tmp_path / "none.png")
    middle = {name: area(tmp_path / f"{name}.png", 0.5) for name in ("full", "gap", "none")}
    assert middle["full"] > 2000 + middle["gap"]
    assert middle["none"] == middle["gap"]
    assert area(tmp_path / "gap.png", 1.0) > 2000


def test_every_cell_lies_where_its_values_say(tmp_path: Path) -> None:
    """x grows to the right, y upwards."""
    axes: Axes = {"eps": [1, 2, 3], "dims": [2, 3]}
    centres = {}
    for place in ({"eps": 1, "dims": 2}, {"eps": 3, "dims": 2}, {"eps": 1, "dims": 3}):
        others = [row(cell.place, recall=0.0) for cell in full_grid(axes) if cell.place != place]
        draw_heatmaps(axes, [*others, row(place, recall=1.0)], tmp_path / "one.png")
        image = read(tmp_path / "one.png")
        yellow = np.abs(image - np.rint(np.array(colormaps["viridis"](1.0)[:3]) * 255)).max(axis=2) <= 2
        yellow[:, int(image.shape[1] * 0.75) :] = False  # the colour bar
        assert yellow.sum() > 500
        centres[place["eps"], place["dims"]] = np.argwhere(yellow).mean(axis=0)
    assert centres[3, 2][1] > centres[1, 2][1] + 30
    assert abs(centres[3, 2][0] - centres[1, 2][0]) < 5
    assert centres[1, 3][0] < centres[1, 2][0] - 10


@pytest.mark.parametrize(
    "axes",
    [{"eps": [0.5]}, {"eps": [0.5, 1], "ground": ["none", "plane_fit"], "range_scale": [None, 20], "dims": [2, 3]}],
)
def test_grids_of_any_number_of_axes(tmp_path: Path, axes: Axes) -> None:
    draw_heatmaps(axes, full_grid(axes), tmp_path / "a.png")
    assert area(tmp_path / "a.png", 0.0) + area(tmp_path / "a.png", 0.5) > 5000


def test_equal_figures_are_equal_files_and_no_rows_are_no_error(tmp_path: Path) -> None:
    axes: Axes = {"eps": [0.5, 1]}
    for name in ("a", "b"):
        draw_heatmaps(axes, full_grid(axes), tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    draw_heatmaps(axes, [], tmp_path / "empty.png")
    assert area(tmp_path / "empty.png", 0.0) < area(tmp_path / "a.png", 0.0) - 2000


def test_table() -> None:
    axes: Axes = {"eps": [0.5, 1], "range_scale": [None]}
    header, lines = grid_table(axes, [row({"eps": 0.5, "range_scale": None}, recall=0.12345, purity=1.0)])
    assert header == ["eps", "range_scale", *SHOWN.values()]
    cells = dict(zip(header, lines[0], strict=True))
    assert (cells["eps"], cells["range_scale"], cells["recall"], cells["purity"], cells["car"]) == (
        "0.5", "null", "0.123", "1.000", "–",
    )  # fmt: skip
    assert set(QUANTITIES) <= set(NOTHING)
    assert set(SHOWN) <= set(NOTHING)
