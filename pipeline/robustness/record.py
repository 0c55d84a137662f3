"""data/stress/<arm>/<family>: the scores of an arm's fine-tuned models under every condition of a family."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.artifacts.card import dump_json
from pipeline.artifacts.publish import write_file
from pipeline.errors import UserError
from pipeline.evaluation.record import METRICS, parse_cell, six_digits

CONDITIONS = "conditions.csv"
SCORES = ["arm", "trial", "seed", "metric", "family", "type", "severity", "value", "clean", "applicable"]
RATES = ["arm", "trial", "seed", "count", "frames", "left_out", "false_alarms", "attacked", "fooled"]
# Task -> the scores that robustness is measured in, the first one first.
MEASURED = {"detection": ("NDS", "mAP"), "map": ("mIoU_calibrated", "mIoU_best", "mIoU_at_half")}
Scores = Mapping[str, Mapping[str, Any]]  # cell -> numbers


def write_stress(folder: Path, clean: Scores, tried: Mapping[tuple[str, Any], Scores | None]) -> None:
    """Writes metrics.json, and conditions.csv with a row per model, condition and measured score.

    Args:
        folder: exists.
        clean: scores on clean frames.
        tried: (type, severity) -> scores; None where the condition changes no sensor that the arm has.
    """
    cells = {}
    rows = []
    for cell, own in clean.items():
        task, _, _ = parse_cell(cell)
        conditions: dict[str, dict[str, Any]] = {}
        for (kind, severity), scores in tried.items():
            if scores is not None:
                conditions.setdefault(kind, {})[str(severity)] = scores[cell]
                rows += [[cell, kind, severity, name, scores[cell][name]] for name in MEASURED[task]]
        cells[cell] = {"clean": own, "conditions": conditions}
    left_out: dict[str, list[str]] = {}
    for (kind, severity), scores in tried.items():
        if scores is None:
            left_out.setdefault(kind, []).append(str(severity))
    write_file(folder / METRICS, dump_json(six_digits({"cells": cells, "not_applicable": left_out})))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [["cell", "type", "severity", "metric", "value"], *six_digits(rows)]
    )
    write_file(folder / CONDITIONS, text.getvalue().encode())


def read_stress(stress: Path, arms: Sequence[str], families: Sequence[str]) -> pd.DataFrame:
    """Every score under every condition, one a row, as `pipeline.robustness.summary` takes them.

    Args:
        stress: folder that holds arm/family.
        arms: in the order of the tables.
        families: likewise.

    Returns:
        Columns `SCORES`; scores that are undefined, clean or not, are left out.

    Raises:
        UserError: a folder or its metrics are missing or broken.
    """
    rows: list[tuple[Any, ...]] = []
    for arm in arms:
        for family in families:
            found = _read(stress / arm / family / METRICS)
            for cell, record in found["cells"].items():
                trial, _, seed = cell.rpartition("-")
                for name in MEASURED[parse_cell(cell)[0]]:
                    clean = record["clean"][name]
                    values = [
                        (kind, severity, scores[name], True)
                        for kind, levels in record["conditions"].items()
                        for severity, scores in levels.items()
                    ]
                    values += [
                        (kind, level, clean, False) for kind, of in found["not_applicable"].items() for level in of
                    ]
                    rows += [
                        (arm, trial, int(seed), name, family, kind, severity, value, clean, applicable)
                        for kind, severity, value, applicable in values
                        if value is not None and clean is not None
                    ]
    return pd.DataFrame(rows, columns=SCORES)


def read_spoofing(stress: Path, arms: Sequence[str]) -> pd.DataFrame:
    """The success of spoofing, one row per model and number of points.

    Args:
        stress: folder that holds arm/spoofing.
        arms: in the order of the tables.

    Returns:
        Columns `RATES`; see `pipeline.robustness.spoofing_rate.SpoofingRate`. Models that detect nothing have none.

    Raises:
        UserError: a folder or its metrics are missing or broken.
    """
    rows: list[list[Any]] = []
    for arm in arms:
        for cell, record in _read(stress / arm / "spoofing" / METRICS)["cells"].items():
            trial, _, seed = cell.rpartition("-")
            for levels in record["conditions"].values():
                found = [scores["spoofing"] for scores in levels.values() if "spoofing" in scores]
                rows += [[arm, trial, int(seed), *(one[name] for name in RATES[3:])] for one in found]
    return pd.DataFrame(rows, columns=RATES)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict) or not {"cells", "not_applicable"} <= content.keys():
            raise ValueError("it is not the record of a robustness test")
    except (OSError, ValueError) as error:
        raise UserError(
            f"the scores under disturbances cannot be read: {error}", where=str(path), remedy="run `dvc repro stress`"
        ) from error
    return content
