"""Whether `dvc repro` will come to its end on this machine: what it needs against what is there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.frames.manifest import missing_files, read_manifest
from pipeline.frames.recording import Recording
from pipeline.params import Params, Runtime
from pipeline.preflight.jobs import Job
from pipeline.preflight.machine import Disk, FreeDisk, available_memory, find_disks, free_disk
from pipeline.preflight.workload import INDEX, Workload, count_frames, find_workload
from pipeline.throughput import Throughput

DATA, CACHE, SCRATCH = Path("data"), Path(".dvc/cache"), Path("scratch")
SHOWN = 5  # missing files that are named


@dataclass(frozen=True)
class Need:
    """What the stale jobs of one stage need; None where nothing was noted on this machine.

    Attributes:
        jobs: how many.
        units: frames that pass through.
        seconds: of all jobs one after the other.
        size: bytes written below data/.
        scratch: bytes written below scratch/ on the way, by one job at a time.
        memory: bytes, of the greediest job.
    """

    stage: str
    jobs: int
    units: int
    seconds: float | None
    size: int | None
    scratch: int | None
    memory: int | None


@dataclass(frozen=True)
class Verdict:
    """The outcome; `problems` is empty where all fits. Sizes in bytes."""

    needs: tuple[Need, ...]
    missing: tuple[str, ...]
    free: dict[str, int]
    memory: int
    problems: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Of all stages whose cost is known."""
        return sum(need.seconds or 0 for need in self.needs)

    @property
    def unknown(self) -> list[str]:
        """Stages whose cost nobody measured on this machine."""
        return [need.stage for need in self.needs if need.seconds is None]

    def to_json(self) -> dict[str, Any]:
        """Plain values for a machine."""
        return {
            "fits": not self.problems,
            "problems": self.problems,
            "hours": self.seconds / 3600,
            "unknown": self.unknown,
            "stages": [vars(need) for need in self.needs],
            "missing": list(self.missing),
            "free_disk": self.free,
            "available_memory": self.memory,
        }


def judge(
    jobs: Sequence[Job],
    params: Params,
    runtime: Runtime,
    notes: Mapping[str, Throughput],
    *,
    free: FreeDisk = free_disk,
    memory: int | None = None,
) -> Verdict:
    """Compares what stale jobs need with this machine; the working directory is the project's root.

    Args:
        jobs: see `stale_jobs`.
        notes: see `read_notes`.
        free: free bytes at a path.
        memory: bytes available; asked of the system without it.

    Raises:
        UserError: the tables of the dataset are missing or broken.
    """
    needs = _needs(jobs, params, runtime, notes)
    missing = _missing(params, {job.stage for job in jobs})
    available = available_memory() if memory is None else memory
    needed = _disk_needs(needs)
    disks = find_disks(needed, free)
    problems = [problem for disk in disks if (problem := _disk_problem(disk, needed))]
    problems += [_memory_problem(need, available) for need in needs if (need.memory or 0) > available]
    if missing:
        problems.append(_files_problem(missing, params.dataset.root))
    if _lacks_maps(jobs, params):
        problems.append(
            f"maps: finetune.trials has map trials, and {params.dataset.root}/maps/expansion holds no map; "
            "unpack the map expansion into the dataset root, or take the map trials out"
        )
    room = {", ".join(map(str, disk.folders)): disk.free for disk in disks}
    return Verdict(tuple(needs), tuple(missing), room, available, problems)


def _needs(jobs: Sequence[Job], params: Params, runtime: Runtime, notes: Mapping[str, Throughput]) -> list[Need]:
    by_stage: dict[str, list[Workload]] = {}
    if not jobs:
        return []
    frames = count_frames(params, {job.stage for job in jobs})
    for job in jobs:
        if work := find_workload(job, params, runtime, frames):
            by_stage.setdefault(job.stage, []).append(work)
    return [_sum(stage, works, notes) for stage, works in by_stage.items()]


def _sum(stage: str, works: Sequence[Workload], notes: Mapping[str, Throughput]) -> Need:
    units = sum(work.units for work in works)
    if any(work.key not in notes for work in works):
        return Need(stage, len(works), units, None, None, None, None)
    noted = [(work, notes[work.key]) for work in works]
    shares = [work.units / note.units for work, note in noted]
    sizes = [round(note.size * (share if work.grows else 1)) for (work, note), share in zip(noted, shares, strict=True)]
    return Need(
        stage,
        len(works),
        units,
        seconds=sum(note.start + note.seconds * share for (_, note), share in zip(noted, shares, strict=True)),
        size=sum(sizes),
        scratch=max(sizes),
        memory=max(note.memory for _, note in noted),
    )


def _disk_needs(needs: Sequence[Need]) -> dict[Path, int]:
    """Bytes that are written below each folder."""
    written = sum(need.size or 0 for need in needs)
    return {DATA: written, CACHE: written, SCRATCH: max((need.scratch or 0 for need in needs), default=0)}


def _disk_problem(disk: Disk, needed: Mapping[Path, int]) -> str | None:
    # DVC links data and cache where both lie on one disk, and copies where they do not.
    need = sum(needed[folder] for folder in disk.folders if folder != CACHE or DATA not in disk.folders)
    if need <= disk.free:
        return None
    return (
        f"disk: {need / 1e9:.2f} GB needed, {disk.free / 1e9:.2f} GB free below {', '.join(map(str, disk.folders))}; "
        "remove old artifacts with `dvc gc --workspace`, or move the project to a larger disk"
    )


def _memory_problem(need: Need, available: int) -> str:
    return (
        f"memory: {need.stage} needs {(need.memory or 0) / 1e9:.2f} GB, {available / 1e9:.2f} GB are available; "
        "end other programs, or set fewer workers in runtime.yaml"
    )


def _files_problem(missing: Sequence[str], root: str) -> str:
    shown = ", ".join(missing[:SHOWN]) + (", …" if len(missing) > SHOWN else "")
    return (
        f"files: {len(missing)} sensor files are missing below {root} ({shown}); "
        "unpack the archives that hold them into the dataset root"
    )


def _lacks_maps(jobs: Sequence[Job], params: Params) -> bool:
    stages = {job.stage for job in jobs}
    wanted = "finetune" in stages and bool(params.finetune.fractions("map"))
    there = "simulate" in stages or any(Path(params.dataset.root, "maps", "expansion").glob("*.json"))
    return wanted and not there


def _missing(params: Params, stale: set[str]) -> list[str]:
    """Sensor files that are named by the index or, where that is stale, by the tables for key frames."""
    root = Path(params.dataset.root)
    if "simulate" in stale:
        return []  # they are still to be made
    if "prepare" in stale:
        return missing_files(root, Recording(root, params.dataset.version).key_frame_files())
    return missing_files(root, read_manifest(INDEX).column("path").to_pylist())
