"""Why two artifacts differ: cards are followed upstream, pair by pair, to where something of their own differs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from pipeline.artifacts.audit import identity_of
from pipeline.artifacts.card import CARD, OUTSIDE, parse_card
from pipeline.artifacts.lock import LOCK, flatten, read_lock
from pipeline.artifacts.view import Digests, Target
from pipeline.errors import UserError

ABSENT = "-"
CHANCE = "chance"  # the kind of a cause that should not be: equal params, code, inputs, environment and seeds


@dataclass(frozen=True)
class Cause:
    """One thing that differs by itself and not because of something upstream.

    Attributes:
        kind: param, code, input, environment, seed, labels, stage, or `CHANCE`.
        name: e.g. the key of the param; for `CHANCE` the files that differ.
        a: on the first side; "-" where it has none.
        b: on the second.
    """

    kind: str
    name: str
    a: str
    b: str


@dataclass
class Difference:
    """The whole answer.

    Attributes:
        causes: each with the artifacts that it differs for.
        followers: artifacts that differ only because of what they were made from.
        equal: pairs of artifacts with the same identity, not counting what is upstream of them.
        missing: paths with content on neither side; nothing is said about them.
        compared: paths of all pairs that were looked at.
        same_bytes: artifacts whose cards differ but whose files do not.
        metrics: name to both values, where they differ.
    """

    causes: dict[Cause, list[str]] = field(default_factory=dict)
    followers: list[str] = field(default_factory=list)
    equal: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    compared: list[str] = field(default_factory=list)
    same_bytes: list[str] = field(default_factory=list)
    metrics: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """One sentence."""
        if not self.causes:
            lost = f", as far as they are at hand: {len(self.missing)} are on neither side" if self.missing else ""
            return f"they should be identical, and they are{lost}"
        chance = [cause for cause in self.causes if cause.kind == CHANCE]
        if len(chance) == len(self.causes):
            return "they should be identical, and they are not: equal params, code, inputs, environment and seeds"
        return f"they differ for {len(self.causes)} reasons" if len(self.causes) > 1 else "they differ for one reason"

    def to_json(self) -> dict[str, Any]:
        """Plain values for a machine."""
        causes = [{**vars(cause), "artifacts": sorted(found)} for cause, found in self.causes.items()]
        metrics = {name: list(pair) for name, pair in self.metrics.items()}
        return {**vars(self), "causes": causes, "metrics": metrics, "verdict": self.verdict}


def compare(a: Target, b: Target) -> Difference:
    """Compares two artifacts, or all outputs of two views where both paths are empty.

    Cards are believed here; `calico audit` is what checks them.

    Raises:
        UserError: neither side has any content, a card is broken, or only one of them is a whole view.
    """
    if bool(a.path) != bool(b.path):
        remedy = "name two artifacts (PATH or PATH@rev) or two revisions"
        raise UserError("an artifact cannot be compared with a whole revision", where=f"{a} {b}", remedy=remedy)
    pairing = _Pairing(a, b)
    pairs = [(a.path, b.path)] if a.path else [(path, path) for path in pairing.outputs()]
    for one, other in pairs:
        pairing.visit(one, other)
    if pairing.found.compared and len(pairing.found.missing) == len(pairing.found.compared):
        raise UserError(
            "neither side has the content of any artifact",
            where=f"{a.path or a.view.name} and {b.path or b.view.name}",
            remedy="run `dvc repro`, or `dvc fetch --all-commits` where there is a remote",
        )
    return pairing.found


class _Pairing:
    def __init__(self, a: Target, b: Target) -> None:
        self.sides = (Digests(a.view), Digests(b.view))
        self.found = Difference()
        self.seen: dict[tuple[str, str], bool] = {}

    def outputs(self) -> list[str]:
        """Paths that dvc.lock of either side names as outputs."""
        locks = [read_lock(side.view.open(LOCK).read()) for side in self.sides if side.view.is_file(LOCK)]
        return sorted({path for lock in locks for path in lock.outs()})

    def visit(self, a: str, b: str) -> bool:
        """Whether two artifacts are equal; notes why not."""
        if (a, b) not in self.seen:
            self.seen[a, b] = True  # for a ring of cards
            self.seen[a, b] = self._compare(a, b)
        return self.seen[a, b]

    def _compare(self, a: str, b: str) -> bool:
        label = pair_label(a, b)
        self.found.compared.append(label)
        identities = [_identity(side, path) for side, path in zip(self.sides, (a, b), strict=True)]
        if not any(identities):
            self.found.missing.append(label)
            return True
        if identities[0] == identities[1]:
            self.found.equal.append(label)
            return True
        cards = [_card(side, path) for side, path in zip(self.sides, (a, b), strict=True)]
        one, other = cards
        if one is None or other is None:
            self._note(Cause("input", label, *(identity[:12] or ABSENT for identity in identities)), label)
            return False
        causes = [*_own_causes(one, other)]
        pairs, alone = _pair_inputs(one["inputs"], other["inputs"])
        causes += [
            Cause("input", path, *(path if path in side else ABSENT for side in alone))
            for path in sorted({*alone[0], *alone[1]})
        ]
        upstream = [self._visit_input(one, other, *pair) for pair in pairs]
        self._note_metrics(label, one["metrics"], other["metrics"])
        if one["files"] == other["files"]:
            self.found.same_bytes.append(label)
        elif not causes and all(upstream):
            changed = {name for name, _, _ in _changes(one["files"], other["files"])}
            causes.append(Cause(CHANCE, ", ".join(sorted(changed)), identities[0][:12], identities[1][:12]))
        for cause in causes:
            self._note(cause, label)
        if not causes:
            self.found.followers.append(label)
        return False

    def _visit_input(self, a: Mapping[str, Any], b: Mapping[str, Any], one: str, other: str) -> bool:
        """As `visit`; of data outside the project both cards tell the identity."""
        if not one.startswith(OUTSIDE):
            return self.visit(one, other)
        before, after = ({entry["path"]: entry["identity"] for entry in card["inputs"]} for card in (a, b))
        if before[one] != after[other]:
            self._note(Cause("input", one, before[one][:12], after[other][:12]), one)
        same: bool = before[one] == after[other]
        return same

    def _note(self, cause: Cause, label: str) -> None:
        self.found.causes.setdefault(cause, []).append(label)

    def _note_metrics(self, label: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> None:
        for name, one, other in _changes(dict(flatten(a)), dict(flatten(b))):
            self.found.metrics[f"{label}: {name}"] = (one, other)


def pair_label(a: str, b: str) -> str:
    """One text for two paths: `data/checkpoints/start/{prc-L | calico}`."""
    one, other = a.split("/"), b.split("/")
    same = next((i for i, (x, y) in enumerate(zip(one, other, strict=False)) if x != y), min(len(one), len(other)))
    return a if a == b else "/".join([*one[:same], f"{{{'/'.join(one[same:])} | {'/'.join(other[same:])}}}"])


def _own_causes(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Cause]:
    """What differs between two cards by itself."""
    if a["stage"] != b["stage"]:
        yield Cause("stage", "stage", a["stage"], b["stage"])
    groups = {
        "param": (dict(flatten(a["params"])), dict(flatten(b["params"]))),
        "code": (a["code"]["files"], b["code"]["files"]),
        "environment": (_environment(a), _environment(b)),
    }
    for kind, (one, other) in groups.items():
        shorten = 12 if kind == "code" else 60
        for name, old, new in _changes(one, other):
            yield Cause(kind, name, _text(old)[:shorten], _text(new)[:shorten])
    if a["seeds"] != b["seeds"]:
        yield Cause("seed", "seeds", _text(a["seeds"]), _text(b["seeds"]))
    if a["labels"]["sha256"] != b["labels"]["sha256"]:
        yield Cause("labels", "labelled frames", _text(a["labels"]["count"]), _text(b["labels"]["count"]))


def _environment(card: Mapping[str, Any]) -> dict[str, Any]:
    recorded = {name: value for name, value in card.get("environment", {}).items() if name != "digest"}
    return dict(flatten(recorded))


def _pair_inputs(
    a: Iterable[Mapping[str, str]], b: Iterable[Mapping[str, str]]
) -> tuple[list[tuple[str, str]], tuple[list[str], list[str]]]:
    """Inputs of two cards that stand for each other, by path or else by folder; and those without a counterpart."""
    one, other = [entry["path"] for entry in a], [entry["path"] for entry in b]
    pairs = [(path, path) for path in one if path in other]
    left, right = [path for path in one if path not in other], [path for path in other if path not in one]
    for path in list(left):
        near = [candidate for candidate in right if PurePosixPath(candidate).parent == PurePosixPath(path).parent]
        if near:
            pairs.append((path, near[0]))
            left.remove(path)
            right.remove(near[0])
    return pairs, (left, right)


def _changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted({*a, *b}):
        if a.get(name, ABSENT) != b.get(name, ABSENT):
            yield name, a.get(name, ABSENT), b.get(name, ABSENT)


def _identity(side: Digests, path: str) -> str:
    try:
        return identity_of(side, path)
    except OSError as error:
        remedy = "run `dvc fetch --all-commits`, or make it again with dvc repro"
        raise UserError(
            f"its content is not at hand: {error}", where=f"{path} ({side.view.name})", remedy=remedy
        ) from None


def _card(side: Digests, path: str) -> dict[str, Any] | None:
    if not side.view.is_file(f"{path}/{CARD}"):
        return None
    with side.view.open(f"{path}/{CARD}") as file:
        return parse_card(file.read(), f"{path} ({side.view.name})")


def _text(value: Any) -> str:
    return str(value)
