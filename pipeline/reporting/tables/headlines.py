"""The main table: every arm at every label fraction, all headline scores in one row."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.reporting.tables.anchors import arm_anchor, trial_anchor
from pipeline.reporting.tables.table import HEADLINES, Cells, Table, mean_text, share_text, summarise

SHOWN = {
    "mAP_present": "mAP, classes present",
    "mAP": "mAP",
    "NDS": "NDS",
    "mIoU_best": "mIoU, best threshold",
    "mIoU_calibrated": "mIoU, calibrated",
}
NOTE = (
    "Mean ± sample deviation over n seeds; labels: share of the labelled training scenes. mAP and NDS: detection. "
    "mIoU: map segmentation, thresholds chosen on validation (the oracle of the literature) or calibrated on labelled "
    "training frames. A number links to its cells: single seeds, checkpoints, commands."
)


def headline_table(values: pd.DataFrame) -> Table | None:
    """One row per label fraction and arm, fractions ascending; None without values (see `read_results`)."""
    own = summarise(values[values["metric"].isin(list(SHOWN))])
    if own.empty:
        return None
    found = {(row["arm"], row["fraction"], row["metric"]): row for row in own.to_dict("records")}
    metrics = [(task, name) for task, names in HEADLINES.items() for name in names if name in set(own["metric"])]
    rows: list[list[str]] = []
    cells = Cells()
    for fraction in sorted(set(own["fraction"])):
        for arm in dict.fromkeys(own.loc[own["fraction"] == fraction, "arm"]):
            scores = [found.get((arm, fraction, name)) for _, name in metrics]
            seeds = max(score["n"] for score in scores if score is not None)
            cells.links[len(rows), 1] = arm_anchor(arm)
            for column, ((task, _), score) in enumerate(zip(metrics, scores, strict=True), start=3):
                if score is not None:
                    cells.links[len(rows), column] = trial_anchor(arm, task, fraction)
            if arm == own["arm"].iloc[0] and rows:
                cells.rules.add(len(rows))
            rows.append([share_text(fraction), arm, str(seeds), *(_text(score, seeds) for score in scores)])
    header = ["labels", "arm", "n", *(SHOWN[name] for _, name in metrics)]
    return Table("Main results", NOTE, header, rows, "main_results", cells)


def _text(score: Mapping[Any, Any] | None, seeds: int) -> str:
    if score is None:
        return "–"
    return mean_text(score, count=score["n"] != seeds)
