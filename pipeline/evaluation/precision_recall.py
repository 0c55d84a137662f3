"""Precision over recall of every class, as the devkit samples them, in a CSV that DVC plots."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts.publish import write_file
from pipeline.frames.labels import DETECTION_CLASSES

CURVES = "precision_recall.csv"  # of an arm: its model with the largest label fraction, first seed
MEAN = "mean"  # column: over the classes that occur


def write_precision_recall(
    path: Path, recall: NDArray[np.float64], precision: Mapping[str, NDArray[np.float64]], present: Sequence[str]
) -> None:
    """Writes recall, the mean over the classes of `present`, and one column a class; four decimals.

    Args:
        path: of the file.
        recall: [R], ascending.
        precision: class -> [R]; zero beyond the recall that the class reaches.
        present: classes with a true box; the columns of the others stay empty, so that the header never changes.
    """
    curves = {name: precision[name] for name in DETECTION_CLASSES if name in present}
    if curves:
        curves[MEAN] = np.mean(list(curves.values()), axis=0)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["recall", MEAN, *DETECTION_CLASSES])
    for row, at in enumerate(recall):
        numbers = [f"{curves[name][row]:.4f}" if name in curves else "" for name in (MEAN, *DETECTION_CLASSES)]
        rows.writerow([f"{at:.2f}", *numbers])
    write_file(path, text.getvalue().encode())
