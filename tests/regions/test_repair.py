"""`repair_store` makes the damaged files again, bit by bit, or leaves them as they are."""

import multiprocessing
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.params import Runtime
from pipeline.regions.manifest import Manifest
from pipeline.regions.repair import repair_store
from pipeline.regions.store import RegionStore
from pipeline.regions.verification import verify_store
from tests.faults.region_build import die_before
from tests.regions.small_store import ALONE, HEADER, SHARDS, SmallStore, build_small, read_cloud


@pytest.fixture
def small(tmp_path: Path) -> SmallStore:
    return build_small(tmp_path)


def repair(small: SmallStore, identity: str = "index", runtime: Runtime = ALONE) -> list[str]:
    return repair_store(small.path, small.sweeps, read_cloud, identity=identity, runtime=runtime)


def beside(small: SmallStore) -> set[str]:
    return {path.name for path in small.path.parent.iterdir()}


def test_only_damaged_shards_are_made_again(small: SmallStore) -> None:
    whole, neighbours = small.files(), beside(small)
    small.flip(SHARDS[0])
    (small.path / SHARDS[2]).unlink()
    (small.path / SHARDS[2]).parent.rmdir()
    before = (small.path / SHARDS[1]).stat()
    assert repair(small) == [SHARDS[0], SHARDS[2]]
    assert small.files() == whole
    assert small.reads() == [0, 1, 2, 3, 8]
    after = (small.path / SHARDS[1]).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert verify_store(small.path).damages == ()
    assert RegionStore.open(small.path).read(8, 60).max() >= 0
    assert repair(small) == []
    assert small.reads() == []
    assert beside(small) == neighbours


def test_a_shard_with_a_bad_frame_comes_out_the_same(small: SmallStore) -> None:
    whole = small.files()
    small.flip(SHARDS[1])
    assert repair(small) == [SHARDS[1]]
    assert small.files() == whole


def test_two_workers(small: SmallStore) -> None:
    whole = small.files()
    for file in SHARDS:
        small.flip(file)
    assert repair(small, runtime=replace(ALONE, workers=2)) == list(SHARDS)
    assert small.files() == whole


@pytest.mark.parametrize("harm", ["flip", "remove", "remove all"])
def test_a_damaged_header_needs_no_sweep(small: SmallStore, harm: str) -> None:
    whole = small.files()
    if harm == "flip":
        small.flip(HEADER)
        with pytest.raises(UserError, match="header of the region array is damaged") as caught:
            RegionStore.open(small.path).read(0, 60)
        assert caught.value.where.endswith(HEADER)
        assert "calico regions repair" in caught.value.remedy
    else:
        (small.path / HEADER).unlink()
    if harm == "remove all":
        for file in SHARDS:
            (small.path / file).unlink()
        assert repair(small) == [HEADER, *SHARDS]
    else:
        assert repair(small, identity="another") == [HEADER]
        assert small.reads() == []
    assert small.files() == whole
    RegionStore.open(small.path).read(0, 60)


def test_another_index_code_or_library_is_refused_with_the_difference(small: SmallStore) -> None:
    small.flip(SHARDS[0])
    damaged = small.files()
    with pytest.raises(UserError, match="index: index in the store, another now") as caught:
        repair(small, identity="another")
    assert "dvc repro --force --single-item regions" in caught.value.remedy
    assert small.files() == damaged
    made = Manifest.load(small.path)
    code = made.provenance.code | {"pipeline/regions/ground.py": "0" * 64, "pipeline/regions/gone.py": "1" * 64}
    libraries = made.provenance.libraries | {"numpy": "1.0"}
    replace(made, provenance=replace(made.provenance, code=code, libraries=libraries)).save(small.path)
    with pytest.raises(UserError) as caught:
        repair(small)
    for said in (
        "pipeline/regions/ground.py: 000000000000 in the store", "gone.py: 111111111111 in the store, None now",
        f"numpy: 1.0 in the store, {np.__version__} now",
    ):  # fmt: skip
        assert said in caught.value.problem
    assert small.reads() == []


def test_a_changed_sweep_is_refused_and_the_rest_repaired(small: SmallStore) -> None:
    whole = small.files()
    for file in SHARDS:
        small.flip(file)
    damaged = small.files()
    path, points = small.sweeps[1]
    shift = np.where(np.arange(points) < 30, 30.0, 0.0)[:, None]  # as many points as before
    np.save(path, (np.load(path) + shift).astype(np.float32))
    with pytest.raises(UserError, match="1 of 3 damaged shards do not come out as they were") as caught:
        repair(small)
    assert f"{SHARDS[0]}: its sensor files hold other points than then" in caught.value.problem
    assert "bring the sensor files back" in caught.value.remedy
    assert small.files() == whole | {SHARDS[0]: damaged[SHARDS[0]]}
    assert [damage.file for damage in verify_store(small.path).damages] == [SHARDS[0]]


def test_frames_that_went_bad_or_well_are_named(small: SmallStore) -> None:
    for file in SHARDS[:2]:
        small.flip(file)
    damaged = small.files()
    small.sweeps[2][0].unlink()
    np.save(small.sweeps[6][0], np.zeros((60, 3), np.float32))
    with pytest.raises(UserError, match="2 of 2 damaged shards") as caught:
        repair(small)
    assert f"{SHARDS[0]}: frame 2: No such file or directory" in caught.value.problem
    assert f"{SHARDS[1]}: frame 6 can be read now and could not before" in caught.value.problem
    assert small.files() == damaged


def test_a_file_shared_with_a_cache_is_replaced_not_written(small: SmallStore) -> None:
    """DVC links files of its cache into the project and makes them read-only."""
    whole = small.files()
    cache = small.path.with_name("cache")
    cache.mkdir()
    small.flip(SHARDS[0])
    (cache / "hard").hardlink_to(small.path / SHARDS[0])
    (cache / "soft").write_bytes(b"half of the shard")
    (small.path / SHARDS[1]).unlink()
    (small.path / SHARDS[1]).symlink_to(cache / "soft")
    for path in cache.iterdir():
        path.chmod(0o444)
    linked = {path.name: (path.read_bytes(), path.stat().st_ino, path.stat().st_mtime_ns) for path in cache.iterdir()}
    assert repair(small) == list(SHARDS[:2])
    assert small.files() == whole
    assert not (small.path / SHARDS[1]).is_symlink()
    assert linked == {
        path.name: (path.read_bytes(), path.stat().st_ino, path.stat().st_mtime_ns) for path in cache.iterdir()
    }


def killed_repair(small: SmallStore, step: int) -> None:
    die_before(step, small.path, small.path.with_name(".store.repair"))
    repair(small)


def test_killed_before_every_step_on_the_disk(small: SmallStore) -> None:
    """Nothing sound is lost, and the next call ends as if nothing had happened."""
    whole, neighbours = small.files(), beside(small)
    spawner = multiprocessing.get_context("forkserver")
    spawner.set_forkserver_preload(["tests.regions.test_repair"])
    repaired = []
    for step in range(1000):
        for file in (SHARDS[0], HEADER):
            small.flip(file)
        (small.path / SHARDS[2]).unlink()
        damaged = small.files()
        process = spawner.Process(target=killed_repair, args=(small, step))
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        left = small.files()
        assert all(left[file] in (content, whole[file]) for file, content in damaged.items())
        assert left.get(SHARDS[2], whole[SHARDS[2]]) == whole[SHARDS[2]]
        repaired.append(sum(left.get(file) == whole[file] for file in (SHARDS[0], SHARDS[2], HEADER)))
        assert len(repair(small)) == 3 - repaired[-1]
        assert small.files() == whole
        assert beside(small) == neighbours
    assert set(repaired) == {0, 1, 2, 3}
    assert repaired == sorted(repaired)
