"""How much work each stage has to do, in the units of its throughput notes."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pipeline.frames.index import FrameIndex
from pipeline.frames.splits import scenes_by_split
from pipeline.frames.tables import read_table
from pipeline.params import Params, Runtime, Schedule, parse_trial
from pipeline.preflight.jobs import Job
from pipeline.robustness.conditions import conditions_of
from pipeline.work import (
    distill_camera_work,
    evaluate_work,
    finetune_work,
    prepare_work,
    pretrain_lidar_work,
    region_quality_work,
    regions_work,
    simulate_work,
    stress_work,
)

INDEX = Path("data/index")


@dataclass(frozen=True)
class FrameCounts:
    """Key frames of the dataset and of the splits that the params name."""

    all: int
    pretrain: int
    train: int
    val: int


@dataclass(frozen=True)
class Workload:
    """The work of a job.

    Attributes:
        key: of its throughput note.
        units: how many.
        grows: whether what it writes grows with the units; a checkpoint does not.
    """

    key: str
    units: int
    grows: bool


def count_frames(params: Params, stale: Collection[str]) -> FrameCounts:
    """Counts the key frames.

    Args:
        stale: stages that will run. The index counts where it stays, the tables where they stay, else the params of
            the world that is still to be simulated.

    Raises:
        UserError: a table is missing or broken, or nobody defines a split.
    """
    if "prepare" not in stale:
        index = FrameIndex.open(INDEX, Path(params.dataset.root))
        names = (params.dataset.pretrain_split, params.dataset.train_split, params.dataset.val_split)
        return FrameCounts(len(index), *(len(index.split(name)) for name in names))
    if "simulate" in stale:
        own = params.simulate
        train, val = (scenes * own.keyframes_per_scene for scenes in (own.train_scenes, own.val_scenes))
        return FrameCounts(own.frames, train, train, val)
    dataset = params.dataset
    root, version = Path(dataset.root), dataset.version
    scenes = {row["token"]: row["name"] for row in read_table(root, version, "scene", "token", "name")}
    samples = read_table(root, version, "sample", "scene_token")
    frames = Counter(scenes.get(row["scene_token"]) for row in samples)
    splits = scenes_by_split(dataset)
    pretrain, train, val = (
        sum(frames[scene] for scene in splits[name])
        for name in (dataset.pretrain_split, dataset.train_split, dataset.val_split)
    )
    return FrameCounts(len(samples), pretrain, train, val)


def find_workload(job: Job, params: Params, runtime: Runtime, frames: FrameCounts) -> Workload | None:
    """The work of a job; None for stages that take seconds whatever the data are."""
    if job.stage == "simulate":
        return Workload(simulate_work(params, runtime), frames.all, grows=True)
    if job.stage == "prepare":
        return Workload(prepare_work(params), frames.all, grows=True)
    if job.stage == "regions":
        return Workload(regions_work(params, runtime), frames.all, grows=True)
    if job.stage == "region_quality":
        return Workload(region_quality_work(params, runtime), frames.all, grows=False)
    if job.stage == "pretrain_lidar":
        units = _trained_frames(params.pretrain_lidar.schedule, frames.pretrain)
        return Workload(pretrain_lidar_work(params, runtime), units, grows=False)
    if job.stage == "distill_camera":
        units = _trained_frames(params.distill_camera.schedule, frames.pretrain)
        return Workload(distill_camera_work(params, runtime), units, grows=False)
    if job.stage == "finetune":
        arm, trial, _ = job.words
        task, fraction = parse_trial(trial)
        units = _trained_frames(
            params.finetune.schedule_for(task, frames.train), max(1, round(frames.train * fraction))
        )
        return Workload(finetune_work(params, runtime, params.arms[arm].modality, task), units, grows=False)
    if job.stage == "evaluate":
        cells = len(params.finetune.trials) * len(params.finetune.seeds)
        key = evaluate_work(params, runtime, params.arms[job.words[0]].modality)
        return Workload(key, frames.val * cells, grows=True)
    if job.stage == "stress":
        arm, family = job.words
        key, tries = stress_work(params, runtime, params.arms[arm].modality, family), _tries(params, arm, family)
        return Workload(key, frames.val * tries, grows=False) if tries else None
    return None


def _tries(params: Params, arm: str, family: str) -> int:
    """How often a frame goes through a model: conditions that apply to the arm, times models."""
    own, modality = params.stress, params.arms[arm].modality
    conditions = sum(condition.applies_to(modality) for condition in conditions_of(family, own))
    trials, seeds = set(own.trials) & set(params.finetune.trials), set(own.seeds) & set(params.finetune.seeds)
    return conditions * len(trials) * len(seeds)


def _trained_frames(schedule: Schedule, frames: int) -> int:
    return schedule.total_steps(frames) * min(schedule.batch, frames)
