"""Tables of single classes: AP and errors of detection, IoU of map segmentation."""

from collections.abc import Sequence

import pandas as pd

from pipeline.frames.labels import DETECTION_CLASSES
from pipeline.frames.maps import MAP_CLASSES
from pipeline.reporting.tables.table import Table, number_text, share_text, summarise

# Task, prefix of the metrics, classes, and what the numbers are.
BY_ARM = (
    ("detection", "AP", DETECTION_CLASSES, "AP by class"),
    ("map", "iou_best", MAP_CLASSES, "IoU by class, best threshold on validation (oracle)"),
    ("map", "iou_calibrated", MAP_CLASSES, "IoU by class, threshold chosen on labelled training frames"),
)
ERRORS = ("ATE", "ASE", "AOE", "AVE", "AAE")  # translation, scale, orientation, velocity, attribute


def class_tables(values: pd.DataFrame) -> list[Table]:
    """The tables for which there are values (see `read_results`), detection first."""
    tables = [by_arm_table(values, *what) for what in BY_ARM]
    tables.insert(1, detection_table(values))
    return [table for table in tables if table]


def by_arm_table(values: pd.DataFrame, task: str, prefix: str, names: Sequence[str], title: str) -> Table | None:
    """One number of every class, mean over seeds: arm and fraction by class; None without values."""
    means = _means(values, task)
    shown = [name for name in names if any(metric == f"{prefix}/{name}" for _, _, metric in means)]
    if not shown:
        return None
    rows = [
        [arm, share_text(fraction), *(number_text(means.get((arm, fraction, f"{prefix}/{name}"))) for name in shown)]
        for arm, fraction in dict.fromkeys((arm, fraction) for arm, fraction, _ in means)
    ]
    absent = [name for name in names if name not in shown]
    note = "Mean over seeds." + (f" Not in validation: {', '.join(absent)}." if absent else "")
    return Table(f"{task}: {title}", note, ["arm", "labels", *shown], rows, f"{task}_{prefix}_by_class")


def detection_table(values: pd.DataFrame) -> Table | None:
    """AP at every distance and TP errors of every class, at the largest label fraction; None without values."""
    means = _means(values, "detection")
    distances = list(dict.fromkeys(metric.partition("/")[0] for *_, metric in means if metric.startswith("AP@")))
    if not distances:
        return None
    fraction = max(fraction for _, fraction, _ in means)
    arms = list(dict.fromkeys(arm for arm, of, _ in means if of == fraction))
    rows = [
        [name, arm, *(number_text(means.get((arm, fraction, f"{column}/{name}"))) for column in (*distances, *ERRORS))]
        for name in DETECTION_CLASSES
        for arm in arms
        if (arm, fraction, f"{distances[0]}/{name}") in means
    ]
    title = (
        f"detection: AP by distance and errors of true positives, by class, with {share_text(fraction)} of the labels"
    )
    note = (
        "Mean over seeds. AP@d: predictions within d metres count; errors of those within 2 m: translation (m), scale "
        "(1 - IoU), orientation (rad), velocity (m/s), attribute (1 - accuracy); the devkit takes 1 where recall stays "
        "below 0.1."
    )
    return Table(title, note, ["class", "arm", *distances, *ERRORS], rows, "detection_errors_by_class")


def _means(values: pd.DataFrame, task: str) -> dict[tuple[str, float, str], float]:
    """(arm, fraction, metric) -> mean over seeds, of the metrics of single classes."""
    own = values[(values["task"] == task) & values["metric"].str.contains("/")]
    return {(row["arm"], row["fraction"], row["metric"]): row["mean"] for row in summarise(own).to_dict("records")}
