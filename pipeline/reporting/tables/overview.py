"""What was run, in a few lines: all of it read from cards and results."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.evaluation.record import parse_cell, read_metrics
from pipeline.reporting.lineage import Chain, misfits, params_digest
from pipeline.reporting.tables.table import Table, share_text

NOTE = "Read from the cards of the artifacts behind this page."


class Drive(NamedTuple):
    """Frames: of the data set, of the split that is scored, and those of the split that have cameras."""

    name: str
    split: str
    frames: int
    scored: int
    with_cameras: int


def overview_table(drive: Drive, arms: Sequence[str], results: Path, chain: Chain) -> Table:
    """Facts as rows: data, cells, seeds, robustness, machines, digests.

    Raises:
        UserError: metrics are missing or broken.
    """
    cells = {(arm, *parse_cell(cell)) for arm in arms for cell in read_metrics(results / arm)}
    trials = sorted({(task, fraction) for _, task, fraction, _ in cells})
    seeds = sorted({seed for *_, seed in cells})
    stressed = sorted(
        {path.split("/")[3] for path, one in chain.items() if path.startswith("data/stress/") and one.card}
    )
    carded = [one for one in chain.values() if one.card]
    wrong = len(misfits(chain))
    rows = [
        ["data set", f"{drive.name}, {drive.frames} frames"],
        ["scored on", f"{drive.split}, {drive.scored} frames, {drive.with_cameras} of them with cameras"],
        ["arms", ", ".join(arms)],
        ["trials", ", ".join(f"{task} with {share_text(fraction)} of the labels" for task, fraction in trials)],
        ["cells", f"{len(cells)} fine-tuned models; seeds {', '.join(map(str, seeds))}"],
        ["under disturbances", ", ".join(stressed) or "not tried"],
        ["computed on", "; ".join(sorted({_machine(one.card["environment"]) for one in carded}))],
        ["params", f"digest {params_digest(chain)[:16]} over the params on all cards"],
        ["cards", f"{len(carded)}, {f'{wrong} do not fit' if wrong else 'every one fits those that name it'}"],
        ["to check all of it", "calico audit reports"],
    ]
    return Table("What was run", NOTE, ["", ""], rows, "overview")


def _machine(environment: dict[str, object]) -> str:
    packages = environment.get("packages")
    torch = packages.get("torch", "?") if isinstance(packages, dict) else "?"
    return f"{environment.get('device')}, Python {environment.get('python')}, torch {torch}"
