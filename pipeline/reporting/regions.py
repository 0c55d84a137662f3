"""A figure of one sweep's regions, seen from above."""

import numpy as np
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pipeline.regions.ids import GROUND, NOISE, REJECTED

# Everything without a region is a shade of grey, so that colour means region.
BACKGROUND = {GROUND: ("ground", "#cfcfcf"), NOISE: ("noise", "#6f6f6f"), REJECTED: ("rejected", "#b39b84")}
GOLDEN = 0.6180339887498949  # steps of the golden ratio keep neighbouring ids apart in hue


def draw_regions(points: NDArray[np.float32], ids: NDArray[np.int16], reach: float = 50.0) -> Figure:
    """Draws the points from above, coloured by region.

    Args:
        points: [N, >= 2], metres, LiDAR frame; x to the right, y upwards (ahead) in the figure.
        ids: [N], see `pipeline.regions.ids`.
        reach: metres shown to each side.
    """
    figure = Figure(figsize=(8, 7.8), layout="constrained")
    axes = figure.add_subplot()
    shown = (np.abs(points[:, :2]) <= reach).all(axis=1)
    points, ids = points[shown], ids[shown]
    legend = []
    for negative, (name, colour) in BACKGROUND.items():
        of_it = points[ids == negative]
        axes.scatter(of_it[:, 0], of_it[:, 1], s=0.8, c=colour, linewidths=0, rasterized=True)
        legend.append(_dot(colour, f"{name} ({len(of_it):,} points)"))
    rich = ids >= 0
    axes.scatter(points[rich, 0], points[rich, 1], s=5, c=region_colours(ids[rich]), linewidths=0, rasterized=True)
    regions = np.unique(ids[rich])
    for region in regions:
        right, ahead = points[ids == region, :2].mean(axis=0)
        axes.annotate(
            str(region), (right, ahead), xytext=(5, 5), textcoords="offset points", fontsize=6.5, color="#222222"
        )
    legend.append(_dot("#d81b60", f"{len(regions)} regions, a colour each ({int(rich.sum()):,} points)"))
    axes.plot(0, 0, marker="^", color="black", markersize=7)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="x, right (m)", ylabel="y, ahead (m)")
    axes.legend(handles=legend, loc="upper right", fontsize=8, framealpha=0.9)
    return figure


def _dot(colour: str, label: str) -> Line2D:
    return Line2D([], [], marker="o", markersize=5, linestyle="none", color=colour, label=label)


def region_colours(ids: NDArray[np.int16]) -> NDArray[np.float64]:
    """A strong colour [N, 3] per region id, the same in every figure."""
    hue = (ids.astype(np.float64) * GOLDEN) % 1
    level = np.where(ids % 2 == 0, 0.85, 0.6)
    return np.asarray(hsv_to_rgb(np.stack([hue, np.full_like(hue, 0.95), level], axis=1)), np.float64)
