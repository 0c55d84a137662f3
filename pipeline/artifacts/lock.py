"""dvc.lock as data: which stage made a path, from which dependencies and params, and what DVC says its bytes are."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

from pipeline.artifacts.view import Digests, ignored
from pipeline.errors import UserError
from pipeline.strict_yaml import read_exponents

LOCK = "dvc.lock"
PARAMS = "params.yaml"


class _Loader(yaml.CSafeLoader):
    """Safe and fast: dvc.lock has ten thousand lines."""


read_exponents(_Loader)


@dataclass(frozen=True)
class Entry:
    """A dependency or output as locked; `size` and `files` are None where DVC did not write them."""

    path: str
    md5: str
    size: int | None
    files: int | None


@dataclass(frozen=True)
class Stage:
    """One stage of dvc.lock; `params` are those of params.yaml, by the dotted key that dvc.yaml declares."""

    name: str
    cmd: str
    deps: tuple[Entry, ...]
    outs: tuple[Entry, ...]
    params: dict[str, Any]

    def watches(self, path: str) -> bool:
        """Whether a path is one of its dependencies or lies below one."""
        return any(_covers(dep.path, path) for dep in self.deps)


@dataclass(frozen=True)
class Lock:
    """All stages, by name."""

    stages: dict[str, Stage]

    def maker(self, path: str) -> tuple[Stage, Entry] | None:
        """The stage whose output `path` is, or lies below; with that output."""
        return next(
            ((stage, out) for stage in self.stages.values() for out in stage.outs if _covers(out.path, path)), None
        )

    def outs(self) -> Iterator[str]:
        """Paths of all outputs."""
        return (out.path for stage in self.stages.values() for out in stage.outs)


def read_lock(content: bytes) -> Lock:
    """Parses dvc.lock.

    Raises:
        UserError: it is no YAML of that form.
    """
    try:
        stages = (parse_yaml(content) or {}).get("stages", {})
        return Lock({name: _stage(name, written) for name, written in stages.items()})
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        remedy = "bring it back with git checkout dvc.lock, or make it anew with dvc repro"
        raise UserError(f"it cannot be read: {' '.join(str(error).split())}", where=LOCK, remedy=remedy) from None


def parse_yaml(content: bytes) -> Any:
    """Plain values of a YAML text. Raises yaml.YAMLError."""
    return yaml.load(content, Loader=_Loader)  # noqa: S506 - a SafeLoader


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every value that is no group of keys."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def at_key(values: Any, key: str) -> Any:
    """The value at a dotted key; None where there is none."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def dvc_md5(digests: Digests, path: str) -> str | None:
    """What DVC would write for a file or folder of a view; None where there is nothing.

    A folder's is the MD5 of the JSON list of its files with their MD5, with ".dir" behind it.
    """
    if digests.view.is_file(path):
        return digests.of(path).md5
    names = [name for name in digests.view.files(path) if not ignored(name)]
    if not names:
        return None
    listing = [{"md5": digests.of(f"{path}/{name}").md5, "relpath": name} for name in names]
    return hashlib.md5(json.dumps(listing).encode(), usedforsecurity=False).hexdigest() + ".dir"


def _stage(name: str, written: Mapping[str, Any]) -> Stage:
    params = (written.get("params") or {}).get(PARAMS) or {}
    return Stage(
        name, str(written["cmd"]), _entries(written.get("deps")), _entries(written.get("outs")), dict(params)
    )  # fmt: skip


def _entries(written: Any) -> tuple[Entry, ...]:
    return tuple(
        Entry(entry["path"], str(entry.get("md5")), entry.get("size"), entry.get("nfiles")) for entry in written or []
    )


def _covers(folder: str, path: str) -> bool:
    return PurePosixPath(path).is_relative_to(folder)
