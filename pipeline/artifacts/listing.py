"""All checkpoints of the workspace and of DVC's experiments, from their cards."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pipeline.artifacts.card import CARD, parse_card
from pipeline.artifacts.lock import LOCK, PARAMS, Lock, flatten, parse_yaml, read_lock
from pipeline.artifacts.view import Revision, View, Workspace, git
from pipeline.errors import UserError

CHECKPOINTS = "data/checkpoints"
RESULTS = "data/results"


@dataclass(frozen=True)
class Row:
    """One checkpoint.

    Attributes:
        where: "workspace" or the experiment's name.
        path: its folder.
        arm: of the results table; "" for pre-training.
        task: "detection" or "map"; "" for pre-training.
        fraction: share of the labelled training scenes; None for pre-training.
        seeds: that it drew from.
        labels: labelled frames behind it: its own and each set behind its start weights.
        metrics: of its card and, where they are at hand, of the results that score it.
        changed: params on the card that differ from the committed params.yaml: key to value.
        problem: why the rest is empty, e.g. DVC's cache lacks it.
    """

    where: str
    path: str
    arm: str = ""
    task: str = ""
    fraction: float | None = None
    seeds: tuple[int, ...] = ()
    labels: tuple[int, ...] = ()
    metrics: dict[str, Any] | None = None
    changed: dict[str, Any] | None = None
    problem: str = ""


def list_checkpoints() -> list[Row]:
    """Those of the workspace, then of every experiment those that are not listed yet; run from the project's root.

    Raises:
        UserError: dvc.lock is broken.
    """
    committed = git("show", f"HEAD:./{PARAMS}")
    default = dict(flatten(parse_yaml(committed) if committed else {}))
    here = Workspace()
    cards = [PurePosixPath(name) for name in here.files(CHECKPOINTS) if PurePosixPath(name).name == CARD]
    folders = sorted(f"{CHECKPOINTS}/{card.parent}" for card in cards)
    rows = [_row(here, folder, default) for folder in folders]
    seen = {(out, digest) for out, digest in _outs(_lock(here.open(LOCK).read() if here.is_file(LOCK) else None))}
    for name, commit in experiments():
        lock = _lock(git("show", f"{commit}:./{LOCK}"))
        new = sorted({*_outs(lock)} - seen)
        seen |= set(new)
        if new:
            view = Revision(commit)
            view.name = name
            rows += [_row(view, path, default) for path, _ in new]
    return [row for row in rows if row.problem or row.metrics is not None]


def experiments() -> Iterator[tuple[str, str]]:
    """(name, commit) of every experiment that DVC keeps in this repository."""
    listed = git("for-each-ref", "--format=%(refname) %(objectname)", "refs/exps") or b""
    for line in listed.decode().splitlines():
        ref, _, commit = line.partition(" ")
        parts = ref.split("/")  # refs/exps/<2 digits>/<38 digits>/<name>; other refs there are DVC's own
        if len(parts) == 5 and len(parts[2]) == 2 and len(parts[3]) == 38:
            yield parts[4], commit


def _row(view: View, path: str, default: Mapping[str, Any]) -> Row:
    try:
        with view.open(f"{path}/{CARD}") as file:
            card = parse_card(file.read(), f"{path} ({view.name})")
    except OSError:
        return Row(view.name, path, problem="neither in DVC's cache nor on a remote")
    except UserError as error:
        return Row(view.name, path, problem=error.problem)
    if card["kind"] != "checkpoint":
        return Row(view.name, path)
    params, labels = card["params"], card["labels"]
    recorded = dict(flatten(params))
    counts = [labels["count"], *(entry["count"] for entry in labels["inherited"])]
    return Row(
        view.name,
        path,
        arm=str(params.get("arm", "")),
        task=str(params.get("task", "")),
        fraction=params.get("fraction"),
        seeds=tuple(card["seeds"]),
        labels=tuple(count for count in counts if count),
        metrics={**card["metrics"], **_scores(view, path)},
        changed={key: value for key, value in recorded.items() if key in default and default[key] != value},
    )


def _scores(view: View, path: str) -> dict[str, Any]:
    """Headlines of the results that score a fine-tuned checkpoint, data/results/<arm>, by the name of its folder."""
    cell = PurePosixPath(path)
    home = f"{RESULTS}/{cell.parent.name}"
    try:
        with view.open(f"{home}/{CARD}") as file:
            found = parse_card(file.read(), home)["metrics"].get(cell.name, {})
    except (OSError, UserError):
        return {}
    return dict(found) if isinstance(found, dict) else {}


def _lock(content: bytes | None) -> Lock:
    return read_lock(content) if content else Lock({})


def _outs(lock: Lock) -> Iterator[tuple[str, str]]:
    """(path, MD5) of the checkpoints that a dvc.lock names."""
    for stage in lock.stages.values():
        yield from ((out.path, out.md5) for out in stage.outs if out.path.startswith(f"{CHECKPOINTS}/"))
