"""Walks from an artifact through its cards to the raw inputs and checks every link against what lies on disk."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.artifacts.card import CARD, OUTSIDE, carded, file_digests, identity, portable, read_card
from pipeline.artifacts.code import code_record
from pipeline.errors import UserError

CHECKSUMS = "checksums.json"  # beside nuScenes tables: SHA-256 of every file they name, relative to the data set's root


@dataclass
class Link:
    """An artifact or raw input as found on disk.

    Attributes:
        path: relative to the project's root.
        kind: from its card; "files" where there is none.
        identity: SHA-256 that names it, "" where there is nothing.
        problems: what does not fit; any of them makes the audit fail.
        notes: what changed in the project since, or could not be checked; information only.
        inputs: what it was made from.
    """

    path: str
    kind: str = "files"
    identity: str = ""
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    inputs: list["Link"] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with it or with anything above it."""
        return not self.problems and all(link.ok for link in self.inputs)


def audit(path: Path, params: Mapping[str, Any] | None = None) -> Link:
    """Checks an artifact and everything it was made from; the working directory is the project's root.

    Every file of every folder is hashed again and compared with its card, every input with the identity recorded by
    whoever read it. Code and params that changed since are noted, not failed: the artifact is still what it was.

    Args:
        path: an artifact folder below the working directory.
        params: the content of params.yaml, to note changes and to find a data set outside the project.

    Raises:
        UserError: `path` does not exist or lies outside the working directory.
    """
    name = portable(str(path))
    if name.startswith(OUTSIDE) or not path.exists():
        problem = "there is no such artifact" if not path.exists() else "the artifact lies outside the project"
        raise UserError(problem, where=str(path), remedy="run from the project's root and name a folder below it")
    root = Link(name)
    if not (path / CARD).is_file():
        root.problems.append("the artifact has no card")
        return root
    return _visit(name, None, params or {}, {})


def _visit(name: str, expected: str | None, params: Mapping[str, Any], seen: dict[str, Link]) -> Link:
    path = _locate(name, params)
    if path is None:
        return Link(name, notes=["outside the project: not checked"])
    if name not in seen:
        seen[name] = Link(name, problems=["the artifact is its own input"])  # what a ring of cards meets
        seen[name] = _inspect(name, path, params, seen)
    link = seen[name]
    if expected is None or expected == link.identity:
        return link
    swapped = f"not the one that was read: {link.identity[:12] or 'nothing'} found, {expected[:12]} recorded"
    return Link(link.path, link.kind, link.identity, [swapped, *link.problems], link.notes, link.inputs)


def _inspect(name: str, path: Path, params: Mapping[str, Any], seen: dict[str, Link]) -> Link:
    link = Link(name)
    try:
        link.identity = identity(path)
        card = read_card(path) if (path / CARD).is_file() else None
    except UserError as error:
        link.problems.append(error.problem)
        return link
    if card is None:
        link.problems += _check_checksums(path)
        link.inputs += [
            _visit(f"{name}/{folder.relative_to(path).as_posix()}", None, params, seen) for folder in carded(path)
        ]
        return link
    link.kind = card["kind"]
    link.problems += _check_files(path, card["files"])
    code, now = card["code"].get("files", {}), code_record(card["stage"], Path.cwd())
    if not code:
        link.problems.append(f"the card records no code: stages/{card['stage']}.py was not found when it was written")
    elif changed := sorted(_differences(code, now["files"])):
        link.notes.append(f"code changed since: {', '.join(changed)}")
    link.notes += [f"params changed since: {change}" for change in _changed_params(card["params"], params)]
    for entry in card["inputs"]:
        source = str(entry.get("path"))
        if _unsafe(source):
            link.problems.append(f"the card names an input outside the project: {source!r}")
        else:
            link.inputs.append(_visit(source, str(entry.get("identity")), params, seen))
    return link


def _check_files(folder: Path, recorded: Mapping[str, str]) -> Iterator[str]:
    found = file_digests(folder)
    for name in sorted({*recorded, *found}):
        if _unsafe(name):
            yield f"the card names a file outside its folder: {name!r}"
        elif name not in found:
            yield f"file missing: {name}"
        elif name not in recorded:
            yield f"file not on the card: {name}"
        elif recorded[name] != found[name]:
            yield f"file changed: {name}"


def _check_checksums(tables: Path) -> Iterator[str]:
    """Files that tables with a checksum list no longer describe; nothing for other inputs."""
    path = tables / CHECKSUMS
    if path.is_file():
        recorded = json.loads(path.read_bytes())
        folders = sorted({PurePosixPath(name).parts[0] for name in recorded if not _unsafe(name)})
        found = {
            f"{folder}/{name}": digest
            for folder in folders
            if (tables.parent / folder).is_dir()
            for name, digest in file_digests(tables.parent / folder).items()
        }
        for name in sorted(recorded):
            if _unsafe(name):
                yield f"{CHECKSUMS} names a file outside the data set: {name!r}"
            elif found.get(name) != recorded[name]:
                yield f"file {'changed' if name in found else 'missing'}: {name}"


def _locate(name: str, params: Mapping[str, Any]) -> Path | None:
    """Where an input lies; one outside the project is looked for in the data set's root."""
    if not name.startswith(OUTSIDE):
        return Path(name)
    root, last = Path(str(params.get("dataset", {}).get("root", ""))), name.removeprefix(OUTSIDE)
    if _unsafe(last):
        return None
    return next((path for path in (root / last, root) if path.name == last and path.exists()), None)


def _unsafe(name: str) -> bool:
    return not name or "\\" in name or "\0" in name or name.startswith(("/", "~")) or ".." in PurePosixPath(name).parts


def _changed_params(recorded: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[str]:
    """`key old -> new` for every value of the card that params.yaml holds under the same dotted key."""
    now = dict(_flat(current))
    for key, old in _flat(recorded):
        new = portable(now[key]) if str(old).startswith(OUTSIDE) and key in now else now.get(key, old)
        if new != old:
            yield f"{key} {old} -> {new}"


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _differences(old: Mapping[str, str], new: Mapping[str, str]) -> set[str]:
    return {name for name in {*old, *new} if old.get(name) != new.get(name)}
