"""What corruptions leave of a score: bars by type, a radar over types, lines over severities."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes

from pipeline.reporting.figures.arm_styles import ArmStyle, arm_legend
from pipeline.reporting.figures.picture import Picture, save_picture
from pipeline.reporting.tables.robustness import Robustness

FULL = 100.0  # percent: nothing is lost
FEWEST_AXES = 3  # a radar of fewer is no area
SOFT, GRID = "#9aa0a8", "#e3e6ea"

Styles = Mapping[str, ArmStyle]


def draw_robustness(robust: Robustness, styles: Styles, out: Path) -> list[Picture]:
    """Bars and a radar over the types, and lines over severities, of every trial by its first metric, in `out`."""
    pictures = []
    for trial, (metric, *_) in robust.trials().items():
        rates = robust.rates(trial, metric, "RR").rename(columns={"type": "kind"})
        rates["kind"] = rates["family"] + ": " + rates["kind"]
        own = robust.scores[(robust.scores["trial"] == trial) & (robust.scores["metric"] == metric)]
        left = f"Share of the clean {metric} that is left under corruption ({trial}; severities {robust.severities})"
        above = int((rates["mean"] > FULL).sum())
        clipped = f"; {above} values above 100 are drawn at 100" if above else ""
        drawn = {
            "types": (draw_bars(rates, metric, styles), "by type, mean and sample deviation over seeds"),
            "radar": (
                draw_radar(rates, metric, styles),
                f"an axis per type, mean over seeds{clipped}; open where a type strikes no sensor of the arm",
            ),
            "severity": (
                draw_severities(rates_by_severity(own), metric, styles),
                "by severity, mean over the types of a family, deviation over seeds",
            ),
        }
        pictures += [
            save_picture(figure, out, f"robustness-{trial}-{kind}", f"{left}: {how}.")
            for kind, (figure, how) in drawn.items()
            if figure is not None
        ]
    return pictures


def draw_bars(rates: pd.DataFrame, metric: str, styles: Styles) -> Figure:
    """A bar per arm and type of corruption, with the deviation over seeds.

    Args:
        rates: columns kind, arm, mean, deviation: resilience rates in percent; the deviation NaN for one seed.
        metric: what of; for the axis.
        styles: of every arm.
    """
    kinds, arms = list(dict.fromkeys(rates["kind"])), list(dict.fromkeys(rates["arm"]))
    figure = Figure(figsize=(max(6.0, 1.6 + 0.14 * len(kinds) * (len(arms) + 1)), 4.2), layout="constrained")
    panel, width = figure.subplots(), 0.8 / len(arms)
    for number, arm in enumerate(arms):
        own = rates[rates["arm"] == arm].set_index("kind").reindex(kinds)
        places = np.arange(len(kinds)) + (number - (len(arms) - 1) / 2) * width
        panel.bar(places, own["mean"], width, color=styles[arm].colour, label=arm)
        panel.errorbar(places, own["mean"], own["deviation"], fmt="none", ecolor="#4a5058", elinewidth=0.8, capsize=1.5)
    panel.axhline(FULL, color=SOFT, linewidth=0.8)
    panel.set_xticks(np.arange(len(kinds)), kinds, rotation=45, ha="right", fontsize=8)
    panel.set_xlim(-0.6, len(kinds) - 0.4)
    panel.set_ylabel(f"RR of {metric}, %", fontsize=9)
    panel.tick_params(axis="y", labelsize=8)
    figure.legend(loc="outside upper center", ncols=min(len(arms), 6), fontsize=9, frameon=False)
    return figure


def draw_radar(rates: pd.DataFrame, metric: str, styles: Styles) -> Figure | None:
    """An axis per type of corruption, a closed line per arm; None for fewer than three axes.

    Values above 100 are drawn at 100. The line of an arm is open at a type that does not strike its sensors.

    Args:
        rates: as in `draw_bars`.
        metric: what of.
        styles: of every arm.
    """
    kinds, arms = list(dict.fromkeys(rates["kind"])), list(dict.fromkeys(rates["arm"]))
    if len(kinds) < FEWEST_AXES:
        return None
    figure = Figure(figsize=(7.2, 6.2), layout="constrained")
    panel = figure.add_subplot(projection="polar")
    assert isinstance(panel, PolarAxes)
    angles = np.linspace(0, 2 * np.pi, len(kinds), endpoint=False)
    for arm in arms:
        own = rates[rates["arm"] == arm].set_index("kind").reindex(kinds)["mean"].clip(0, FULL).to_numpy()
        style = styles[arm]
        closed = np.append(angles, angles[0]), np.append(own, own[0])
        panel.plot(*closed, color=style.colour, marker=style.mark, markersize=4.5, linewidth=1.5, label=arm)
    panel.set(theta_offset=np.pi / 2, theta_direction=-1, ylim=(0, FULL))
    panel.set_xticks(angles, [kind.replace(": ", "\n").replace("_", " ") for kind in kinds], fontsize=8)
    for label, angle in zip(panel.get_xticklabels(), angles, strict=True):
        aside = np.sin(angle)
        label.set_horizontalalignment("center" if abs(aside) < 0.2 else "left" if aside > 0 else "right")
    panel.set_yticks([25, 50, 75, FULL], ["25 %", "50 %", "75 %", ""], fontsize=7, color="#5c6570")
    panel.set_rlabel_position(np.degrees(angles[1] / 2))
    panel.tick_params(axis="x", pad=8)
    panel.set_title(f"RR of {metric}", fontsize=10)
    panel.grid(color=GRID)
    arm_legend(figure, [panel])
    return figure


def draw_severities(rates: pd.DataFrame, metric: str, styles: Styles) -> Figure | None:
    """A panel per family of corruptions with several severities, a line per arm; None where there is no such family.

    Args:
        rates: of `rates_by_severity`.
        metric: what of.
        styles: of every arm.
    """
    several = rates.groupby("family", sort=False)["severity"].nunique()
    families = [family for family, count in several.items() if count > 1]
    if not families:
        return None
    figure = Figure(figsize=(max(4.5, 3.4 * len(families)), 3.6), layout="constrained")
    panels = figure.subplots(1, len(families), squeeze=False, sharey=True)[0]
    for panel, family in zip(panels, families, strict=True):
        own = rates[rates["family"] == family]
        for arm in dict.fromkeys(own["arm"]):
            line, style = own[own["arm"] == arm].sort_values("severity"), styles[arm]
            panel.errorbar(
                line["severity"], line["mean"], line["deviation"], color=style.colour, marker=style.mark,
                markersize=5, linewidth=1.5, elinewidth=0.8, capsize=2, label=arm,
            )  # fmt: skip
        panel.axhline(FULL, color=SOFT, linewidth=0.8)
        panel.set_xticks(sorted(set(own["severity"])))
        panel.set_title(str(family), fontsize=10)
        panel.set_xlabel("severity", fontsize=9)
        panel.tick_params(labelsize=8)
        panel.grid(axis="y", color=GRID)
        panel.set_axisbelow(True)
    panels[0].set_ylabel(f"RR of {metric}, %", fontsize=9)
    arm_legend(figure, panels)
    return figure


def rates_by_severity(scores: pd.DataFrame) -> pd.DataFrame:
    """What is left of the clean score at each severity, the mean over the types of a family, in percent.

    A type that was not tried at all severities of its family is left out: means over other types do not compare.

    Args:
        scores: of one trial and metric, columns `record.SCORES`.

    Returns:
        Columns family, arm, severity, mean, deviation (over seeds, NaN for one), n.
    """
    own = scores[scores["applicable"].astype(bool) & (scores["clean"] > 0)]
    own = own.assign(severity=own["severity"].astype(int))
    tried = own.groupby(["family", "type"])["severity"].transform("nunique")
    own = own[tried == own.groupby("family")["severity"].transform("nunique")]
    rates = (100 * own["value"] / own["clean"]).rename("rate")
    keys = ["family", "arm", "severity"]
    seeds = rates.groupby([own[key] for key in [*keys, "seed"]], sort=False).mean()
    return seeds.groupby(keys, sort=False).agg(mean="mean", deviation="std", n="count").reset_index()
