"""A region build as a process that can be killed: its sweeps may be slow, and every read of one is noted."""

import itertools
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.frames.points import read_points
from pipeline.params import Runtime
from pipeline.regions.builder import build_regions
from pipeline.regions.provenance import provenance_here
from pipeline.regions.segmentation import segment
from tests.reference.regions import paper_regions

FRAMES_PER_SHARD = 2
PARAMS = replace(paper_regions(), frames_per_shard=FRAMES_PER_SHARD)
ALONE = Runtime(workers=1, scheduler=None, device="cpu", threads=1, loader_threads=0, save_every=60.0)
OPERATIONS = ("open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir")


def write_sweeps(place: Path, frames: int) -> None:
    """Writes sweeps below `place`."""
    (place / "sweeps").mkdir(parents=True)
    for number in range(frames):
        draw_sweep(number).tofile(place / "sweeps" / f"{number:02d}.bin")
    set_pace(place, 0.0)


def draw_sweep(number: int) -> NDArray[np.float32]:
    """float32 [N, 5], another N for every number: flat ground, and boxes on it that become regions."""
    rng = np.random.default_rng(number)
    points = np.zeros((300 + 20 * number, 5), np.float32)
    points[:, :2] = rng.uniform(-20, 20, (len(points), 2))
    points[:, 2] = -1.84
    cars = len(points) // 2
    points[:cars, :3] = rng.uniform([5, 5, -1.4], [7, 9, 0], (cars, 3)) + rng.integers(0, 3, (cars, 1)) * [5, 0, 0]
    return points


def set_pace(place: Path, seconds: float) -> None:
    """How long the reading of a sweep takes from now on; forgets the notes."""
    (place / "pace").write_text(str(seconds))
    (place / "reads").write_text("")


def noted_reads(place: Path) -> list[tuple[int, int]]:
    """(position, process) of every read since `set_pace`."""
    return [(int(frame), int(pid)) for frame, pid in map(str.split, (place / "reads").read_text().splitlines())]


def read_noted(path: Path) -> NDArray[np.float32]:
    """The reader of these builds."""
    place = path.parents[1]
    with (place / "reads").open("a") as notes:  # one short write, so notes of several processes never mix
        notes.write(f"{path.stem} {os.getpid()}\n")
    time.sleep(float((place / "pace").read_text()))
    return read_points(path)


# What a process does once before its first shard is done here, for all that are forked from one with this module.
PROVENANCE = provenance_here("index", read_noted)
SEGMENTATION = segment(draw_sweep(0), PARAMS)


def build(place: Path, scratch: Path, runtime: Runtime = ALONE, die_at: int | None = None) -> Path:
    """Builds the regions of the sweeps below `place`; dies where told."""
    files = sorted((place / "sweeps").iterdir())
    sweeps = [(file, file.stat().st_size // 20) for file in files]
    if die_at is not None:
        die_before(die_at, scratch)
    return build_regions(PARAMS, sweeps, read_noted, identity="index", scratch=scratch, runtime=runtime)


def die_before(operation: int, *folders: Path) -> None:
    """From now on this process kills itself before its n-th operation on files below the folders, counted from 0."""
    left = itertools.count(operation, -1)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event in OPERATIONS and any(_below(argument, folders) for argument in arguments) and next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def _below(argument: Any, folders: tuple[Path, ...]) -> bool:
    return isinstance(argument, str | os.PathLike) and any(
        Path(os.fspath(argument)).absolute().is_relative_to(folder) for folder in folders
    )


def main(place: str, scratch: str, workers: str, scheduler: str) -> None:
    """A build as a program: `python -m tests.faults.region_build PLACE SCRATCH WORKERS SCHEDULER|-`."""
    runtime = replace(ALONE, workers=int(workers), scheduler=None if scheduler == "-" else scheduler)
    print(build(Path(place), Path(scratch), runtime))


if __name__ == "__main__":
    from tests.faults import region_build  # by its name: workers cannot import anything from __main__

    region_build.main(*sys.argv[1:])
