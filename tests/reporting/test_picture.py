"""A figure becomes two files that hold the same thing twice in a row."""

import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib.image
import numpy as np
from matplotlib.figure import Figure

from pipeline.reporting.figures.picture import save_picture


def cloud(seed: int) -> Figure:
    figure = Figure(figsize=(4, 3), layout="constrained")
    panel = figure.add_subplot()
    x, y = np.random.default_rng(seed).random((2, 50_000))
    panel.scatter(x, y, s=1, rasterized=True)
    panel.set_title("ten words")
    panel.plot([0, 1], [0, 1], label="line")
    panel.legend()
    return figure


def test_equal_figures_are_equal_files_and_others_are_not(tmp_path: Path) -> None:
    seeds = {"a": 0, "b": 0, "c": 1}
    pictures = [save_picture(cloud(seed), tmp_path / name, "cloud", "A cloud.") for name, seed in seeds.items()]
    for suffix in ("png", "svg"):
        first, again, other = ((tmp_path / name / f"cloud.{suffix}").read_bytes() for name in "abc")
        assert first == again != other
    assert pictures[0].png == (tmp_path / "a" / "cloud.png").read_bytes()
    assert (pictures[0].name, pictures[0].caption) == ("cloud", "A cloud.")
    image = matplotlib.image.imread(tmp_path / "a" / "cloud.png")
    assert image.std() > 0.05 and image.shape[1] > 400


def test_the_vector_file_keeps_text_and_stays_small(tmp_path: Path) -> None:
    save_picture(cloud(0), tmp_path, "cloud", "")
    path = tmp_path / "cloud.svg"
    words = "".join(ET.parse(path).getroot().itertext())
    assert "ten words" in words and "line" in words
    assert path.stat().st_size < 300_000  # 50,000 points as vectors would take several megabytes
    text = path.read_text()
    assert "<image" in text and "<dc:date>" not in text
