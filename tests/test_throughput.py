"""Notes of what work cost: written by real blocks, read back, keyed by what decides the cost."""

import multiprocessing
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.params import Runtime, load_params
from pipeline.throughput import RECORD, Throughput, file_size, measured, note, note_steps, read_notes, work_key
from pipeline.work import evaluate_work, finetune_work, pretrain_lidar_work, regions_work, stress_work

PARAMS = load_params(Path(__file__).parents[1] / "params.yaml")
HALF_A_SECOND = Throughput(units=10, start=1.0, seconds=0.5, size=100, memory=1000)


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_block_is_noted_with_its_units_time_size_and_memory() -> None:
    with measured("toy", Path("out"), Path("one.bin")) as work:
        Path("out/below").mkdir(parents=True)
        Path("out/below/two.bin").write_bytes(bytes(3000))
        Path("one.bin").write_bytes(bytes(50))
        time.sleep(0.2)
        work.units = 7
    noted = read_notes()["toy"]
    assert (noted.units, noted.size) == (7, 3050)
    assert 0.2 <= noted.seconds < 5
    assert noted.start > 0.1  # this test process began before
    assert 10e6 < noted.memory < 100e9


def test_a_block_that_fails_or_says_no_units_is_not_noted() -> None:
    with measured("continued"):
        pass
    with pytest.raises(RuntimeError), measured("broken") as work:
        work.units = 3
        raise RuntimeError
    assert not RECORD.exists()


def test_the_last_run_counts_and_others_stay() -> None:
    note("a", HALF_A_SECOND)
    note("b", HALF_A_SECOND)
    note("a", replace(HALF_A_SECOND, units=20))
    assert read_notes() == {"a": replace(HALF_A_SECOND, units=20), "b": HALF_A_SECOND}


def test_a_loop_notes_what_came_before_it_as_start() -> None:
    note_steps("loop", units=4, seconds=0.05, size=9)
    assert read_notes()["loop"].seconds == 0.05
    assert read_notes()["loop"].start > 0.1


def _remember(size: int) -> int:
    return len(bytearray(os.urandom(1024) * (size // 1024)))


def test_workers_count_for_memory() -> None:
    for processes in (1, 4):
        with measured(f"{processes}", processes=processes) as work:
            process = multiprocessing.get_context("spawn").Process(target=_remember, args=(80_000_000,))
            process.start()
            process.join()
            work.units = 1
    assert read_notes()["4"].memory - read_notes()["1"].memory > 4 * 80_000_000


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 3}', b'{"a": {"units": 1}}'])
def test_a_damaged_record_is_no_record(content: bytes) -> None:
    RECORD.parent.mkdir()
    RECORD.write_bytes(content)
    assert read_notes() == {}
    note("a", HALF_A_SECOND)
    assert read_notes() == {"a": HALF_A_SECOND}


def test_size_of_what_is_not_there() -> None:
    assert file_size(Path("nothing")) == 0


def test_keys_follow_what_decides_the_cost(world_runtime: Runtime) -> None:
    def changed(group: str, **values: object) -> str:
        return pretrain_lidar_work(replace(PARAMS, **{group: replace(getattr(PARAMS, group), **values)}), world_runtime)

    key = pretrain_lidar_work(PARAMS, world_runtime)
    assert key == pretrain_lidar_work(PARAMS, replace(world_runtime, save_every=1.0))
    assert key == changed("pretrain_lidar", alpha=0.9, seed=4)
    assert key == changed("pretrain_lidar", schedule=replace(PARAMS.pretrain_lidar.schedule, steps=9000, lr=0.1))
    others = [
        changed("pretrain_lidar", rich=17),
        changed("pretrain_lidar", schedule=replace(PARAMS.pretrain_lidar.schedule, batch=9)),
        changed("frames", sweeps=9),
        changed("networks", embedding=128),
        pretrain_lidar_work(PARAMS, replace(world_runtime, threads=7)),
        finetune_work(PARAMS, world_runtime, "L", "detection"),
        finetune_work(PARAMS, world_runtime, "LC", "detection"),
        finetune_work(PARAMS, world_runtime, "L", "map"),
        evaluate_work(PARAMS, world_runtime, "L"),
        stress_work(PARAMS, world_runtime, "L", "lidar"),
        stress_work(PARAMS, world_runtime, "L", "rig"),
        regions_work(PARAMS, world_runtime),
        regions_work(replace(PARAMS, regions=replace(PARAMS.regions, eps=0.5)), world_runtime),
        regions_work(PARAMS, replace(world_runtime, workers=5)),
    ]
    assert len({key, *others}) == len(others) + 1
    assert work_key("a", {"x": 1}) != work_key("b", {"x": 1})


def _note_often(name: str) -> None:
    for number in range(100):
        note(f"{name}-{number}", HALF_A_SECOND)


def test_processes_that_note_at_once_lose_nothing() -> None:
    """Cells of `finetune` train side by side and end at the same moment."""
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_note_often, args=(name,)) for name in ("one", "two", "three")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(read_notes()) == 300
