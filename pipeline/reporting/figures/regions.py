"""A figure of one sweep's regions, seen from above."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pipeline.regions.ids import GROUND, NOISE, REJECTED
from pipeline.regions.rejections import Rejection

# Everything without a region is a shade of grey, so that colour means region.
BACKGROUND = {GROUND: ("ground", "#cfcfcf"), NOISE: ("noise", "#6f6f6f"), REJECTED: ("in rejected clusters", "#b39b84")}
# In this order a cluster with several reasons takes its colour: what is too large says more than what is thin besides.
REASON_COLOURS = {
    "ego": "#000000",
    "large": "#d55e00",
    "tall": "#882255",
    "high": "#0072b2",
    "hanging": "#56b4e9",
    "low": "#7a5a3a",
    "thin": "#009e73",
    "small": "#e69f00",
}
NAMED = 40  # points from which on the reasons of a rejected cluster are written beside it, if it is not small
# Inches
WIDTH, HEIGHT = 11.3, 7.8
LEFT, BELOW, MARGIN = 0.75, 0.6, 0.15
GOLDEN = 0.6180339887498949  # steps of the golden ratio keep neighbouring ids apart in hue


def draw_regions(
    points: NDArray[np.float32], ids: NDArray[np.int16], reach: float = 50.0, rejections: Sequence[Rejection] = ()
) -> Figure:
    """Draws the points from above, coloured by region, and outlines of rejected clusters, coloured by reason.

    Args:
        points: [N, >= 2], metres, LiDAR frame; x to the right, y upwards (ahead) in the figure.
        ids: [N], see `pipeline.regions.ids`.
        reach: metres shown to each side.
        rejections: clusters to outline; reasons of large ones are written out.
    """
    figure = Figure(figsize=(WIDTH, HEIGHT))
    side = HEIGHT - BELOW - MARGIN
    axes = figure.add_axes((LEFT / WIDTH, BELOW / HEIGHT, side / WIDTH, side / HEIGHT))
    shown = (np.abs(points[:, :2]) <= reach).all(axis=1)
    points, ids = points[shown], ids[shown]
    scatter_regions(axes, points, ids)
    legend = [
        dot(colour, f"{name} ({int((ids == negative).sum()):,} points)")
        for negative, (name, colour) in BACKGROUND.items()
    ]
    rich = ids >= 0
    regions = np.unique(ids[rich])
    for region in regions:
        right, ahead = points[ids == region, :2].mean(axis=0)
        axes.annotate(
            str(region), (right, ahead), xytext=(5, 5), textcoords="offset points", fontsize=6.5, color="#222222"
        )
    legend.append(dot("#d81b60", f"{len(regions)} regions, a colour each ({int(rich.sum()):,} points)"))
    legend += _outline(axes, [rejection for rejection in rejections if _shown(rejection, reach)])
    axes.plot(0, 0, marker="^", color="black", markersize=7)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="x, right (m)", ylabel="y, ahead (m)")
    beside, top = (LEFT + side + MARGIN) / WIDTH, 1 - MARGIN / HEIGHT
    figure.legend(handles=legend, loc="upper left", bbox_to_anchor=(beside, top), fontsize=9, frameon=False)
    return figure


def _shown(rejection: Rejection, reach: float) -> bool:
    return bool((np.abs(rejection.outline.mean(axis=0)) <= reach).all())


def _outline(axes: Axes, rejections: Sequence[Rejection]) -> list[Line2D]:
    """Draws outlines and reasons; the entries of a legend that counts the clusters of each colour."""
    main = [next(reason for reason in REASON_COLOURS if reason in rejection.reasons) for rejection in rejections]
    closed = [np.concatenate([rejection.outline, rejection.outline[:1]]) for rejection in rejections]
    axes.add_collection(LineCollection(closed, colors=[REASON_COLOURS[reason] for reason in main], linewidths=1.3))
    for rejection, reason in zip(rejections, main, strict=True):
        if rejection.points >= NAMED and reason != "small":
            corner = rejection.outline[rejection.outline[:, 1].argmin()]
            axes.annotate(
                ", ".join(rejection.reasons), corner, xytext=(2, -8), textcoords="offset points", fontsize=7,
                color=REASON_COLOURS[reason],
            )  # fmt: skip
    counts = Counter(main)
    return [
        Line2D([], [], color=colour, linewidth=1.3, label=f"rejected: {reason} ({counts[reason]})")
        for reason, colour in REASON_COLOURS.items()
        if counts[reason]
    ]


def scatter_regions(axes: Axes, points: NDArray[np.float32], ids: NDArray[np.int16]) -> None:
    """Points [N, >= 2] from above: in grey those of no region, the others [N] in the colour of their region."""
    for negative, (_, colour) in BACKGROUND.items():
        of_it = points[ids == negative]
        axes.scatter(of_it[:, 0], of_it[:, 1], s=0.8, c=colour, linewidths=0, rasterized=True)
    rich = ids >= 0
    axes.scatter(points[rich, 0], points[rich, 1], s=5, c=region_colours(ids[rich]), linewidths=0, rasterized=True)


def dot(colour: str, label: str) -> Line2D:
    """An entry of a legend that stands for points."""
    return Line2D([], [], marker="o", markersize=5, linestyle="none", color=colour, label=label)


def region_colours(ids: NDArray[np.int16]) -> NDArray[np.float64]:
    """A strong colour [N, 3] per region id, the same in every figure."""
    hue = (ids.astype(np.float64) * GOLDEN) % 1
    level = np.where(ids % 2 == 0, 0.85, 0.6)
    return np.asarray(hsv_to_rgb(np.stack([hue, np.full_like(hue, 0.95), level], axis=1)), np.float64)
