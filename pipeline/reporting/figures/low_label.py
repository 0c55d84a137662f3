"""Scores over the share of labelled scenes: does pre-training help most where labels are few?"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from pipeline.reporting.figures.arm_styles import ArmStyle, arm_legend
from pipeline.reporting.figures.picture import Picture, save_picture
from pipeline.reporting.tables.table import HEADLINES, share_text, summarise

TABLE = "low_label.csv"
COLUMNS = ["arm", "task", "metric", "fraction", "mean", "deviation", "n"]
APART = 0.02  # of the axis of fractions, between neighbouring arms, so that their error bars do not cover each other


def low_label_scores(values: pd.DataFrame) -> pd.DataFrame:
    """The headline metrics over seeds, one row per arm, task, metric and fraction.

    Args:
        values: of `read_results`.

    Returns:
        Columns `COLUMNS`; the deviation is that of the sample, NaN for one seed.
    """
    summary = summarise(values)
    shown = [metric in HEADLINES[task] for task, metric in zip(summary["task"], summary["metric"], strict=True)]
    return summary.loc[shown, COLUMNS].reset_index(drop=True)


def write_low_label(scores: pd.DataFrame, out: Path) -> None:
    """Writes `scores` as CSV, six digits each; only a head where there is nothing."""
    (out / TABLE).write_text(scores.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def draw_low_label(values: pd.DataFrame, styles: Mapping[str, ArmStyle], out: Path) -> list[Picture]:
    """A picture per task in `out`; arguments as in `plot_task`."""
    return [
        save_picture(
            plot_task(values, task, styles),
            out,
            f"low-label-{task}",
            f"{task.capitalize()} over the share of labelled training scenes: mean over seeds, bars the sample "
            "deviation, faint dots single seeds. Arms stand side by side for the eye; their shares are the same. "
            "Axes do not start at zero.",
        )
        for task in dict.fromkeys(low_label_scores(values)["task"])
    ]


def plot_task(values: pd.DataFrame, task: str, styles: Mapping[str, ArmStyle]) -> Figure:
    """A panel per headline metric of a task: a line per arm with means and deviations, and every seed as a faint dot.

    Args:
        values: of `read_results`.
        task: one of those in `values`.
        styles: of every arm.
    """
    scores = low_label_scores(values)
    own = scores[scores["task"] == task]
    metrics = list(dict.fromkeys(own["metric"]))
    figure = Figure(figsize=(3.6 * len(metrics) + 0.2, 3.7), layout="constrained")
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for panel, metric in zip(panels, metrics, strict=True):
        seeds = values[(values["task"] == task) & (values["metric"] == metric)]
        _draw_metric(panel, own[own["metric"] == metric], seeds, styles)
        panel.set_title(metric, fontsize=10)
    arm_legend(figure, panels)
    return figure


def _draw_metric(panel: Axes, scores: pd.DataFrame, seeds: pd.DataFrame, styles: Mapping[str, ArmStyle]) -> None:
    fractions, arms = sorted(set(scores["fraction"])), list(dict.fromkeys(scores["arm"]))
    decades = max(np.log10(fractions[-1] / fractions[0]), 0.5)
    for number, arm in enumerate(arms):
        style, shift = styles[arm], 10 ** (decades * APART * (number - (len(arms) - 1) / 2))
        own, single = (table[table["arm"] == arm].sort_values("fraction") for table in (scores, seeds))
        panel.scatter(
            single["fraction"] * shift, single["value"], s=20, c=style.colour, alpha=0.45, linewidths=0, zorder=3
        )
        panel.errorbar(
            own["fraction"] * shift, own["mean"], own["deviation"], color=style.colour, marker=style.mark,
            markersize=5, linewidth=1.5, elinewidth=1, capsize=2.5, label=arm,
        )  # fmt: skip
    panel.set_xscale("log")
    panel.set_xlim(fractions[0] / 10 ** (0.12 * decades), fractions[-1] * 10 ** (0.12 * decades))
    panel.xaxis.set_major_locator(FixedLocator(fractions))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xticklabels([share_text(fraction) for fraction in fractions])
    panel.set_xlabel("labelled training scenes", fontsize=9)
    panel.tick_params(labelsize=8)
    panel.grid(axis="y", color="#e3e6ea", linewidth=0.8)
    panel.set_axisbelow(True)
