"""Whether every sensor file of a dataset is what the manifest of its index says."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from pipeline.engine import progress_bar
from pipeline.errors import UserError
from pipeline.frames.manifest import MISSING, file_sizes, read_manifest
from pipeline.frames.points import read_points

SHOWN = 20  # faults that are told a person one by one
REMEDY = (
    "copy these files again from the archives; where the data were changed on purpose, run "
    "`dvc repro --force prepare` and then `dvc repro`"
)
_FILES_AT_ONCE = 1024
_FILES_AT_ONCE_DEEP = 32


@dataclass(frozen=True)
class Fault:
    """A file that is not what the manifest says, or that cannot be read; `path` is relative to the dataset root."""

    path: str
    problem: str


@dataclass(frozen=True)
class Findings:
    """What was found in some files.

    Attributes:
        faults: in the order of the files.
        broken_points: path to number of points that are not finite, where there are any: loading drops them.
    """

    faults: tuple[Fault, ...]
    broken_points: dict[str, int]


@dataclass(frozen=True)
class Verdict:
    """The outcome for a whole dataset; `size` in bytes."""

    root: Path
    files: int
    size: int
    deep: bool
    findings: Findings

    def to_json(self) -> dict[str, Any]:
        """Plain values for a machine."""
        return {
            "root": str(self.root),
            "sound": not self.findings.faults,
            "files": self.files,
            "bytes": self.size,
            "deep": self.deep,
            "faults": [vars(fault) for fault in self.findings.faults],
            "points_not_finite": self.findings.broken_points,
            "remedy": REMEDY if self.findings.faults else None,
        }

    def lines(self) -> list[str]:
        """The same for a person."""
        faults, broken = self.findings.faults, self.findings.broken_points
        looked = "existence, size and content" if self.deep else "existence and size"
        lines = [
            f"{self.root}: {self.files - len(faults)} of {self.files} files sound ({looked}; {self.size / 1e9:.2f} GB)"
        ]
        lines += [f"  {fault.problem}: {fault.path}" for fault in faults[:SHOWN]]
        if len(faults) > SHOWN:
            lines.append(f"  and {len(faults) - SHOWN} more: calico check --json names all")
        if faults:
            lines.append(f"remedy: {REMEDY}")
        if broken:
            lines.append(
                f"note: {sum(broken.values())} points in {len(broken)} sweeps are not finite; loading drops them"
            )
        return lines


def verify_files(index: Path, root: Path, *, deep: bool, threads: int) -> Verdict:
    """Compares every file with the manifest, with a progress bar and an ETA on stderr.

    Args:
        index: the index directory.
        root: the dataset root.
        deep: decode every image and read every sweep as well.
        threads: files are looked at in so many threads; reading and decoding run outside Python's lock.

    Raises:
        UserError: there is no manifest.
    """
    manifest = read_manifest(index)
    paths, sizes = manifest.column("path").to_pylist(), manifest.column("bytes").to_pylist()
    step = _FILES_AT_ONCE_DEEP if deep else _FILES_AT_ONCE
    parts = [slice(first, first + step) for first in range(0, len(paths), step)]
    faults: list[Fault] = []
    broken: dict[str, int] = {}
    with progress_bar(stderr=True) as bar, ThreadPoolExecutor(threads) as pool:
        task = bar.add_task("check", total=len(paths))
        for findings in pool.map(lambda part: check_files(root, paths[part], sizes[part], deep=deep), parts):
            faults += findings.faults
            broken |= findings.broken_points
            bar.advance(task, step)
        bar.update(task, completed=len(paths))
    return Verdict(root, len(paths), sum(sizes), deep, Findings(tuple(faults), broken))


def check_files(root: Path, paths: Sequence[str], sizes: Sequence[int], *, deep: bool) -> Findings:
    """Looks at some files; arguments as `verify_files`, sizes in bytes."""
    faults: list[Fault] = []
    broken: dict[str, int] = {}
    for path, size, found in zip(paths, sizes, file_sizes(root, paths).tolist(), strict=True):
        if found == MISSING:
            faults.append(Fault(path, "missing"))
        elif found != size:
            faults.append(Fault(path, f"{found} bytes instead of {size}"))
        elif deep and path.endswith(".jpg"):
            try:
                # An eighth of the size: all of the file is decoded, few pixels are computed.
                simplejpeg.decode_jpeg((root / path).read_bytes(), "GRAY", min_width=1, min_height=1)
            except (ValueError, OSError) as error:
                faults.append(Fault(path, f"cannot be decoded ({error})"))
        elif deep and path.endswith((".bin", ".feather")):
            try:
                points = read_points(root / path)
            except (UserError, OSError) as error:
                faults.append(
                    Fault(path, f"cannot be read ({error.problem if isinstance(error, UserError) else error})")
                )
            else:
                if count := int((~np.isfinite(points)).any(axis=1).sum()):
                    broken[path] = count
    return Findings(tuple(faults), broken)
