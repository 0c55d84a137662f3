"""Figures as files: a PNG for the page and an SVG for papers, equal byte for byte where the figures are equal."""

from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

FOLDER = "figures"  # beside the page
DPI = 110
SVG_DPI = 85  # so that six camera images fit into a megabyte


@dataclass(frozen=True)
class Picture:
    """A figure of the page: what it shows, the stem of its two files in `FOLDER`, and the bytes of the PNG."""

    caption: str
    name: str
    png: bytes


def save_picture(figure: Figure, folder: Path, name: str, caption: str) -> Picture:
    """Writes `figure` as `folder`/`name`.png and `folder`/`name`.svg.

    Args:
        figure: what to write; one that pyplot does not own, so that nothing is left to close.
        folder: where; made if it is not there.
        name: stem of both files.
        caption: what the figure shows, a sentence.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_figure(figure, folder / f"{name}.png")
    figure.set_layout_engine("none")  # what was placed for the PNG stays in its place
    save_figure(figure, folder / f"{name}.svg", SVG_DPI)
    return Picture(caption, name, (folder / f"{name}.png").read_bytes())


def save_figure(figure: Figure, path: Path, dpi: int = DPI) -> None:
    """Writes one file in the format of its suffix, `.png` or `.svg`, without a date and without the software's name.

    Args:
        figure: what to write. What has many parts, as a cloud of points, should be `rasterized`, or an SVG grows large.
        path: file to write.
        dpi: pixels an inch of a PNG, and of what is rasterised inside an SVG.
    """
    metadata = {"Date": None, "Creator": None} if path.suffix == ".svg" else {"Software": None}
    # Text stays text, and ids inside an SVG come from its content instead of from chance.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "calico"}):
        figure.savefig(path, dpi=dpi, metadata=metadata)
