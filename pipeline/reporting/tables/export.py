"""Every table as CSV and as LaTeX, to take into a paper."""

import csv
import io
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from pipeline.reporting.tables.sorting import numeric_columns
from pipeline.reporting.tables.table import Table, summarise

LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "[": "{[}",
    "±": r"$\pm$", "–": "--", "→": r"$\rightarrow$", "≈": r"$\approx$",
    "≥": r"$\geq$", "≤": r"$\leq$", "×": r"$\times$", "°": r"$^\circ$", "<": r"$<$", ">": r"$>$", "…": r"\ldots{}",
    "α": r"$\alpha$", "τ": r"$\tau$",
}  # fmt: skip
SCORES, SUMMARY = "scores.csv", "scores_summary.csv"


def write_tables(tables: Iterable[Table], values: pd.DataFrame, folder: Path) -> None:
    """Writes NAME.csv and NAME.tex of every table that has a name, and all scores as numbers.

    Args:
        tables: their names are unique.
        values: as `read_results` gives them: `scores.csv` holds them, `scores_summary.csv` mean, deviation and n.
        folder: made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    named = [table for table in tables if table.name]
    assert len({table.name for table in named}) == len(named)
    for table in named:
        (folder / f"{table.name}.csv").write_text(to_csv(table), encoding="utf-8")
        (folder / f"{table.name}.tex").write_text(to_latex(table), encoding="utf-8")
    for name, frame in ((SCORES, values), (SUMMARY, summarise(values))):
        frame.to_csv(folder / name, index=False, float_format="%.6g", lineterminator="\n")


def to_csv(table: Table) -> str:
    """Header and rows, as they are shown."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([table.header, *table.rows])
    return text.getvalue()


def to_latex(table: Table) -> str:
    """A `tabular` for `\\input`, which needs the package booktabs; title and note are comments above it."""
    layout = "".join("r" if numbers else "l" for numbers in numeric_columns(table))
    rows = [
        "\\midrule\n" * (number in table.cells.rules) + " & ".join(map(_escape, row)) + r" \\"
        for number, row in enumerate(table.rows)
    ]
    return "\n".join(
        [
            *(f"% {_escape(line)}" for line in (table.title, table.note) if line),
            rf"\begin{{tabular}}{{{layout}}}", r"\toprule",
            " & ".join(map(_escape, table.header)) + r" \\", r"\midrule", *rows, r"\bottomrule", r"\end{tabular}", "",
        ]
    )  # fmt: skip


def _escape(text: str) -> str:
    """Text for LaTeX; a minus before a number is one, not a hyphen."""
    escaped = "".join(LATEX.get(letter, letter) for letter in text)
    return re.sub(r"(^|[ }])-(?=\d)", r"\1$-$", escaped)
