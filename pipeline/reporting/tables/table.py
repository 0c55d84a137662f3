"""Results of all cells as tables: mean and deviation over seeds, and differences paired by seed."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.artifacts.card import read_card
from pipeline.evaluation.record import parse_cell, read_metrics
from pipeline.reporting.methods import method_name
from pipeline.reporting.tables.anchors import arm_anchor, artifact_anchor, trial_anchor

# Task -> the metrics shown, in order; the first one is compared between arms first.
HEADLINES = {"detection": ("mAP_present", "mAP", "NDS"), "map": ("mIoU_best", "mIoU_calibrated", "mIoU_at_half")}
BRIEF = {"detection": ("mAP_present", "NDS"), "map": ("mIoU_best", "mIoU_calibrated")}  # for the terminal
TITLES = {
    "mAP_present": "mAP over the classes present in validation",
    "mAP": "mAP over all ten classes",
    "NDS": "NDS",
    "mIoU_best": "mIoU, best threshold per class on validation (the oracle of the literature)",
    "mIoU_calibrated": "mIoU, threshold per class chosen on labelled training frames",
    "mIoU_at_half": "mIoU at threshold 0.5",
}
KEYS = ["task", "metric", "arm", "fraction"]


@dataclass
class Cells:
    """Where the cells of a table lead on the page, by row and column from 0.

    Attributes:
        links: (row, column) -> a place, see `pipeline.reporting.tables.anchors`.
        places: row -> the name of the place that this row itself is.
        rules: rows above which a line is drawn.
    """

    links: dict[tuple[int, int], str] = field(default_factory=dict)
    places: dict[int, str] = field(default_factory=dict)
    rules: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Table:
    """A table ready to be shown; every cell is text. `name` is the stem of its CSV and LaTeX files; "" for none."""

    title: str
    note: str
    header: list[str]
    rows: list[list[str]]
    name: str = ""
    cells: Cells = field(default_factory=Cells)


def read_results(results: Path, arms: Sequence[str]) -> pd.DataFrame:
    """Every number of every cell, one a row.

    Args:
        results: folder that holds one folder per arm.
        arms: rows of the tables, in their order.

    Returns:
        Columns task, metric, arm, fraction, seed, value; metrics of single classes are named `AP/<class>`,
        `AP@<metres>/<class>`, `ATE/<class>` and the like, `iou_best/<class>` and `iou_calibrated/<class>`. Undefined
        values are left out.

    Raises:
        UserError: a folder or its metrics are missing or broken.
    """
    rows: list[tuple[str, str, str, float, int, float]] = []
    for arm in arms:
        for cell, metrics in read_metrics(results / arm).items():
            task, fraction, seed = parse_cell(cell)
            values = {name: metrics.get(name) for name in HEADLINES[task]}
            present = metrics.get("present", [])
            values |= {f"AP/{name}": value for name, value in metrics.get("AP", {}).items() if name in present}
            for name, by_metres in metrics.get("AP_at", {}).items():
                values |= {f"AP@{metres}/{name}": value for metres, value in by_metres.items()}
            for name, errors in metrics.get("TP_by_class", {}).items():
                values |= {f"{error}/{name}": value for error, value in errors.items()}
            for kind in ("iou_best", "iou_calibrated"):
                values |= {f"{kind}/{name}": value for name, value in metrics.get(kind, {}).items()}
            rows += [(task, name, arm, fraction, seed, v) for name, v in values.items() if v is not None]
    return pd.DataFrame(rows, columns=[*KEYS, "seed", "value"])


def degenerate_cells(results: Path, arms: Sequence[str]) -> list[str]:
    """Cells whose predictions carry nothing, as `<arm> <task>-<fraction>-<seed>: <why>`."""
    return [
        f"{arm} {cell}: {why}"
        for arm in arms
        for cell, metrics in read_metrics(results / arm).items()
        if (why := metrics.get("degenerate"))
    ]


def summarise(values: pd.DataFrame) -> pd.DataFrame:
    """Over the seeds of each task, metric, arm and fraction: mean, sample deviation (NaN for one seed) and n."""
    grouped = values.groupby(KEYS, sort=False)["value"]
    return grouped.agg(mean="mean", deviation="std", n="count").reset_index()


def paired_differences(values: pd.DataFrame, reference: str) -> pd.DataFrame:
    """`value` minus that of arm `reference` with the same task, metric, fraction and seed.

    Seeds that only one of the two has are left out. The deviation of these differences, not that of the arms, tells
    whether two arms differ: what a seed does to both of them cancels.

    Returns:
        The columns of `values`, without the reference's own rows.
    """
    keys = ["task", "metric", "fraction", "seed"]
    base = values.loc[values["arm"] == reference, [*keys, "value"]]
    joined = values.loc[values["arm"] != reference].merge(base, on=keys, suffixes=("", "_reference"))
    joined["value"] = joined["value"] - joined["value_reference"]
    return joined[[*KEYS, "seed", "value"]]


def result_tables(
    values: pd.DataFrame, reference: str, headlines: Mapping[str, tuple[str, ...]] = HEADLINES
) -> list[Table]:
    """Per task and metric of `headlines`: arms by label fraction, and the differences to the reference arm."""
    tables = []
    summary, difference = summarise(values), summarise(paired_differences(values, reference))
    for task, metrics in headlines.items():
        for metric in metrics:
            own = summary[(summary["task"] == task) & (summary["metric"] == metric)]
            if own.empty:
                continue
            paired = difference[(difference["task"] == task) & (difference["metric"] == metric)]
            note = "Mean ± sample deviation over n seeds; columns are shares of the labelled training scenes."
            tables.append(_by_fraction(f"{task}: {TITLES[metric]}", note, own, f"{task}_{metric}"))
            if not paired.empty:
                note = f"Arm minus {reference}, paired by seed: mean ± sample deviation of the n differences."
                name = f"{task}_{metric}_against_{reference}"
                tables.append(_by_fraction(f"{task}: {metric} against {reference}", note, paired, name, signed=True))
    return tables


def headline_means(values: pd.DataFrame) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """{task: {metric: {arm: {fraction: mean over seeds}}}} of the headline metrics, for `dvc metrics show`."""
    means: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for row in summarise(values).to_dict("records"):
        if row["metric"] in HEADLINES[row["task"]]:
            arms = means.setdefault(row["task"], {}).setdefault(row["metric"], {})
            arms.setdefault(row["arm"], {})[str(row["fraction"])] = row["mean"]
    return means


def loss_table(pretrained: Sequence[Path]) -> Table | None:
    """Losses of pre-trained checkpoints at their start and end, from their cards; None where there is none."""
    rows: list[list[str]] = []
    cells = Cells()
    for folder in pretrained:
        metrics, name = read_card(folder)["metrics"], method_name(folder)
        terms = [key.removesuffix("_start") for key in metrics if key.endswith("_start")]
        for term in terms:
            cells.links[len(rows), 0] = artifact_anchor(folder.as_posix())
            rows.append([name, term, number_text(metrics[f"{term}_start"]), number_text(metrics.get(f"{term}_end"))])
    note = "Mean over the first and the last twentieth of the steps."
    header = ["checkpoint", "term", "start", "end"]
    return Table("Pre-training losses", note, header, rows, "pretraining_losses", cells) if rows else None


def _by_fraction(title: str, note: str, summary: pd.DataFrame, name: str, *, signed: bool = False) -> Table:
    fractions = sorted(set(summary["fraction"]))
    found = {(row["arm"], row["fraction"]): row for row in summary.to_dict("records")}
    task, rows, cells = summary["task"].iloc[0], [], Cells()
    for number, arm in enumerate(dict.fromkeys(summary["arm"])):
        own = [found.get((arm, fraction)) for fraction in fractions]
        rows.append([arm, *("–" if row is None else mean_text(row, signed=signed, count=True) for row in own)])
        cells.links[number, 0] = arm_anchor(arm)
        for column, (fraction, row) in enumerate(zip(fractions, own, strict=True), start=1):
            if row is not None:
                cells.links[number, column] = trial_anchor(arm, task, fraction)
    return Table(title, note, ["arm", *map(share_text, fractions)], rows, name, cells)


def mean_text(row: Mapping[Hashable, Any], *, signed: bool = False, count: bool = False) -> str:
    """Mean ± sample deviation of a row of `summarise`, three decimals, and the number of seeds where `count`."""
    number = f"{row['mean']:+.3f}" if signed else f"{row['mean']:.3f}"
    deviation = "" if pd.isna(row["deviation"]) else f" ± {row['deviation']:.3f}"
    return f"{number}{deviation}" + (f" (n={row['n']})" if count else "")


def number_text(value: float | None) -> str:
    """Three decimals; a dash for what is not known."""
    return "–" if value is None else f"{value:.3f}"


def share_text(fraction: float) -> str:
    """A label fraction in percent."""
    return f"{100 * fraction:g} %"
