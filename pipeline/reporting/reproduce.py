"""How each row was made: for every arm its start, its cells with single values and digests, and exact commands."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.evaluation.record import parse_cell, read_metrics
from pipeline.params import Arm
from pipeline.reporting.lineage import CHECKPOINTS, STRESS, Chain
from pipeline.reporting.page.report import Block
from pipeline.reporting.tables.anchors import arm_anchor, trial_anchor
from pipeline.reporting.tables.table import HEADLINES, Cells, Table, number_text, share_text

MODALITIES = {"L": "LiDAR", "LC": "LiDAR and cameras"}
CELLS = (
    "Scores of single seeds. Labelled frames and the SHA-256 of their sample tokens as on the checkpoint's card; "
    "checkpoint: its identity, by which the card of the scores names it."
)


def arm_blocks(arms: Mapping[str, Arm], families: Sequence[str], results: Path, chain: Chain) -> list[Block]:
    """One block per arm.

    Args:
        arms: in the order of the tables.
        families: of disturbances that were tried.
        results: folder that holds one folder per arm.
        chain: of the report.

    Raises:
        UserError: metrics are missing or broken.
    """
    return [
        Block(arm, arm_anchor(arm), _facts(arm, own, chain), _cells(arm, results, chain), _commands(arm, families))
        for arm, own in arms.items()
    ]


def strange_labels(blocks_of: Sequence[str], ledger: Mapping[str, Mapping[str, object]], chain: Chain) -> list[str]:
    """Checkpoints of these arms whose card names other labelled frames than the list of their fraction."""
    strange = []
    for path, one in chain.items():
        arm, _, cell = path.removeprefix(f"{CHECKPOINTS}/").partition("/")
        if not path.startswith(f"{CHECKPOINTS}/") or arm not in blocks_of or not one.card:
            continue
        _, fraction, _ = parse_cell(cell)
        if one.card["labels"]["sha256"] != ledger.get(f"{fraction:g}", {}).get("sha256"):
            strange.append(f"{path}: its labelled frames are not those of the list of {share_text(fraction)}")
    return strange


def _facts(arm: str, own: Arm, chain: Chain) -> list[tuple[str, str]]:
    start, results = f"data/checkpoints/start/{arm}", f"data/results/{arm}"
    facts = [("sensors", MODALITIES[own.modality]), ("LiDAR branch starts from", own.lidar)]
    facts += [("camera branch starts from", own.camera)] if own.modality == "LC" else []
    facts += [(f"identity of {path}", chain[path].identity) for path in (start, results) if path in chain]
    outside = chain[start].card.get("labels", {}).get("outside", []) if start in chain else []
    return [*facts, ("labels of other data sets seen", ", ".join(outside) or "none")]


def _cells(arm: str, results: Path, chain: Chain) -> Table:
    found = read_metrics(results / arm)
    metrics = [
        name for names in HEADLINES.values() for name in names if any(of.get(name) is not None for of in found.values())
    ]
    rows: list[list[str]] = []
    cells = Cells()
    for cell in sorted(found, key=parse_cell):
        task, fraction, seed = parse_cell(cell)
        place = trial_anchor(arm, task, fraction)
        if place not in cells.places.values():
            cells.places[len(rows)] = place
        one = chain.get(f"{CHECKPOINTS}/{arm}/{cell}")
        card = one.card if one else {}
        labels = [str(card["labels"]["count"]), card["labels"]["sha256"][:16]] if card else ["–", "–"]
        values = [number_text(found[cell].get(name)) for name in metrics]
        identity = one.identity[:16] if one and one.identity else "–"
        command = f"dvc repro finetune@{arm}-{cell}"
        rows.append([task, share_text(fraction), str(seed), *values, *labels, identity, command])
    header = ["task", "labels", "seed", *metrics, "labelled frames", "token list", "checkpoint", "makes the checkpoint"]
    return Table(f"Cells of {arm}", CELLS, header, rows, f"cells_{arm}", cells)


def _commands(arm: str, families: Sequence[str]) -> list[tuple[str, str]]:
    results = f"data/results/{arm}"
    return [
        (f"dvc repro evaluate@{arm}", "whatever is stale of the arm: its cells and scores"),
        *((f"dvc repro stress@{arm}-{family}", f"its scores under {family}") for family in families),
        (f"calico audit {results}/metrics.json", "hashes all that stands behind the scores, down to the raw frames"),
        *((f"calico audit {STRESS}/{arm}/{family}", f"the same for {family}") for family in families),
        (f"calico lineage {results} --html {arm}.html", "that chain as a page, with every card"),
    ]
