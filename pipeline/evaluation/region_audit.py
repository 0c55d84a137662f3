"""The quality of a region store, and the files that tell it."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.artifacts.card import dump_json
from pipeline.artifacts.publish import write_file
from pipeline.engine import run_units
from pipeline.evaluation.record import METRICS, six_digits
from pipeline.evaluation.region_quality import Quality, add_up, measure_frame
from pipeline.evaluation.region_scores import (
    distance_rows,
    frame_rows,
    metrics,
    reason_rows,
    recall_distance_rows,
    recall_rows,
    size_rows,
)
from pipeline.evaluation.region_truth import Case
from pipeline.params import Runtime
from pipeline.regions.counts import COUNTS
from pipeline.regions.store import RegionStore

FRAMES_PER_UNIT = 256  # below that, starting workers costs more than they spare
TABLES = {
    "distances": distance_rows,
    "reasons": reason_rows,
    "recall": recall_rows,
    "recall_distance": recall_distance_rows,
    "regions_per_frame": frame_rows,
    "sizes": size_rows,
}


def audit_store(store: RegionStore, cases: Sequence[Case], positions: Sequence[int], runtime: Runtime) -> Quality:
    """The quality of the regions of some frames.

    Args:
        store: finished; its path is absolute, since workers may run elsewhere.
        cases: the frames.
        positions: of these frames in the store, none of them bad.
        runtime: workers; their number changes nothing.

    Raises:
        UserError: a frame, its regions or its truth cannot be read.
    """
    firsts = range(0, len(cases), FRAMES_PER_UNIT)
    units = [
        (store, tuple(cases[first : first + FRAMES_PER_UNIT]), tuple(positions[first : first + FRAMES_PER_UNIT]))
        for first in firsts
    ]
    return add_up(run_units(audit_frames, units, title="region quality", runtime=runtime))


def audit_frames(store: RegionStore, cases: tuple[Case, ...], positions: tuple[int, ...]) -> Quality:
    """One unit: the quality of a few frames of a store."""
    columns = {name: store.manifest.column(name) for name in COUNTS}
    quality = Quality()
    for case, position in zip(cases, positions, strict=True):
        points = case.read_points()
        ids = store.read(position, len(points))
        counts = {name: column[position] for name, column in columns.items()}
        quality += measure_frame(points, ids, counts, case.read_truth(points))
    return quality


def write_quality(folder: Path, quality: Quality, bad_frames: int) -> None:
    """Writes metrics.json and a CSV file for each of `TABLES`: six digits; undefined is null there and nan here."""
    numbers = metrics(quality)
    numbers["headline"]["bad_frames"] = bad_frames
    write_file(folder / METRICS, dump_json(six_digits(numbers)))
    for name, rows in TABLES.items():
        write_csv(folder / f"{name}.csv", rows(quality))


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Rows with equal keys; None becomes nan, which plots leave out (an empty cell they take for 0)."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if rows:
            writer.writerow(rows[0])
            writer.writerows(["nan" if value is None else value for value in six_digits(row).values()] for row in rows)
