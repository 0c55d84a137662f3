"""Figures in bird's-eye view: predictions against truth, LiDAR frame, metres (x right, y forward)."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from pipeline.evaluation.detection import ScoredBoxes
from pipeline.frames.labels import DETECTION_CLASSES
from pipeline.frames.maps import MAP_CLASSES
from pipeline.geometry.boxes import footprint_corners

SHOWN_SCORE = 0.25  # fainter boxes are left out of figures; scores count them
CLASS_COLOURS: dict[str, Any] = dict(zip(DETECTION_CLASSES, matplotlib.color_sequences["tab10"], strict=True))
# Painted in this order, so that thin classes stay visible on top of areas.
MAP_COLOURS = {
    "drivable_area": "#c9ccd1",
    "carpark_area": "#b08fc7",
    "walkway": "#9fd3a8",
    "ped_crossing": "#f2a541",
    "stop_line": "#d62728",
    "divider": "#1f5fa8",
}
# Inches
PANEL = 3.2
LEFT, RIGHT, TOP, BOTTOM, GAP = 0.4, 0.15, 0.3, 0.7, 0.45
TITLE_LINE = 0.17
LEGEND_ENTRY = 1.6
MOST_COLUMNS = 5


def draw_detections(
    points: NDArray[np.float32], truth: ScoredBoxes, panels: Sequence[tuple[str, ScoredBoxes]], reach: float
) -> Figure:
    """One panel per model: points in grey, true boxes in thin black, predicted boxes in the colour of their class.

    Args:
        points: [N, >=2], LiDAR frame.
        truth: true boxes; their scores are ignored.
        panels: (title, predictions of one model).
        reach: half side of the square shown, metres.
    """
    figure, axes = square_panels(len(panels))
    near = points[(np.abs(points[:, :2]) < reach).all(axis=1)]
    for axis, (title, predicted) in zip(axes, panels, strict=True):
        axis.scatter(near[:, 0], near[:, 1], s=0.25, c="#9aa0a8", linewidths=0, rasterized=True)
        sure = predicted.scores >= SHOWN_SCORE
        colours = [CLASS_COLOURS[DETECTION_CLASSES[label]] for label in predicted.classes[sure]]
        draw_boxes(axis, predicted.boxes[sure], colours, 1.8)
        draw_boxes(axis, truth.boxes, ["black"] * len(truth.boxes), 0.7)
        frame_panel(axis, f"{title} ({int(sure.sum())} boxes, {len(truth.boxes)} true)", reach)
    shown = {
        DETECTION_CLASSES[label]
        for _, predicted in panels
        for label in predicted.classes[predicted.scores >= SHOWN_SCORE]
    }
    handles = [Line2D([], [], color="black", linewidth=0.7, label="truth")]
    handles += [Line2D([], [], color=CLASS_COLOURS[name], label=name) for name in DETECTION_CLASSES if name in shown]
    return finish(figure, handles)


def draw_maps(truth: NDArray[np.bool_], panels: Sequence[tuple[str, NDArray[np.bool_]]], reach: float) -> Figure:
    """The true map and one panel per model.

    Args:
        truth: [C, S, S] in the order of `MAP_CLASSES`; rows y, columns x.
        panels: (title, predicted [C, S, S]).
        reach: half side of the map, metres.
    """
    figure, axes = square_panels(1 + len(panels))
    for axis, (title, masks) in zip(axes, [("truth", truth), *panels], strict=True):
        axis.imshow(_paint(masks), origin="lower", extent=(-reach, reach, -reach, reach), interpolation="nearest")
        frame_panel(axis, title, reach)
    return finish(figure, [Patch(color=colour, label=name) for name, colour in MAP_COLOURS.items()])


def _paint(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    image = np.ones((*masks.shape[1:], 3))
    for name, colour in MAP_COLOURS.items():
        image[masks[MAP_CLASSES.index(name)]] = matplotlib.colors.to_rgb(colour)
    return image


def draw_boxes(axis: Axes, boxes: NDArray[np.float32], colours: list[Any], width: float) -> None:
    """Outlines, and a line from the centre to the front of each box."""
    if len(boxes) == 0:
        return
    corners = footprint_corners(boxes)
    front = (corners[:, 0] + corners[:, 3]) / 2
    outlines = np.concatenate([corners, corners[:, :1]], axis=1)
    axis.add_collection(LineCollection(list(outlines), colors=colours, linewidths=width))
    axis.add_collection(LineCollection(list(np.stack([boxes[:, :2], front], axis=1)), colors=colours, linewidths=width))


def square_panels(count: int, title_lines: int = 1) -> tuple[Figure, list[Axes]]:
    """Square panels of equal size; margins in inches, so that a figure of any number of panels looks the same."""
    rows = -(-count // MOST_COLUMNS)
    columns = -(-count // rows)
    width = LEFT + columns * PANEL + (columns - 1) * GAP + RIGHT
    top, between = (room + (title_lines - 1) * TITLE_LINE for room in (TOP, GAP))
    height = top + rows * PANEL + (rows - 1) * between + BOTTOM
    figure = Figure(figsize=(width, height))
    axes = figure.subplots(rows, columns, squeeze=False)
    figure.subplots_adjust(
        LEFT / width, BOTTOM / height, 1 - RIGHT / width, 1 - top / height, wspace=GAP / PANEL, hspace=between / PANEL
    )
    for axis in axes.flat[count:]:
        axis.set_axis_off()
    return figure, list(axes.flat[:count])


def frame_panel(axis: Axes, title: str, reach: float) -> None:
    """Limits, title and the own car."""
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axis.set_title(title, fontsize=9)
    axis.tick_params(labelsize=7)
    axis.plot(0, 0, marker="^", color="black", markersize=5)  # the own car, looking up


def finish(figure: Figure, handles: Sequence[Line2D | Patch]) -> Figure:
    """The same figure with a legend below its panels."""
    columns = max(1, int(figure.get_figwidth() / LEGEND_ENTRY))
    figure.legend(handles=list(handles), loc="lower center", ncols=columns, fontsize=8, frameon=False)
    return figure
