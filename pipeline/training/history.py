"""The losses of a training run, step by step."""

import csv
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class History:
    """Values per step.

    Attributes:
        rows: one dictionary of loss terms (and `lr`, `gradient_norm`) per step.
    """

    rows: list[dict[str, float]] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """Each loss term's mean over the first and the last twentieth of the run: `<term>_start`, `<term>_end`."""
        window = max(1, len(self.rows) // 20)
        terms = [term for term in self.rows[0] if term not in ("lr", "gradient_norm")] if self.rows else []
        return {
            f"{term}_{edge}": round(sum(row[term] for row in rows) / window, 4)
            for term in terms
            for edge, rows in (("start", self.rows[:window]), ("end", self.rows[-window:]))
        }

    def write(self, path: Path) -> None:
        """Writes CSV with the columns step, then the terms, in six significant digits."""
        with path.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["step", *self.rows[0]])
            writer.writerows(
                [[step, *(f"{value:.6g}" for value in row.values())] for step, row in enumerate(self.rows)]
            )
