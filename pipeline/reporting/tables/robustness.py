"""What corruptions cost, as tables and as the numbers that DVC shows; `reporting.figures.robustness` draws it."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.reporting.tables.table import Table
from pipeline.robustness.summary import EVERY, mean_over_types, measure_types, over_seeds

MEANS = {"CE": "mCE", "CE_reference": "mCE_reference", "RR": "mRR", "RCE": "mRCE"}  # over types
TYPE_TITLES = {"CE": "corruption error CE", "RR": "resilience rate RR", "RCE": "relative corruption error RCE"}
TABLE, CURVE = "robustness.csv", "robustness_types.csv"


class Robustness:
    """Means and deviations over seeds, by type and by arm."""

    def __init__(self, scores: pd.DataFrame, scratch: Mapping[str, str], reference: str) -> None:
        """`scores` as `read_stress` gives them; the others as in `measure_types`."""
        types = measure_types(scores, scratch, reference)
        self.types, self.means = over_seeds(types), over_seeds(mean_over_types(types))
        self.scores, self.reference = scores, reference
        self.bases = list(dict.fromkeys(scratch.values()))
        self.severities = ", ".join(dict.fromkeys(map(str, scores["severity"])))

    def tables(self) -> list[Table]:
        """Per trial and metric the means of every arm and family, and for the first metric of a trial every type."""
        tables = []
        for trial, metrics in self.trials().items():
            tables += [self._mean_table(trial, metric) for metric in metrics]
            tables += [self._type_table(trial, metrics[0], measure) for measure in TYPE_TITLES]
        return tables

    def brief(self) -> list[Table]:
        """For the terminal: the means over all types, by the first metric of every trial."""
        return [self._mean_table(trial, metrics[0], brief=True) for trial, metrics in self.trials().items()]

    def metrics(self) -> dict[str, Any]:
        """{trial: {metric: {arm: {family: {measure: mean over seeds}}}}}, for `dvc metrics show`."""
        found: dict[str, Any] = {}
        for row in self.means.to_dict("records"):
            place = found.setdefault(row["trial"], {}).setdefault(row["metric"], {}).setdefault(row["arm"], {})
            place.setdefault(row["family"], {})[MEANS[row["measure"]]] = row["mean"]
        return found

    def write(self, out: Path) -> None:
        """Writes every number by type, and of the first trial and metric what `dvc plots` draws; a head without rows
        where there is nothing."""
        order = ["trial", "metric", "family", "type", "arm", "measure", "mean", "deviation", "n"]
        rows = [[_plain(row[name]) for name in order] for row in self.types.to_dict("records")]
        (out / TABLE).write_text(_csv([order, *rows]))
        drawn = self._drawn()
        (out / CURVE).write_text(_csv([["type", "arm", "RR", "CE"], *([_plain(v) for v in row] for row in drawn)]))

    def trials(self) -> dict[str, list[str]]:
        """Trial -> its metrics, the most telling one first."""
        pairs = dict.fromkeys(zip(self.types["trial"], self.types["metric"], strict=True))
        return {trial: [metric for other, metric in pairs if other == trial] for trial, _ in pairs}

    def _drawn(self) -> list[tuple[str, str, float, float]]:
        """(family: type, arm, RR, CE) of the first trial and metric; NaN for what is not known."""
        for trial, metrics in self.trials().items():
            rows = self.types[(self.types["trial"] == trial) & (self.types["metric"] == metrics[0])]
            means = {(r["family"], r["type"], r["arm"], r["measure"]): r["mean"] for r in rows.to_dict("records")}
            keys = dict.fromkeys(key[:3] for key in means)
            return [
                (f"{family}: {kind}", arm, *(means.get((family, kind, arm, name), np.nan) for name in ("RR", "CE")))
                for family, kind, arm in keys
            ]
        return []

    def rates(self, trial: str, metric: str, measure: str) -> pd.DataFrame:
        """Rows of `types` of one trial, metric and measure."""
        own = self.types
        return own[(own["trial"] == trial) & (own["metric"] == metric) & (own["measure"] == measure)].copy()

    def _mean_table(self, trial: str, metric: str, *, brief: bool = False) -> Table:
        own = self.means[(self.means["trial"] == trial) & (self.means["metric"] == metric)]
        cells = {(r["arm"], r["family"], r["measure"]): r for r in own.to_dict("records")}
        rows = []
        for arm in dict.fromkeys(own["arm"]):
            families = [name for name in dict.fromkeys(own["family"]) if (arm, name, "RR") in cells]
            for family in [EVERY] if brief else families:
                found = [cells.get((arm, family, measure)) for measure in MEANS]
                shown = cells[arm, family, "RR"]
                texts = [_mean_text(row, shown["n"]) for row in found]
                rows.append([arm, *([] if brief else [family]), str(shown["types"]), str(shown["n"]), *texts])
        note = (
            f"Percent, means over types of corruption at severities {self.severities}; mean ± sample deviation over n "
            "seeds. mCE: errors in percent of those of the scratch arm of the same modality "
            f"({', '.join(self.bases)}); mCE/ref: of {self.reference} for every arm; below 100 is better. mRR: share "
            "of the clean score that is left; mRCE: share that is lost. Arms without cameras leave out what strikes a "
            "camera: compare by family."
        )
        head = ["arm", *([] if brief else ["family"]), "types", "n", "mCE", "mCE/ref", "mRR", "mRCE"]
        return Table(f"robustness of {trial}: {metric}", note, head, rows, f"robustness_{trial}_{metric}")

    def _type_table(self, trial: str, metric: str, measure: str) -> Table:
        own = self.types[(self.types["trial"] == trial) & (self.types["metric"] == metric)]
        arms = list(dict.fromkeys(own["arm"]))
        kinds = list(dict.fromkeys(zip(own["family"], own["type"], strict=True)))
        cells = {(r["family"], r["type"], r["arm"]): r for r in own[own["measure"] == measure].to_dict("records")}
        seeds = max((row["n"] for row in cells.values()), default=0)
        rows = [
            [f"{family}: {kind}", *(_mean_text(cells.get((family, kind, arm)), seeds) for arm in arms)]
            for family, kind in kinds
        ]
        note = f"Percent, mean ± sample deviation over n = {seeds} seeds; severities {self.severities}."
        title = f"robustness of {trial}: {metric}, {TYPE_TITLES[measure]}"
        return Table(title, note, ["type", *arms], rows, f"robustness_{trial}_{metric}_{measure}_by_type")


def _mean_text(row: Mapping[Any, Any] | None, seeds: int) -> str:
    """Mean ± deviation, and the number of seeds where it is another one than `seeds`."""
    if row is None:
        return "–"
    deviation = "" if pd.isna(row["deviation"]) else f" ± {row['deviation']:.1f}"
    return f"{round(row['mean'], 1) + 0:.1f}{deviation}" + (f" (n={row['n']})" if row["n"] != seeds else "")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.6g}"
    return value


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
