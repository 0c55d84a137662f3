"""A figure of one sweep's annotated objects, seen from above: which ones a region holds."""

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pipeline.evaluation.region_quality import MIN_POINTS, RECALLED, judge_object
from pipeline.frames.box_labels import BoxLabels, box_members

RECALLED_COLOUR, MISSED_COLOUR, FAINT_COLOUR = "#1a8f3c", "#d11f1f", "#9a9a9a"
FOOTPRINT = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1], [1, 1]]) / 2


def draw_objects(points: NDArray[np.float32], ids: NDArray[np.int16], boxes: BoxLabels, reach: float = 50.0) -> Figure:
    """Draws the boxes from above: green where more than half of the object lies in one region, red where not.

    Objects with fewer than `MIN_POINTS` points are grey. Points in regions are dark, all others pale.

    Args:
        points: [N, >= 3], metres, LiDAR frame; x to the right, y upwards (ahead) in the figure.
        ids: [N], see `pipeline.regions.ids`.
        boxes: annotated objects of the frame.
        reach: metres shown to each side.
    """
    figure = Figure(figsize=(8, 7.8), layout="constrained")
    axes = figure.add_subplot()
    rich = ids >= 0
    axes.scatter(points[~rich, 0], points[~rich, 1], s=1, c="#c4c4c4", linewidths=0, rasterized=True)
    axes.scatter(points[rich, 0], points[rich, 1], s=2.5, c="#3b4a6b", linewidths=0, rasterized=True)
    outlines: dict[str, list[NDArray[np.float64]]] = {RECALLED_COLOUR: [], MISSED_COLOUR: [], FAINT_COLOUR: []}
    for matrix, size, members in zip(boxes.lidar_from_box, boxes.size, box_members(points, boxes), strict=True):
        corners = (FOOTPRINT * size[:2]) @ matrix[:2, :2].T + matrix[:2, 3]
        outlines[_colour(ids[members])].append(corners)
    for colour, polygons in reversed(outlines.items()):
        axes.add_collection(LineCollection(polygons, colors=colour, linewidths=1.4))
    shown = [
        sum(bool((np.abs(polygon[:4].mean(axis=0)) <= reach).all()) for polygon in polygons)
        for polygons in outlines.values()
    ]
    labels = ("recalled", "missed", f"with fewer than {MIN_POINTS} points")
    handles = [
        Line2D([], [], color=colour, label=f"{number} objects {label}")
        for colour, number, label in zip(outlines, shown, labels, strict=True)
    ]
    axes.plot(0, 0, marker="^", color="black", markersize=7)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="x, right (m)", ylabel="y, ahead (m)")
    axes.legend(handles=handles, loc="upper right", fontsize=8, framealpha=0.9)
    return figure


def _colour(ids: NDArray[np.int16]) -> str:
    if len(ids) < MIN_POINTS:
        return FAINT_COLOUR
    return RECALLED_COLOUR if judge_object(ids)[0] == RECALLED else MISSED_COLOUR
