"""kill -9 of region builds: the rerun finishes, computes nothing twice, and gives the bytes of an undisturbed run."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pipeline.params import Runtime
from pipeline.regions.records import Shard
from tests.dask_cluster import dask_cluster
from tests.faults.region_build import ALONE, FRAMES_PER_SHARD, build, noted_reads, set_pace, write_sweeps

ROOT = Path(__file__).parents[2]
FRAMES = 11  # six shards, the last one with one frame


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """Two worker processes at a scheduler process, in a folder that is not the project."""
    with dask_cluster(2, tmp_path_factory.mktemp("cluster")) as address:
        yield replace(ALONE, scheduler=address)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a store that one process built in peace."""
    place = tmp_path_factory.mktemp("undisturbed")
    write_sweeps(place, FRAMES)
    return contents(build(place, place / "scratch"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_sweeps(tmp_path, FRAMES)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def finished_shards(scratch: Path) -> tuple[set[int], dict[Path, tuple[int, int]]]:
    """Positions of the frames whose shard has its record; inode and time of these shards' files."""
    records = [Shard.from_json(json.loads(path.read_bytes())) for path in scratch.glob("*/records/[0-9]*")]
    files = [next(scratch.glob(f"*/shards/{shard.first:07d}-{shard.sha256}")) for shard in records]
    frames = {frame for shard in records for frame in range(shard.first, shard.last + 1)}
    return frames, {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def start(place: Path, workers: int = 1, scheduler: str | None = None) -> "subprocess.Popen[str]":
    """The build as a program."""
    words = ["-m", "tests.faults.region_build", str(place), str(place / "scratch"), str(workers), scheduler or "-"]
    return subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process: "subprocess.Popen[str]") -> dict[str, bytes]:
    """The files of the store that a program built."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return contents(Path(out.splitlines()[-1]))


def reads_exceed(place: Path, number: int) -> bool:
    return len(noted_reads(place)) > number


def wait_until(holds: Callable[[], bool]) -> None:
    """Fails after a minute."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_killed_before_every_step_on_the_disk(tmp_path: Path) -> None:
    """Before every single operation on a file of the draft: before the first shard, between a shard and its record,
    between two shards, while the store is put together.
    """
    write_sweeps(tmp_path, frames=5)
    whole = contents(build(tmp_path, tmp_path / "undisturbed"))
    spawner = multiprocessing.get_context("forkserver")
    spawner.set_forkserver_preload(["tests.faults.region_build"])
    seen = Counter[int]()
    for step in range(1000):
        scratch = tmp_path / f"scratch{step}"
        process = spawner.Process(target=build, args=(tmp_path, scratch, ALONE, step))
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        finished, shards = finished_shards(scratch)
        seen[len(finished)] += 1
        set_pace(tmp_path, 0.0)
        assert contents(build(tmp_path, scratch)) == whole
        assert sorted(frame for frame, _ in noted_reads(tmp_path)) == sorted(set(range(5)) - finished)
        assert finished_shards(scratch)[1].items() >= shards.items()
    assert set(seen) == {0, 2, 4, 5}
    assert min(seen.values()) >= 5


def test_four_workers_change_no_byte(place: Path, undisturbed: dict[str, bytes]) -> None:
    """Nor do two: tests/regions/test_builder.py."""
    assert contents(build(place, place / "scratch", replace(ALONE, workers=4))) == undisturbed
    assert len({pid for _, pid in noted_reads(place)} - {os.getpid()}) >= 2


def test_a_separate_scheduler_changes_no_byte(place: Path, remote: Runtime, undisturbed: dict[str, bytes]) -> None:
    set_pace(place, 0.02)
    assert contents(build(place, place / "scratch", remote)) == undisturbed
    assert len({pid for _, pid in noted_reads(place)} - {os.getpid()}) == 2


@pytest.mark.parametrize("cluster", ["local", "remote"])
def test_killed_with_workers_at_work(cluster: str, place: Path, remote: Runtime, undisturbed: dict[str, bytes]) -> None:
    """Workers at a scheduler go on with what they have begun, beside the rerun."""
    set_pace(place, 0.05)
    scheduler = remote.scheduler if cluster == "remote" else None
    process = start(place, 2, scheduler)
    wait_until(partial(reads_exceed, place, 4))  # at least one of six shards has ended, two are being made
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    if not scheduler:  # those of the process itself end with it
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for _, pid in noted_reads(place)))
    finished, shards = finished_shards(place / "scratch")
    assert finished and len(finished) < FRAMES
    set_pace(place, 0.0)
    runtime = remote if scheduler else ALONE
    assert contents(build(place, place / "scratch", runtime)) == undisturbed
    assert not finished & {frame for frame, _ in noted_reads(place)}
    assert finished_shards(place / "scratch")[1].items() >= shards.items()


@pytest.mark.parametrize("cluster", ["local", "remote"])
def test_killed_workers(cluster: str, place: Path, remote: Runtime, undisturbed: dict[str, bytes]) -> None:
    """At random moments; the same run goes on, and only what a worker was making is made again."""
    set_pace(place, 0.05)
    dice = random.Random(5)
    process = start(place, 2, remote.scheduler if cluster == "remote" else None)
    safe: set[int] = set()
    for _ in range(2):  # dask gives a unit up that lost three workers
        seen = len(noted_reads(place))
        wait_until(partial(reads_exceed, place, seen))  # a worker is at work
        time.sleep(dice.uniform(0, 0.1))
        safe |= finished_shards(place / "scratch")[0]
        os.kill(noted_reads(place)[-1][1], signal.SIGKILL)
    assert finish(process) == undisturbed
    times = Counter(frame for frame, _ in noted_reads(place))
    assert set(times) == set(range(FRAMES))
    assert {times[frame] for frame in safe} <= {1}
    assert sum(times.values()) <= FRAMES + 2 * FRAMES_PER_SHARD
