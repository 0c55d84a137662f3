"""Writes tables between the marks of a Markdown page, so that no cell of it is typed by hand.

python -m benchmarks.fill_tables README.md reports/tables    # NAME.csv under <!-- table: NAME --> … <!-- end -->
"""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd


def fill(page: str, tables: Mapping[str, str]) -> str:
    """A page with every table between its marks; marks without a table are left as they are."""

    def put(found: re.Match[str]) -> str:
        return f"{found[1]}\n{tables[found[2]]}\n{found[3]}" if found[2] in tables else found[0]

    return re.sub(r"(<!-- table: ([\w.-]+) -->)\n.*?(<!-- end -->)", put, page, flags=re.DOTALL)


def markdown(table: pd.DataFrame) -> str:
    """A table; columns with a number in them are flushed right."""
    rows = table.astype(str).to_numpy().tolist()
    sides = [
        "--:" if any(re.match(r"[-+]?\d", cell) for cell in column) else "---" for column in zip(*rows, strict=True)
    ]
    rows = [list(table.columns), sides, *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def read_tables(folder: Path) -> dict[str, str]:
    """Every CSV file of a folder as Markdown, by its stem."""
    return {path.stem: markdown(pd.read_csv(path, dtype=str, keep_default_na=False)) for path in folder.glob("*.csv")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("folder", type=Path)
    parsed = parser.parse_args()
    parsed.page.write_text(fill(parsed.page.read_text(encoding="utf-8"), read_tables(parsed.folder)), encoding="utf-8")


if __name__ == "__main__":
    main()
