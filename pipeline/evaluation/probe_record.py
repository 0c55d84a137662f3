"""The files of a probed checkpoint: the scores over the steps of its training, and those of its end."""

import csv
from collections.abc import Mapping
from pathlib import Path

from pipeline.artifacts.card import dump_json
from pipeline.artifacts.publish import write_file
from pipeline.evaluation.record import METRICS, six_digits

CURVE = "probe.csv"
FIRST, LAST, GEOMETRY = "untrained", "trained", "geometry"
Scores = Mapping[str, float]


def write_probes(folder: Path, by_step: Mapping[int, Scores], geometry: Scores | None = None) -> None:
    """Writes `probe.csv`, one row a snapshot, and metrics.json with the first, the last and what no network gives.

    Args:
        folder: an existing folder.
        by_step: the scores by number of steps, ascending; the same names for all of them.
        geometry: the scores without a network.
    """
    steps = list(by_step)
    names = sorted(by_step[steps[0]])
    with (folder / CURVE).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["step", *names])
        writer.writerows([[step, *(f"{by_step[step][name]:.6g}" for name in names)] for step in steps])
    write_file(folder / METRICS, dump_json(headline(by_step, geometry)))


def headline(by_step: Mapping[int, Scores], geometry: Scores | None = None) -> dict[str, dict[str, float]]:
    """{untrained | trained | geometry: scores}, six digits; what is left out is left out."""
    steps = list(by_step)
    found = {FIRST: by_step[steps[0]]} if steps[0] == 0 else {}
    found |= {LAST: by_step[steps[-1]]} | ({GEOMETRY: geometry} if geometry else {})
    return {name: six_digits(dict(scores)) for name, scores in found.items()}


def read_curve(path: Path) -> list[dict[str, float]]:
    """The rows of a `probe.csv`, ascending by `step`."""
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
