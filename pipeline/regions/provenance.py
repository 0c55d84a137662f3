"""What decides the bytes of a region store besides the params: the index, the code and the libraries that compute."""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from pipeline.artifacts.code import import_closure

ROOT = Path(__file__).parents[2]
ENTRY = Path(__file__).with_name("shards.py")
LIBRARIES = (
    "dbscan", "llvmlite", "numba", "numcodecs", "numpy", "pypatchworkpp", "scikit-learn", "scipy", "zarr",
)  # fmt: skip


@dataclass(frozen=True)
class Provenance:
    """What two builds must have in common, params apart, for their bytes to be equal.

    Attributes:
        index: identity of the index that the frames come from.
        code: SHA-256 of every project file that the segmentation, the reader and the writing of a shard run.
        libraries: version of each installed library that computes.
    """

    index: str
    code: dict[str, str]
    libraries: dict[str, str]

    def differences(self, other: "Provenance") -> dict[str, tuple[Any, Any]]:
        """What differs from `other`: name to (here, there), None where one side lacks it."""
        here, there = self._named(), other._named()
        return {
            name: (here.get(name), there.get(name))
            for name in sorted(here.keys() | there.keys())
            if here.get(name) != there.get(name)
        }

    def _named(self) -> Mapping[str, str]:
        return {"index": self.index[:12]} | {path: sha[:12] for path, sha in self.code.items()} | self.libraries


def provenance_here(index: str, read: Callable[..., Any]) -> Provenance:
    """The provenance of what this process would build from an index with a reader."""
    return Provenance(index, dict(_code(Path(inspect.getfile(read)))), dict(_libraries()))


@cache  # once a process: a worker that lives on after an edit still runs, and names, the code that it once loaded
def _code(reader: Path) -> dict[str, str]:
    entries = [entry for entry in (ENTRY, reader) if entry.is_relative_to(ROOT)]
    paths = {path for entry in entries for path in import_closure(entry, ROOT)}
    # Other stages' params pass through the same package and change nothing here.
    decisive = {path for path in paths if not path.startswith("pipeline/params/") or path.endswith("/regions.py")}
    return {path: hashlib.sha256((ROOT / path).read_bytes()).hexdigest() for path in sorted(decisive)}


@cache
def _libraries() -> dict[str, str]:
    return {name: version for name in LIBRARIES if (version := _version(name))}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
