"""kill -9 of the stage `regions` while it reads, builds and publishes: the rerun ends as if nothing had happened."""

import json
import multiprocessing
import shutil
import signal
from pathlib import Path

from pipeline.artifacts.publish import strays
from pipeline.regions.records import Shard
from stages import regions
from tests.faults.region_build import die_before

SCRATCH = Path("scratch/regions")
OLD = b"what the last good run published"


def run_stage(die_at: int) -> None:
    """The stage in the working directory."""
    final = Path("data/regions").absolute()
    die_before(die_at, final, *strays(final), SCRATCH.absolute())
    regions.main()


def published(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def finished_shards() -> dict[str, int]:
    """When the shards that have their record were written, by their file in the store."""
    records = [Shard.from_json(json.loads(path.read_bytes())) for path in SCRATCH.glob("*/records/[0-9]*")]
    return {shard.file: next(SCRATCH.glob(f"*/shards/*-{shard.sha256}")).stat().st_mtime_ns for shard in records}


def test_killed_before_many_steps_on_the_disk(region_project: Path) -> None:
    """An artifact that was there before stays whole until the new one takes its place."""
    final = Path("data/regions")
    draft, _ = strays(final)
    whole = published(final)
    spawner = multiprocessing.get_context("forkserver")
    spawner.set_forkserver_preload(["tests.faults.test_regions_stage_kill"])
    seen = set()
    for step in range(0, 1000, 13):
        shutil.rmtree(final)
        if step % 2:
            final.mkdir()
            (final / "old.txt").write_bytes(OLD)
        process = spawner.Process(target=run_stage, args=(step,))
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        finished = finished_shards()
        seen.add((len(finished), draft.exists()))
        found = published(final) if final.exists() else {}
        assert found in ([{"old.txt": OLD}, whole] if step % 2 else [{}, whole])
        regions.main()
        assert published(final) == whole
        assert {file: (final / file).stat().st_mtime_ns for file in finished} == finished  # copied, not made again
        assert sorted(path.name for path in final.parent.iterdir()) == ["index", "labels", "regions"]
        assert not list(SCRATCH.iterdir())
    assert {finished for finished, _ in seen} > {0, 5}
    assert {(0, False), (5, False), (5, True)} <= seen
