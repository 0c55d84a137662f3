"""Curves over label fractions show the numbers of the table, and the CSV holds them."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.container import ErrorbarContainer

from pipeline.reporting.figures.arm_styles import arm_styles
from pipeline.reporting.figures.low_label import TABLE, draw_low_label, low_label_scores, plot_task, write_low_label

ARMS = ["scratch-L", "calico"]
STYLES = arm_styles(ARMS)
SCORES = {
    ("scratch-L", 0.1): (0.1, 0.3),
    ("scratch-L", 1.0): (0.5, 0.5),
    ("calico", 0.1): (0.4,),
    ("calico", 1.0): (0.6, 0.8),
}


def table(task: str, metrics: Sequence[str]) -> pd.DataFrame:
    rows = [
        (task, metric, arm, fraction, seed, value)
        for (arm, fraction), values in SCORES.items()
        for seed, value in enumerate(values)
        for metric in metrics
    ]
    return pd.DataFrame(rows, columns=["task", "metric", "arm", "fraction", "seed", "value"])


VALUES = pd.concat([table("detection", ["mAP_present", "NDS", "AP/car"]), table("map", ["mIoU_best"])])


def test_the_lines_are_the_means_and_the_bars_the_deviations() -> None:
    figure = plot_task(VALUES, "detection", STYLES)
    assert [panel.get_title() for panel in figure.axes] == ["mAP_present", "NDS"]
    for panel in figure.axes:
        lines = {bar.get_label(): bar for bar in panel.containers if isinstance(bar, ErrorbarContainer)}
        assert list(lines) == ARMS
        for arm, means in (("scratch-L", [0.2, 0.5]), ("calico", [0.4, 0.7])):
            x, y = (np.asarray(values, float) for values in lines[arm][0].get_data())
            assert y == pytest.approx(means)
            assert x == pytest.approx([0.1, 1.0], rel=0.05)
            assert lines[arm][0].get_color() == STYLES[arm].colour
        bars = [segment[:, 1] for segment in lines["scratch-L"][2][0].get_segments()]
        assert bars[0] == pytest.approx([0.2 - 0.02**0.5, 0.2 + 0.02**0.5])
        dots = np.concatenate(
            [np.asarray(own.get_offsets()) for own in panel.collections if isinstance(own, PathCollection)]
        )
        assert sorted(dots[:, 1]) == pytest.approx([0.1, 0.3, 0.4, 0.5, 0.5, 0.6, 0.8])


def test_the_table_is_that_of_the_figure(tmp_path: Path) -> None:
    scores = low_label_scores(VALUES)
    write_low_label(scores, tmp_path)
    rows = list(csv.DictReader((tmp_path / TABLE).read_text().splitlines()))
    assert len(rows) == 2 * 2 * 3  # arms, fractions, headline metrics; AP of a class is none
    one = next(row for row in rows if (row["arm"], row["metric"], row["fraction"]) == ("scratch-L", "NDS", "0.1"))
    assert (one["mean"], one["deviation"], one["n"]) == ("0.2", "0.141421", "2")
    single = next(row for row in rows if (row["arm"], row["metric"], row["fraction"]) == ("calico", "mIoU_best", "0.1"))
    assert (single["deviation"], single["n"]) == ("", "1")


def test_pictures_by_task_equal_twice(tmp_path: Path) -> None:
    first, again = (draw_low_label(VALUES, STYLES, tmp_path / name) for name in "ab")
    assert [picture.name for picture in first] == ["low-label-detection", "low-label-map"]
    assert first == again
    for picture in first:
        name = f"{picture.name}.svg"
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_one_fraction_and_one_seed_make_a_point() -> None:
    alone = VALUES[(VALUES["fraction"] == 0.1) & (VALUES["seed"] == 0)]
    (panel,) = plot_task(alone, "map", STYLES).axes
    lines = [bar[0].get_ydata() for bar in panel.containers if isinstance(bar, ErrorbarContainer)]
    assert [list(map(float, line)) for line in lines] == [[0.1], [0.4]]
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["10 %"]


def test_nothing_to_draw(tmp_path: Path) -> None:
    none = VALUES.iloc[:0]
    assert draw_low_label(none, STYLES, tmp_path) == []
    write_low_label(low_label_scores(none), tmp_path)
    assert (tmp_path / TABLE).read_text() == "arm,task,metric,fraction,mean,deviation,n\n"


def test_arms_keep_their_style_and_no_two_share_one() -> None:
    styles = arm_styles([f"arm {number}" for number in range(12)])
    assert len(set(styles.values())) == 12
    assert len({style.colour for style in list(styles.values())[:7]}) == 7
