"""Measures, in a minute, what a unit of a stage costs that never ran on this machine.

`python -m pipeline.preflight.calibration <stage> [words]` does a few steps of the real work in a process of its own, on
real frames but stand-ins for what earlier stages have not made yet, and leaves a throughput note.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError, user_errors
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.index import FrameIndex
from pipeline.params import Params, Runtime, Schedule, load_params, load_runtime, parse_trial
from pipeline.preflight.jobs import Job
from pipeline.preflight.workload import count_frames, find_workload
from pipeline.throughput import measured, read_notes
from pipeline.work import (
    distill_camera_work,
    evaluate_work,
    finetune_work,
    pretrain_lidar_work,
    regions_work,
    stress_work,
)

CALIBRATED = ("regions", "pretrain_lidar", "distill_camera", "finetune", "evaluate", "stress")
FRAMES = 8  # key frames that are segmented or predicted
STEPS = 4  # of a training; the first one is not counted
SCRATCH = Path("scratch/preflight")


def calibrate_unknown(jobs: Sequence[Job], params: Params, runtime: Runtime) -> list[str]:
    """Measures one job of every kind that has no note yet.

    Returns:
        What could not be measured, and why, a line each.
    """
    stages = {job.stage for job in jobs}
    if "prepare" in stages or "simulate" in stages:
        return ["nothing measured: there is no index yet; run `dvc repro prepare` first"]
    frames = count_frames(params, stages)
    known, failures = set(read_notes()), []
    for job in jobs:
        work = find_workload(job, params, runtime, frames)
        if work and job.stage in CALIBRATED and work.key not in known:
            known.add(work.key)
            if reason := calibrate(job):
                failures.append(f"{job.name} could not be measured: {reason}")
    return failures


def calibrate(job: Job) -> str | None:
    """Measures a job of a stage in `CALIBRATED`; the working directory is the project's root and has an index.

    Returns:
        Why it failed, in one line; None where it did not.
    """
    command = [sys.executable, "-m", "pipeline.preflight.calibration", job.stage, *job.words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no message"])[-1]


class StandInRegions:
    """Region ids as many as real ones, of no meaning."""

    def read(self, position: int, points: int) -> NDArray[np.int16]:
        """int16 [points]: every third point in one of 40 regions, the others in none."""
        ids = np.arange(points) % 120
        return np.where(ids < 40, ids, -1).astype(np.int16)


class StandInLabels:
    """Frames without a box."""

    def boxes(self, token: str) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
        """No boxes."""
        return np.zeros((0, 9), np.float32), np.zeros(0, np.int64), np.zeros(0, np.int64)


def main(stage: str, *words: str) -> None:
    """Runs one calibration."""
    params, runtime = load_params(), load_runtime()
    index = FrameIndex.open(Path("data/index"), Path(params.dataset.root))
    shutil.rmtree(SCRATCH, ignore_errors=True)
    measure_some: dict[str, Callable[..., None]] = {
        "regions": segment_some,
        "pretrain_lidar": pretrain_some,
        "distill_camera": distill_some,
        "finetune": finetune_some,
        "evaluate": predict_some,
        "stress": disturb_some,
    }
    measure_some[stage](index, params, runtime, *words)
    shutil.rmtree(SCRATCH, ignore_errors=True)


def segment_some(index: FrameIndex, params: Params, runtime: Runtime) -> None:
    """Regions of a few key frames, written nowhere: the note takes two bytes a point, what they are uncompressed."""
    from pipeline.frames.points import read_points
    from pipeline.regions.segmentation import segment

    chosen = [index.key_sweeps[k] for k in np.linspace(0, len(index) - 1, FRAMES).astype(int)]
    segment(read_points(chosen[0][0]), params.regions)  # compiles
    ids = SCRATCH / "ids"
    ids.mkdir(parents=True)
    with measured(regions_work(params, runtime), ids, processes=1) as work:
        for k, (path, _) in enumerate(chosen):
            segment(read_points(path), params.regions).ids.tofile(ids / str(k))
        work.units = len(chosen) * runtime.workers


def pretrain_some(index: FrameIndex, params: Params, runtime: Runtime, method: str) -> None:
    """A few steps of PRC."""
    from pipeline.training.loop import Run
    from pipeline.training.pretrain_lidar import pretrain_lidar

    own = params.pretrain_lidar
    loader = FrameLoader(
        index, params.frames, params.networks.grid, regions=StandInRegions(), augmentation=own.augmentation
    )
    positions = index.split(params.dataset.pretrain_split)
    run = Run(method, positions, short(own.schedule), own.seed, SCRATCH, pretrain_lidar_work(params, runtime))
    pretrain_lidar(loader, run, params.networks, own, runtime)


def distill_some(index: FrameIndex, params: Params, runtime: Runtime, method: str) -> None:
    """A few steps of RAD with a teacher that knows nothing."""
    from pipeline.training.distill_camera import distill_camera
    from pipeline.training.loop import Run
    from pipeline.training.pretrain_lidar import LidarEmbedding

    own = params.distill_camera
    loader = FrameLoader(
        index, params.frames, params.networks.grid, regions=StandInRegions(), images=True, augmentation=own.augmentation
    )
    positions = [k for k in index.split(params.dataset.pretrain_split) if index[k].cameras]
    run = Run(method, positions, short(own.schedule), own.seed, SCRATCH, distill_camera_work(params, runtime))
    teacher = LidarEmbedding(params.networks).state_dict()
    distill_camera(loader, run, teacher, {}, params.networks, params.frames, own, runtime)


def finetune_some(index: FrameIndex, params: Params, runtime: Runtime, arm: str, trial: str, seed: str) -> None:
    """A few steps of fine-tuning from random weights, without boxes or on the real map."""
    from pipeline.training.finetune import finetune
    from pipeline.training.loop import Run

    own, (task, _), modality = params.finetune, parse_trial(trial), params.arms[arm].modality
    loader = FrameLoader(
        index,
        params.frames,
        params.networks.grid,
        labels=StandInLabels() if task == "detection" else None,
        map_grid=params.networks.heads.map_grid if task == "map" else None,
        images=modality == "LC",
        augmentation=own.augmentation,
    )
    positions, work = index.split(params.dataset.train_split), finetune_work(params, runtime, modality, task)
    run = Run(f"{arm} {trial}", positions, short(own.schedule_of(task)), int(seed), SCRATCH, work)
    finetune(loader, run, {}, params.networks, params.frames, modality, task, replace(runtime, threads=1))


def predict_some(index: FrameIndex, params: Params, runtime: Runtime, arm: str) -> None:
    """A few frames through a network that knows nothing; the scoring by the devkit is not in it."""
    from pipeline.evaluation.predict import predict_boxes
    from pipeline.networks.model import BevModel
    from pipeline.training.device import place

    modality, device = params.arms[arm].modality, place(runtime, seed=0)
    model = BevModel(params.networks, params.frames, modality, "detection").to(device).eval()
    loader = FrameLoader(index, params.frames, params.networks.grid, images=modality == "LC")
    positions = index.split(params.dataset.val_split)[:FRAMES]
    predict_boxes({"": model}, loader, positions[:1], 1, device)  # warms up
    with measured(evaluate_work(params, runtime, modality)) as work:
        predict_boxes({"": model}, loader, positions, params.evaluate.batch, device)
        work.units = len(positions)


def disturb_some(index: FrameIndex, params: Params, runtime: Runtime, arm: str, family: str) -> None:
    """A few frames under the first condition through a network that knows nothing, without scoring.

    Raises:
        UserError: the family is an attack, which asks the model itself.
    """
    from pipeline.evaluation.predict import predict_boxes
    from pipeline.networks.model import BevModel
    from pipeline.robustness.conditions import CORRUPTIONS, conditions_of, disturb
    from pipeline.training.device import place

    if family not in CORRUPTIONS:
        raise UserError(f"only a run of {family} tells what it costs", where="stress", remedy="leave it unknown")
    modality, device = params.arms[arm].modality, place(runtime, seed=0)
    first = next(one for one in conditions_of(family, params.stress) if one.applies_to(modality))
    model = BevModel(params.networks, params.frames, modality, "detection").to(device).eval()
    loader = FrameLoader(
        index, params.frames, params.networks.grid, images=modality == "LC",
        disturbance=disturb(first, params.stress.seed, index, StandInLabels()),
    )  # fmt: skip
    positions = index.split(params.dataset.val_split)[:FRAMES]
    predict_boxes({"": model}, loader, positions[:1], 1, device)  # warms up
    with measured(stress_work(params, runtime, modality, family)) as work:
        predict_boxes({"": model}, loader, positions, params.evaluate.batch, device)
        work.units = len(positions) * (runtime.workers if device.type == "cpu" else runtime.devices)


def short(schedule: Schedule) -> Schedule:
    """The same for a few steps."""
    return replace(schedule, steps=STEPS, epochs=None)


if __name__ == "__main__":
    with user_errors():
        main(*sys.argv[1:])
