"""`judge` on the small world: needs from notes, and everything that can fail to fit."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.frames.manifest import read_manifest
from pipeline.params import Corruptions, Params, Runtime
from pipeline.preflight.jobs import Job
from pipeline.preflight.machine import Disk, available_memory, find_disks
from pipeline.preflight.verdict import CACHE, DATA, SCRATCH, _disk_problem, judge
from pipeline.preflight.workload import FrameCounts, count_frames, find_workload
from pipeline.throughput import Throughput

PREPARE, REGIONS = Job("prepare", "prepare", ()), Job("regions", "regions", ())
PRC = Job("pretrain_lidar@prc", "pretrain_lidar", ("prc",))
CELLS = tuple(Job(f"finetune@{arm}", "finetune", (arm, "detection-1.0", "0")) for arm in ("scratch-L", "prc-L"))
EVALUATE = Job("evaluate@scratch-L", "evaluate", ("scratch-L",))
REPORT = Job("report", "report", ())
MANY = 10**15


def noted(job: Job, params: Params, runtime: Runtime, **values: float) -> dict[str, Throughput]:
    """A note that fits a job."""
    work = find_workload(job, params, runtime, FrameCounts(1, 1, 1, 1))
    assert work is not None
    cost = {"units": 10, "start": 2.0, "seconds": 5.0, "size": 1000, "memory": 10_000} | values
    return {work.key: Throughput(**cost)}  # type: ignore[arg-type]


@pytest.mark.parametrize("stale", [("prepare", "regions"), ("regions",)])
def test_tables_and_index_count_the_same_frames(stale: tuple[str, ...], params: Params) -> None:
    assert count_frames(params, stale) == FrameCounts(all=9, pretrain=6, train=6, val=3)


def test_a_world_that_is_still_to_be_simulated_is_counted_from_its_params(params: Params) -> None:
    own = replace(params.simulate, train_scenes=5, val_scenes=2, keyframes_per_scene=4)
    assert count_frames(replace(params, simulate=own), ["simulate", "prepare"]) == FrameCounts(28, 20, 20, 8)


def test_conditions_that_an_arm_cannot_feel_are_no_work(params: Params, world_runtime: Runtime) -> None:
    """Frames times models times conditions that apply."""
    everything = Corruptions(None, [1, 2, 3])
    own = replace(params.stress, rig=everything, camera=everything, trials=["detection-1.0", "map-0.1"], seeds=[0, 9])
    params = replace(params, stress=own)  # neither map-0.1 nor seed 9 is fine-tuned
    units = {}
    for arm in ("scratch-L", "scratch-LC"):
        for family in ("rig", "camera"):
            work = find_workload(Job("stress", "stress", (arm, family)), params, world_runtime, FrameCounts(9, 6, 6, 3))
            units[arm, family] = work.units if work else 0
    assert units == {
        ("scratch-L", "rig"): 3 * 2 * 3, ("scratch-LC", "rig"): 3 * 4 * 3,
        ("scratch-L", "camera"): 0, ("scratch-LC", "camera"): 3 * 8 * 3,
    }  # fmt: skip


def test_what_notes_say_is_scaled_to_the_frames(params: Params, world_runtime: Runtime) -> None:
    notes = noted(REGIONS, params, world_runtime) | noted(PRC, params, world_runtime, memory=70_000)
    notes |= noted(CELLS[0], params, world_runtime) | noted(EVALUATE, params, world_runtime, units=2)
    verdict = judge([REGIONS, PRC, *CELLS, EVALUATE, REPORT], params, world_runtime, notes)
    needs = {need.stage: need for need in verdict.needs}
    assert (needs["regions"].units, needs["regions"].seconds, needs["regions"].size) == (9, 2 + 9 * 0.5, 900)
    steps = 100 * 4  # of the embedded scale: 100 steps of 4 frames
    assert (needs["pretrain_lidar"].units, needs["pretrain_lidar"].seconds) == (steps, 2 + steps * 0.5)
    assert needs["pretrain_lidar"].size == 1000  # a checkpoint is no larger for more steps
    # Two arms, 14 epochs of 6 frames each in batches of 2.
    assert (needs["finetune"].jobs, needs["finetune"].units, needs["finetune"].seconds) == (2, 168, 2 * (2 + 84 * 0.5))
    assert (needs["finetune"].size, needs["finetune"].scratch) == (2000, 1000)
    assert (needs["evaluate"].units, needs["evaluate"].seconds) == (3 * 2, 2 + 6 * 2.5)
    assert "report" not in needs
    assert verdict.seconds == sum(need.seconds or 0 for need in verdict.needs)
    assert (verdict.unknown, verdict.problems) == ([], [])


def test_what_nobody_measured_is_unknown_and_no_problem(params: Params, world_runtime: Runtime) -> None:
    verdict = judge([REGIONS, PRC], params, world_runtime, noted(REGIONS, params, world_runtime))
    assert verdict.unknown == ["pretrain_lidar"]
    assert verdict.needs[1].seconds is verdict.needs[1].size is verdict.needs[1].memory is None
    assert verdict.to_json()["fits"]
    other = replace(params, regions=replace(params.regions, eps=0.9))
    assert judge([REGIONS], other, world_runtime, noted(REGIONS, params, world_runtime)).unknown == ["regions"]


def test_a_full_disk(params: Params, world_runtime: Runtime) -> None:
    notes = noted(REGIONS, params, world_runtime, size=10 * 10**9)  # so 9 GB here, and 9 GB of drafts in scratch/
    (problem,) = judge([REGIONS], params, world_runtime, notes, free=lambda _: 17 * 10**9).problems
    assert "18.00 GB needed, 17.00 GB free below data, .dvc/cache, scratch" in problem
    assert "dvc gc --workspace" in problem
    assert judge([REGIONS], params, world_runtime, notes, free=lambda _: 18 * 10**9).problems == []


def test_a_cache_on_a_disk_of_its_own_takes_copies() -> None:
    needed = {DATA: 50, CACHE: 50, SCRATCH: 20}
    assert _disk_problem(Disk((CACHE,), 49), needed)
    assert _disk_problem(Disk((CACHE,), 50), needed) is None
    assert _disk_problem(Disk((DATA, CACHE), 50), needed) is None
    assert _disk_problem(Disk((DATA, CACHE, SCRATCH), 69), needed)


def test_disks_of_folders_that_do_not_exist_yet(tmp_path: Path) -> None:
    (disk,) = find_disks([tmp_path, tmp_path / "not" / "yet"])
    assert disk.folders == (tmp_path, tmp_path / "not" / "yet")
    assert disk.free > 0


def test_too_little_memory(params: Params, world_runtime: Runtime) -> None:
    notes = noted(PRC, params, world_runtime, memory=8 * 10**9)
    (problem,) = judge([PRC], params, world_runtime, notes, memory=7 * 10**9).problems
    assert "pretrain_lidar needs 8.00 GB, 7.00 GB are available" in problem
    assert "fewer workers in runtime.yaml" in problem
    assert judge([PRC], params, world_runtime, notes, memory=MANY).problems == []
    assert available_memory() > 10**7


@pytest.mark.parametrize("stale", [(PREPARE, REGIONS), (REGIONS,)])
def test_missing_files_are_named(stale: tuple[Job, ...], own_world: Params, world_runtime: Runtime) -> None:
    """By the tables where the index is stale, by the manifest where it is not."""
    root = Path(own_world.dataset.root)
    lost = sorted(path.relative_to(root).as_posix() for path in (root / "samples" / "CAM_BACK").iterdir())[:7]
    assert judge(stale, own_world, world_runtime, {}).missing == ()
    for path in lost:
        (root / path).unlink()
    verdict = judge(stale, own_world, world_runtime, {})
    assert sorted(verdict.missing) == lost
    (problem,) = verdict.problems
    assert "7 sensor files are missing" in problem and str(root) in problem and "…" in problem
    assert any(path in problem for path in lost)
    assert "unpack the archives" in problem


def test_a_missing_sweep_is_only_missed_by_an_index_that_names_it(own_world: Params, world_runtime: Runtime) -> None:
    root = Path(own_world.dataset.root)
    paths = read_manifest(Path("data/index")).column("path").to_pylist()
    (root / next(path for path in paths if path.startswith("sweeps/"))).unlink()
    assert judge([PREPARE], own_world, world_runtime, {}).problems == []
    assert len(judge([REGIONS], own_world, world_runtime, {}).missing) == 1


def test_map_trials_without_a_map_expansion(own_world: Params, world_runtime: Runtime) -> None:
    for path in Path(own_world.dataset.root, "maps", "expansion").iterdir():
        path.unlink()
    (problem,) = judge(CELLS, own_world, world_runtime, {}).problems
    assert "finetune.trials has map trials" in problem and "unpack the map expansion" in problem
    detection = replace(own_world, finetune=replace(own_world.finetune, trials=["detection-1.0"]))
    assert judge(CELLS, detection, world_runtime, {}).problems == []


def test_no_root_is_told_with_its_key(params: Params, world_runtime: Runtime) -> None:
    nowhere = replace(params, dataset=replace(params.dataset, root="nowhere"))
    with pytest.raises(UserError, match=r"(?s)dataset\.root = nowhere.*calico configure dataset\.root"):
        judge([PREPARE], nowhere, world_runtime, {})
    simulate = Job("simulate@embedded", "simulate", ("embedded",))
    assert judge([simulate, PREPARE], nowhere, world_runtime, {}).problems == []


def test_nothing_to_do(params: Params, world_runtime: Runtime) -> None:
    verdict = judge([], params, world_runtime, {})
    assert (verdict.needs, verdict.problems) == ((), [])
