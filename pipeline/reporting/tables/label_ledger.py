"""How many labels each fraction of the results means, and which: by digest."""

from collections.abc import Mapping
from typing import Any

from pipeline.reporting.tables.table import Table, share_text


def ledger_table(ledger: Mapping[str, Mapping[str, Any]], used: set[float]) -> Table | None:
    """Scenes and frames of every fraction that a trial uses, with the digest of its sample tokens; None without any.

    Args:
        ledger: of `pipeline.frames.labels.Labels`.
        used: fractions of the results.
    """
    rows = [
        [share_text(float(name)), str(own["scenes"]), str(own["frames"]), own["sha256"][:16]]
        for name, own in sorted(ledger.items(), key=lambda item: float(item[0]))
        if float(name) in used
    ]
    note = (
        "Labelled training scenes and frames of a fraction: every (1 / fraction)-th scene of the sorted names. The "
        "SHA-256 of the sample tokens, here its first digits, stands on the card of every model that they trained."
    )
    header = ["labels", "scenes", "frames", "token list"]
    return Table("Label ledger", note, header, rows, "label_ledger") if rows else None
