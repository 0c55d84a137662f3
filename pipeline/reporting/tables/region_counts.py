"""What became of all points and clusters, from the card of the regions."""

from collections.abc import Mapping

from pipeline.regions.counts import REASONS
from pipeline.reporting.tables.table import Table

POINTS = {"rich": "in a region", "ground": "ground", "rejected": "in a rejected cluster", "noise": "noise"}
NOTE = "Over all frames. A rejected cluster may have several reasons. `docs/regions.md` says what each means."


def region_table(counts: Mapping[str, int]) -> Table | None:
    """Points and clusters by their fate, with shares; `counts` as on the card of the regions; None without points."""
    points, clusters = counts.get("points", 0), counts.get("clusters", 0)
    if not points:
        return None
    rows = [["points", "all", f"{points:,}", "100.0"]]
    rows += [["points", name, f"{counts[key]:,}", _percent(counts[key], points)] for key, name in POINTS.items()]
    rows += [["clusters", "all", f"{clusters:,}", _percent(clusters, clusters)]]
    rows += [["clusters", "kept: a region", f"{counts['kept']:,}", _percent(counts["kept"], clusters)]]
    rows += [
        ["clusters", f"rejected: {name}", f"{counts[name]:,}", _percent(counts[name], clusters)]
        for name in REASONS
        if counts.get(name)
    ]
    header = ["of", "which", "count", "percent"]
    return Table("What became of points and clusters", NOTE, header, rows, "region_counts")


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "–"
