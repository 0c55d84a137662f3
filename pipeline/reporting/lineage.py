"""The chain behind the report as its cards record it. Cards are compared with each other, nothing else is hashed."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.artifacts.card import CARD, OUTSIDE, dump_json, identity, read_card
from pipeline.artifacts.diagram import Box, draw, without_detours
from pipeline.errors import UserError
from pipeline.reporting.tables.anchors import arm_anchor, artifact_anchor
from pipeline.reporting.tables.table import Cells, Table

BOX, GAP = 132, (12, 32)  # pixels
CHECKPOINTS, STRESS, PROBES = "data/checkpoints/finetune", "data/stress", "data/probes"
BY_ARM = re.compile(rf"(data/checkpoints/start|{CHECKPOINTS}|data/results|{STRESS})/([^/]+)(?:/.*)?")
NOTE = (
    "As recorded on the cards when the report was written. Identity: SHA-256 of the card, which lists the digests of "
    "its files and the identities of its inputs. Only cards were compared here: `calico audit reports` hashes every "
    "file again and holds all of it against dvc.lock, params and code; `calico audit PATH` does so for one row."
)


@dataclass(frozen=True)
class Recorded:
    """An artifact or input by its card; `card` is empty and `identity` told by its reader where there is none."""

    path: str
    identity: str
    card: Mapping[str, Any]
    inputs: tuple[str, ...] = ()
    problem: str = ""
    imported: bool = False  # `dvc import` brought it: its inputs need not be those that lie here

    @property
    def labelled(self) -> int | None:
        """How many labelled frames it was made with, those behind its inputs apart; None without a card."""
        return self.card["labels"]["count"] if self.card else None


Chain = dict[str, Recorded]  # by path, inputs before what was made from them


def recorded_chain(inputs: Sequence[Path]) -> Chain:
    """Everything that the cards of `inputs` name, and so on upwards; the working directory is the project's root."""
    chain: Chain = {}
    for path in inputs:
        _visit(path.as_posix(), None, chain, set())
    return chain


def misfits(chain: Chain) -> list[str]:
    """What does not fit, one sentence an artifact."""
    return [f"{one.path}: {one.problem}" for one in chain.values() if one.problem]


def params_digest(chain: Chain) -> str:
    """SHA-256 over the params on all cards: two reports with the same one answer the same question."""
    return hashlib.sha256(dump_json({path: one.card.get("params") for path, one in chain.items()})).hexdigest()


def _visit(path: str, expected: str | None, chain: Chain, open_: set[str]) -> None:
    if path in chain or path in open_:
        one = chain.get(path)
        if one and one.card and expected not in (None, one.identity):
            chain[path] = replace(one, problem=_swapped(one.identity, str(expected)))
        return
    open_.add(path)
    folder = Path(path)
    inside = not path.startswith(OUTSIDE) and not folder.is_absolute() and ".." not in folder.parts
    if not inside or not (folder / CARD).is_file():
        chain[path] = Recorded(path, expected or "", {})
        return
    try:
        card, found = read_card(folder), identity(folder)
    except UserError as error:
        chain[path] = Recorded(path, expected or "", {}, (), error.problem)
        return
    imported = Path(f"{path}.dvc").is_file()
    sources = [] if imported else [(entry["path"], entry["identity"]) for entry in card["inputs"]]
    for source, recorded in sources:
        _visit(source, recorded, chain, open_)
    problem = "" if expected in (None, found) else _swapped(found, str(expected))
    chain[path] = Recorded(path, found, card, tuple(source for source, _ in sources), problem, imported)


def _swapped(found: str, expected: str) -> str:
    return f"not the one that was read: {found[:12]} found, {expected[:12]} recorded"


def artifact_table(chain: Chain) -> Table:
    """A row per artifact but the fine-tuned cells, which stand in the blocks of their arms."""
    rows: list[list[str]] = []
    cells = Cells()
    for path, one in chain.items():
        if path.startswith(f"{CHECKPOINTS}/"):
            continue
        if found := BY_ARM.fullmatch(path):
            cells.links[len(rows), 0] = arm_anchor(found[2])
        cells.places[len(rows)] = artifact_anchor(path)
        made_from = ", ".join(one.inputs) or (f"{path}.dvc" if one.imported else "–")
        rows.append([path, one.card.get("kind", "file"), one.identity[:16] or "–", _labelled([one]), made_from])
    header = ["artifact", "kind", "identity", "labelled frames", "made from"]
    return Table("Artifacts", NOTE, header, rows, "artifacts", cells)


def draw_lineage(chain: Chain, arms: Sequence[str], root: str) -> str:
    """The chain as SVG, downwards: cells of an arm are one box, and so are its trials under disturbances."""
    groups: dict[str, list[Recorded]] = {}
    for path, one in chain.items():
        groups.setdefault(_group(path), []).append(one)
    group_inputs = {
        key: [group for one in members for source in one.inputs if (group := _group(source)) != key]
        for key, members in groups.items()
    }
    read = {source for sources in group_inputs.values() for source in sources}
    boxes = [_box(key, members, group_inputs[key]) for key, members in groups.items()]
    order = {arm: number for number, arm in enumerate(arms)}
    boxes.sort(key=lambda box: order.get(arm[2], len(order)) if (arm := BY_ARM.fullmatch(box.key)) else len(order))
    ends = [key for key in groups if key not in read]
    boxes.append(Box(root, [root, "this page"], ends, "#Overview", root, "used"))
    return draw(without_detours(boxes), BOX, GAP, downwards=True, label="lineage of this report")


def _group(path: str) -> str:
    found = BY_ARM.fullmatch(path)
    return f"{found[1]}/{found[2]}" if found else PROBES if path.startswith(f"{PROBES}/") else path


def _box(key: str, members: Sequence[Recorded], inputs: Sequence[str]) -> Box:
    one = members[0]
    arm = BY_ARM.fullmatch(key)
    parts = PurePosixPath(key).parts
    names = parts[-2:] if len(parts) > 2 else parts[-1:]
    told = one.identity[:12] if len(members) == 1 else f"{len(members)} artifacts"
    tip = "\n".join([f"{member.path} {member.identity[:12]} {member.problem}".strip() for member in members])
    style = "bad" if any(member.problem for member in members) else "used" if _labels_in(members) else "free"
    href = arm_anchor(arm[2]) if arm else artifact_anchor(one.path)
    labels = "the labels" if one.card.get("kind") == "labels" else _labelled(members, " labels")
    return Box(key, [*names, told, labels], list(dict.fromkeys(inputs)), f"#{href}", tip, style)


def _labels_in(members: Sequence[Recorded]) -> bool:
    ledgers = [member.card["labels"] for member in members if member.card]
    seen = any(ledger["count"] or ledger["inherited"] or ledger.get("outside") for ledger in ledgers)
    return seen or members[0].card.get("kind") == "labels"


def _labelled(members: Sequence[Recorded], unit: str = "") -> str:
    counts = sorted({member.labelled for member in members if member.labelled is not None})
    if not counts:
        return "no card" if unit else "–"
    return (str(counts[0]) if len(counts) == 1 else f"{counts[0]}–{counts[-1]}") + unit
