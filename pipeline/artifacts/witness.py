"""What a card says against what others say of the same artifact: dvc.lock, params.yaml and the code that lies there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pipeline.artifacts.card import OUTSIDE, portable
from pipeline.artifacts.lock import LOCK, PARAMS, Entry, Lock, Stage, at_key, dvc_md5, flatten
from pipeline.artifacts.view import Digests, ignored, unsafe

ABSENT = "nothing"


@dataclass(frozen=True)
class Records:
    """Code and params of a view; `params` is None where it has no params.yaml."""

    digests: Digests
    params: dict[str, Any] | None

    def param(self, key: str) -> Any:
        """The value at a dotted key; "" where there is none."""
        found = at_key(self.params, key)
        return "" if found is None else found


def against_records(card: Mapping[str, Any], stage: Stage | None, records: Records) -> tuple[list[str], list[str]]:
    """Problems and notes about code and params that are no longer those on the card.

    What DVC watches is a problem: `dvc repro` would run the stage again. What it does not watch, e.g. a package's
    docstring file, is a note. Without an entry in dvc.lock everything is a problem.
    """
    problems, notes = [], []
    files = {path: digest for path, digest in card["code"]["files"].items() if not unsafe(path)}
    if len(files) < len(card["code"]["files"]):
        problems.append("the card names code outside the project")
    if not files:
        problems.append(f"the card records no code: stages/{card['stage']}.py was not found when it was written")
    changed = sorted(_changed_files(files, records.digests))
    watched = [file for file in changed if stage is None or stage.watches(file)]
    if watched:
        problems.append(f"code changed since: {', '.join(watched)}")
    if rest := [file for file in changed if file not in watched]:
        notes.append(f"code that {LOCK} does not watch changed since: {', '.join(rest)}")
    for key, old, new in _changed_params(card["params"], records):
        locked = stage is None or any(f"{key}.".startswith(f"{declared}.") for declared in stage.params)
        (problems if locked else notes).append(f"{PARAMS} changed since: {key} {old} -> {new}")
    return problems, notes


def against_lock(
    name: str, card: Mapping[str, Any], made: tuple[Stage, Entry], lock: Lock, records: Records, *, partial: bool
) -> Iterator[str]:
    """What an artifact's entry in dvc.lock says that is not so; `partial` leaves the MD5 of its bytes alone."""
    stage, out = made
    if out.path == name:
        yield from _entry_problems(out, records.digests, partial=partial)
    words = stage.cmd.split()
    if words[:3] != ["python", "-m", f"stages.{card['stage']}"] or "-".join(words[3:]) != stage.name.partition("@")[2]:
        yield f"{LOCK} records a command that is not that of {stage.name}: {stage.cmd}"
    yield from _dep_problems(stage, card, lock, records.digests)
    recorded = dict(flatten(card["params"]))
    for key, old in stage.params.items():
        locked, now = dict(flatten({key: old})), dict(flatten({key: at_key(records.params, key)}))
        for param in sorted({*locked, *now}):
            before, after = locked.get(param, ABSENT), now.get(param, ABSENT)
            if param in recorded and recorded[param] != before:
                yield f"{LOCK} records {param} {before}, the card {recorded[param]}"
            elif param not in recorded and before != after:
                yield f"{PARAMS} changed since: {param} {before} -> {after}"


def _dep_problems(stage: Stage, card: Mapping[str, Any], lock: Lock, digests: Digests) -> Iterator[str]:
    files = {path: digest for path, digest in card["code"]["files"].items() if not unsafe(path)}
    changed = set(_changed_files(files, digests))
    for dep in stage.deps:
        if dep.path.startswith(("/", "..")):
            continue  # a data set outside the project: the card's identity of its tables covers it
        made = lock.maker(dep.path)
        if made and made[1].path == dep.path:
            if (dep.md5, dep.size, dep.files) != (made[1].md5, made[1].size, made[1].files):
                yield f"{LOCK}: {stage.name} read another {dep.path} than {made[0].name} wrote"
        elif not any(PurePosixPath(file).is_relative_to(dep.path) for file in changed):
            yield from _entry_problems(dep, digests, partial=False)
    needed = [file for file in files if not file.endswith("__init__.py")]
    needed += [str(entry.get("path")) for entry in card["inputs"]]
    own = {out.path for out in stage.outs}  # prepare reads the index that it wrote
    for path in needed:
        if not path.startswith(OUTSIDE) and path not in own and not stage.watches(path):
            yield f"{LOCK} lacks a dependency of {stage.name}: {path}"


def _entry_problems(entry: Entry, digests: Digests, *, partial: bool) -> Iterator[str]:
    view = digests.view
    inside = [f"{entry.path}/{name}" for name in view.files(entry.path) if not ignored(name)]
    names = [entry.path] if view.is_file(entry.path) else inside
    sizes = [view.size(name) if partial else digests.of(name).size for name in names]
    size = None if None in sizes else sum(size for size in sizes if size is not None)
    if not names:
        yield f"{LOCK} names {entry.path}, which is not there"
    elif entry.files is not None and entry.files != len(names):
        yield f"{LOCK} records {entry.files} files of {entry.path}, found {len(names)}"
    elif entry.size is not None and size not in (None, entry.size):
        yield f"{LOCK} records {entry.size} bytes of {entry.path}, found {size}"
    elif not partial and (found := dvc_md5(digests, entry.path)) != entry.md5:
        yield f"{LOCK} records other bytes of {entry.path}: {entry.md5[:12]}, found {str(found)[:12]}"


def _changed_files(recorded: Mapping[str, str], digests: Digests) -> Iterator[str]:
    for path, digest in recorded.items():
        if not digests.view.is_file(path) or digests.of(path).sha256 != digest:
            yield path


def _changed_params(recorded: Mapping[str, Any], records: Records) -> Iterator[tuple[str, Any, Any]]:
    """(key, old, new) for every value of the card that params.yaml holds under the same dotted key."""
    now = dict(flatten(records.params or {}))
    for key, old in flatten(recorded):
        new = portable(str(now[key])) if str(old).startswith(OUTSIDE) and key in now else now.get(key, old)
        if new != old:
            yield key, old, new
