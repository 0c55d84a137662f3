"""What a unit of work cost on this machine: every run notes it, `calico preflight` scales it up.

The notes lie in scratch/, outside every artifact: they cannot change a result, and no artifact holds a time.
"""

import fcntl
import json
import os
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pipeline.artifacts.card import dump_json, plain
from pipeline.artifacts.publish import write_file

RECORD = Path("scratch/throughput.json")


@dataclass(frozen=True)
class Throughput:
    """The cost of the last run of some work.

    Attributes:
        units: how many it did; what a unit is, is the affair of the work.
        start: seconds from the start of the process to the first unit.
        seconds: of all units.
        size: bytes written.
        memory: bytes that its processes held at most.
    """

    units: int
    start: float
    seconds: float
    size: int
    memory: int


def work_key(stage: str, decisive: Mapping[str, Any]) -> str:
    """Names work that costs alike: the stage and all params and runtime settings that decide what a unit costs."""
    return f"{stage}-{sha256(dump_json(plain(decisive))).hexdigest()[:12]}"


@dataclass
class Work:
    """How many units a measured block did; 0 where they tell nothing, since an earlier run had done a part of them."""

    units: int = 0


@contextmanager
def measured(key: str, *outs: Path, processes: int = 1) -> Iterator[Work]:
    """Notes the cost of a block that ends well.

    Args:
        key: a `work_key`.
        outs: folders or files that the block writes.
        processes: workers at a time; each is taken to need as much memory as the greediest one.

    Yields:
        Where the block says how many units it did.
    """
    start, began = _process_age(), time.monotonic()
    work = Work()
    yield work
    seconds = time.monotonic() - began
    if work.units:
        size = sum(file_size(out) for out in outs)
        note(key, Throughput(work.units, start, seconds, size, _memory(processes)))


def note(key: str, throughput: Throughput, record: Path = RECORD) -> None:
    """Replaces what was noted for `key`; processes that note at the same moment wait for each other."""
    record.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(record.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        notes = read_notes(record) | {key: throughput}
        write_file(record, dump_json({name: asdict(of) for name, of in notes.items()}))
    finally:
        os.close(folder)  # and with it the lock


def read_notes(record: Path = RECORD) -> dict[str, Throughput]:
    """Everything noted on this machine by key; nothing where there is no record or another program wrote it."""
    try:
        return {key: Throughput(**values) for key, values in json.loads(record.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def note_steps(key: str, units: int, seconds: float, size: int) -> None:
    """Notes a loop that has just ended in this process; arguments as the attributes of `Throughput`."""
    note(key, Throughput(units, max(0.0, _process_age() - seconds), seconds, size, _memory(1)))


def file_size(path: Path) -> int:
    """Bytes of a file or of all files below a folder; 0 where there is nothing."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size if path.is_file() else 0


def _process_age() -> float:
    """Seconds since this process was started, imports included."""
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")


def _memory(processes: int) -> int:
    own, child = (resource.getrusage(who).ru_maxrss * 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own + (processes * child if processes > 1 else 0)
