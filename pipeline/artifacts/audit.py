"""Walks from an artifact through its cards to the raw inputs and checks every link against what lies there.

Every link is held against three witnesses: its card (SHA-256 of its files, identities of its inputs), dvc.lock (MD5,
size, command, dependencies, params), and the params and code that lie there. Nothing of an artifact is ever run or
unpickled: it is hashed, and its card is parsed as JSON.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from pipeline.artifacts.card import CARD, OUTSIDE, parse_card, portable
from pipeline.artifacts.imported import Import, read_import
from pipeline.artifacts.lock import LOCK, PARAMS, Lock, dvc_md5, parse_yaml, read_lock
from pipeline.artifacts.view import Digests, Revision, View, Workspace, git, uncommitted, unsafe
from pipeline.artifacts.witness import Records, against_lock, against_records
from pipeline.errors import UserError

CHECKSUMS = "checksums.json"  # beside nuScenes tables: SHA-256 of every file they name, relative to the data set's root
# Files that only a deep audit reads: gigabytes at the size of nuScenes. Kind of artifact: how their names start.
BULK = {"regions": ("ids.zarr/c/",), "raw data": ("samples/", "sweeps/", "maps/", "panoptic/")}


@dataclass
class Link:
    """An artifact or raw input as found.

    Attributes:
        path: relative to the project's root.
        kind: from its card; "files" where there is none.
        stage: the stage of dvc.lock that made it; "" where none did.
        identity: SHA-256 that names it, "" where there is nothing.
        problems: what does not fit; any of them makes the audit fail.
        notes: what could not be checked, or is not committed; information only.
        inputs: what it was made from.
        card: as parsed; empty where there is none.
        origin: `PATH@commit` that `dvc import` took it from; "" where it did not.
        commit: the revision it was read in, when that is not the one of the audit: it lies behind an import.
    """

    path: str
    kind: str = "files"
    stage: str = ""
    identity: str = ""
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    inputs: list["Link"] = field(default_factory=list)
    card: dict[str, Any] = field(default_factory=dict, repr=False)
    origin: str = ""
    commit: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values for a machine, the whole tree; cards lie beside what they describe."""
        own = {name: value for name, value in vars(self).items() if name != "card"}
        return {**own, "ok": self.ok, "inputs": [source.to_json() for source in self.inputs]}

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with it or with anything above it."""
        return not self.problems and all(link.ok for link in self.inputs)


def audit(
    path: Path | str,
    view: View | None = None,
    *,
    deep: bool = False,
    sensor_files: Callable[[], Iterable[str]] = tuple,
) -> Link:
    """Checks an artifact and everything it was made from; the working directory is the project's root.

    Args:
        path: an artifact folder, a file of one, or a folder with artifacts below it.
        view: the workspace, or a revision: then its files, its dvc.lock, its params and its code.
        deep: hash shards and raw sensor files too; without it they are counted and weighed.
        sensor_files: asked once, at an index and when `deep`: what is wrong with the files that its manifest names.

    Raises:
        UserError: there is nothing at `path`, it lies outside the project, or dvc.lock or params.yaml is broken.
    """
    view = view or Workspace()
    name = portable(str(path)).rstrip("/")
    outside = name.startswith(OUTSIDE) or name == "."
    if outside or not (view.is_file(name) or view.files(name)):
        problem = "the artifact lies outside the project" if outside else "there is no such artifact"
        remedy = "run from the project's root, name a folder below it; `dvc repro` makes it, `dvc fetch` brings it back"
        raise UserError(problem, where=f"{path} ({view.name})", remedy=remedy)
    walk = _Walk(view, deep, sensor_files)
    file = ""
    if view.is_file(name) and (home := walk.home(name)):
        name, file = home, name.removeprefix(f"{home}/")
    link = walk.visit(name, None)
    if link.kind == "files" and not link.inputs:
        link.problems.append("the artifact has no card")
    if file and not link.problems and file not in link.card["files"] and file != CARD:
        link.problems.append(f"file not on the card: {file}")
    if loose := sorted(walk.dirty & {PARAMS, "dvc.yaml"}):
        link.notes.append(f"not committed: {', '.join(loose)}")
    if walk.lock is None:
        link.notes.append(f"there is no {LOCK}: not compared with it")
    return link


class _Walk:
    """One audit: what it reads once and shares between the links."""

    def __init__(self, view: View, deep: bool, sensor_files: Callable[[], Iterable[str]]) -> None:
        self.view, self.deep, self.sensor_files = view, deep, sensor_files
        self.digests = Digests(view)
        self.lock = read_lock(self.read(LOCK)) if view.is_file(LOCK) else None
        self.records = Records(self.digests, self._params() if view.is_file(PARAMS) else None)
        local = isinstance(view, Workspace)
        self.dirty = set(uncommitted()) if local else set[str]()
        committed = git("show", f"HEAD:./{LOCK}") if LOCK in self.dirty else None
        self.committed: Lock | None = read_lock(committed) if committed else self.lock
        self.seen: dict[str, Link] = {}

    def read(self, path: str) -> bytes:
        with self.view.open(path) as file:
            return file.read()

    def _params(self) -> dict[str, Any]:
        try:
            return _mapping(parse_yaml(self.read(PARAMS)))
        except yaml.YAMLError as error:
            problem = f"it is not valid YAML: {' '.join(str(error).split())}"
            raise UserError(problem, where=f"{PARAMS} ({self.view.name})", remedy="correct that line") from None

    def home(self, path: str) -> str | None:
        """The nearest folder above a path that has a card."""
        return next(
            (str(folder) for folder in PurePosixPath(path).parents if self.view.is_file(f"{folder}/{CARD}")), None
        )

    def visit(self, name: str, expected: str | None) -> Link:
        if name.startswith(OUTSIDE):
            return self._outside(name, expected)
        if name not in self.seen:
            self.seen[name] = Link(name, problems=["the artifact is its own input"])  # what a ring of cards meets
            self.seen[name] = self._inspect(name)
        return _compared(self.seen[name], expected)

    def _outside(self, name: str, expected: str | None) -> Link:
        """An input outside the project is looked for in the data set's root, in the workspace whatever the view."""
        root, last = Path(str(self.records.param("dataset.root"))), name.removeprefix(OUTSIDE)
        places = [] if unsafe(last) else [root / last, root]
        path = next((place for place in places if place.name == last and place.exists()), None)
        if path is None:
            return Link(name, notes=["outside the project: not checked"])
        return _compared(Link(name, identity=identity_of(Digests(Workspace()), str(path))), expected)

    def _inspect(self, name: str) -> Link:
        link = Link(name)
        made = self.lock.maker(name) if self.lock else None
        if made and made[1].path == name:
            link.stage = made[0].name
        try:
            link.identity = identity_of(self.digests, name)
            if not link.identity:
                link.problems.append("it does not exist" if not made else f"{LOCK} names it, but it is not at hand")
            elif self.view.is_file(f"{name}/{CARD}"):
                self._inspect_carded(link, parse_card(self.read(f"{name}/{CARD}"), name))
            else:
                self._inspect_plain(link)
        except UserError as error:
            link.problems.append(error.problem)
        except OSError as error:
            link.problems.append(f"its content is not at hand, neither in DVC's cache nor on a remote: {error}")
        return link

    def _inspect_plain(self, link: Link) -> None:
        """Something without a card: tables, a folder of artifacts, a file of git."""
        link.problems += self._check_checksums(link.path)
        names = self.view.files(link.path)
        below = sorted({str(PurePosixPath(name).parent) for name in names if PurePosixPath(name).name == CARD})
        link.inputs += [self.visit(f"{link.path}/{folder}", None) for folder in below]
        if not below and (home := self.home(link.path)):
            link.inputs.append(self.visit(home, None))
        if link.path in self.dirty:
            link.notes.append(f"not committed: {link.path}")

    def _inspect_carded(self, link: Link, card: dict[str, Any]) -> None:
        name = link.path
        link.card, link.kind = card, card["kind"]
        bulk = () if self.deep else BULK.get(link.kind, ())
        skipped = [file for file in card["files"] if bulk and file.startswith(bulk)]
        link.problems += self._check_files(name, card["files"], bulk)
        if skipped:
            link.notes.append(f"{len(skipped)} files were not read: --deep hashes them")
        if self.deep and link.kind == "index":
            link.problems += self.sensor_files()
        if (brought := read_import(self.view, name)) is not None:
            self._follow_import(link, brought)
            return
        made = self.lock.maker(name) if self.lock else None
        if made is None and self.lock:
            link.problems.append(f"{LOCK} names no such output")
        stage = made[0] if made else None
        problems, notes = against_records(card, stage, self.records)
        link.problems += problems
        link.notes += notes
        if self.lock and made:
            link.problems += against_lock(name, card, made, self.lock, self.records, partial=bool(skipped))
        self._note_uncommitted(link, card)
        for entry in card["inputs"]:
            source = str(entry.get("path"))
            if unsafe(source):
                link.problems.append(f"the card names an input outside the project: {source!r}")
            else:
                link.inputs.append(self.visit(source, str(entry.get("identity"))))
        if home := self.home(name):
            link.inputs.append(self.visit(home, None))

    def _follow_import(self, link: Link, brought: Import) -> None:
        """The same artifact at the commit that it came from, held against the params, code and dvc.lock of that one."""
        link.origin = brought.origin
        record = f"{link.path}.dvc"
        if (found := dvc_md5(self.digests, link.path)) != brought.md5:
            link.problems.append(f"{record} records other bytes: {brought.md5[:12]}, found {str(found)[:12]}")
        if record in self.dirty:
            link.notes.append(f"not committed: {record}")
        if brought.url != ".":
            link.notes.append(f"imported from another repository: audit {brought.origin} in {brought.url}")
            return
        try:
            source = audit(brought.path, Revision(brought.commit), deep=self.deep)
        except UserError as error:
            link.problems.append(f"imported from {brought.origin}, which cannot be audited: {error.problem}")
            return
        link.inputs.append(_compared(_elsewhere(source, brought.commit, {}), link.identity))

    def _note_uncommitted(self, link: Link, card: dict[str, Any]) -> None:
        found = sorted(self.dirty & {*card["code"]["files"]})
        if self.lock and self.committed and LOCK in self.dirty:
            here, there = self.lock.stages.get(link.stage), self.committed.stages.get(link.stage)
            found += [f"{LOCK} ({link.stage})"] if here != there else []
        if found:
            link.notes.append(f"not committed: {', '.join(found)}")

    def _check_files(self, folder: str, recorded: Mapping[str, str], bulk: tuple[str, ...]) -> Iterator[str]:
        found = {name for name in self.view.files(folder) if name != CARD}
        for name in sorted({*recorded, *found}):
            if unsafe(name):
                yield f"the card names a file outside its folder: {name!r}"
            elif name not in found:
                yield f"file missing: {name}"
            elif name not in recorded:
                yield f"file not on the card: {name}"
            elif not (bulk and name.startswith(bulk)) and recorded[name] != self.digests.of(f"{folder}/{name}").sha256:
                yield f"file changed: {name}"

    def _check_checksums(self, tables: str) -> Iterator[str]:
        """Files that tables with a checksum list no longer describe; nothing for other inputs."""
        if not self.view.is_file(f"{tables}/{CHECKSUMS}"):
            return
        try:
            recorded = _mapping(json.loads(self.read(f"{tables}/{CHECKSUMS}")))
        except (ValueError, RecursionError) as error:
            yield f"{CHECKSUMS} cannot be read: {error}"
            return
        root = PurePosixPath(tables).parent
        folders = sorted({PurePosixPath(name).parts[0] for name in recorded if not unsafe(name)})
        found = {f"{folder}/{name}" for folder in folders for name in self.view.files(f"{root}/{folder}")}
        for name in sorted(recorded):
            if unsafe(name):
                yield f"{CHECKSUMS} names a file outside the data set: {name!r}"
            elif name not in found:
                yield f"file missing: {name}"
            elif self.deep and self.digests.of(f"{root}/{name}").sha256 != recorded[name]:
                yield f"file changed: {name}"


def identity_of(digests: Digests, path: str) -> str:
    """What `pipeline.artifacts.card.identity` gives, of any view; "" where there is nothing."""
    view = digests.view
    if view.is_file(f"{path}/{CARD}"):
        return digests.of(f"{path}/{CARD}").sha256
    if view.is_file(path):
        return digests.of(path).sha256
    names = [name for name in view.files(path) if name != CARD]
    listing = "".join(f"{name} {digests.of(f'{path}/{name}').sha256}\n" for name in names)
    return hashlib.sha256(listing.encode()).hexdigest() if names else ""


def _compared(link: Link, expected: str | None) -> Link:
    if expected is None or expected == link.identity:
        return link
    swapped = f"not the one that was read: {link.identity[:12] or 'nothing'} found, {expected[:12]} recorded"
    return replace(link, problems=[swapped, *link.problems])


def _elsewhere(link: Link, commit: str, seen: dict[int, Link]) -> Link:
    """A link of another revision with all above it: their paths name that revision."""
    if id(link) not in seen:
        inputs = [_elsewhere(source, commit, seen) for source in link.inputs]
        name = link.path if link.commit else f"{link.path}@{commit[:7]}"
        seen[id(link)] = replace(link, path=name, inputs=inputs, commit=link.commit or commit)
    return seen[id(link)]


def chain(link: Link) -> dict[str, Link]:
    """Every link of a tree by path, inputs before what was made from them; a swapped one with that problem."""
    found: dict[str, Link] = {}
    visited: set[int] = set()

    def visit(one: Link) -> None:
        if id(one) not in visited:
            visited.add(id(one))
            for source in one.inputs:
                visit(source)
            if one.path not in found or one.problems:
                found[one.path] = one

    visit(link)
    return found


def _mapping(content: Any) -> dict[str, Any]:
    return content if isinstance(content, dict) else {}
