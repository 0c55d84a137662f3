"""Repeats a pass that went wrong from what was kept of it, on the CPU, without the data set."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.errors import UserError
from pipeline.frames.batch import FrameBatch
from pipeline.frames.dataset import CPU, FrameLoader
from pipeline.params import Params, Runtime, Schedule, camera_method, lidar_method, load_params, parse_trial
from pipeline.training.distill_camera import distill_camera
from pipeline.training.fault import BATCH, PARAMS, WEIGHTS, read_report
from pipeline.training.finetune import finetune
from pipeline.training.guards import NonFiniteLossError
from pipeline.training.loop import Run, Step
from pipeline.training.pretrain_jointly import pretrain_jointly
from pipeline.training.pretrain_lidar import pretrain_lidar

RUNTIME = Runtime(workers=1, scheduler=None, device="cpu", threads=1, loader_threads=0, save_every=60.0)


@dataclass(frozen=True)
class Replay:
    """What came of it.

    Attributes:
        report: what the training noted (`fault.json`).
        found: the first tensor that is not finite this time; None where all are.
    """

    report: dict[str, Any]
    found: str | None


class KeptFrames(FrameLoader):
    """Gives batches that were kept, in the order in which they were loaded, whatever is asked for."""

    def __init__(self, batches: Sequence[FrameBatch]) -> None:
        self._batches = iter(batches)

    def load(
        self,
        positions: Sequence[int],
        epoch: int = 0,
        seed: int = 0,
        view: str = "a",
        *,
        crop: bool = True,
        device: torch.device = CPU,
    ) -> FrameBatch:
        """The next one."""
        return next(self._batches)


def replay(folder: Path) -> Replay:
    """Builds the network and the loss from the kept params, and repeats the pass with the kept weights and batch.

    Raises:
        UserError: the folder holds no whole fault of a training stage.
    """
    report = read_report(folder)
    if not report["stage"]:
        raise UserError(
            "the fault is not that of a training stage", where=str(folder), remedy="repeat the training itself"
        )
    params = load_params(folder / PARAMS)
    kept: Any = torch.load(folder / BATCH, weights_only=True)
    batches = [FrameBatch(**batch) for batch in (kept if isinstance(kept, tuple | list) else [kept])]
    weights: dict[str, dict[str, Tensor]] = torch.load(folder / WEIGHTS, weights_only=True)
    step = Step(**report["step"])
    words = report["stage"]
    run = Run(report["training"], step.positions, _schedule(params, words), report["seed"], folder, again=step)
    try:
        _train(KeptFrames(batches), run, params, words, weights)
    except NonFiniteLossError as error:
        return Replay(report, error.problem)
    return Replay(report, None)


def _schedule(params: Params, words: list[str]) -> Schedule:
    """That of the stage; half precision, whose scaling the CPU lacks, becomes single."""
    schedules = {"pretrain_lidar": params.pretrain_lidar.schedule, "distill_camera": params.distill_camera.schedule}
    schedule = schedules.get(words[0]) or params.finetune.schedule_of(parse_trial(words[2])[0])
    return replace(schedule, precision="32-true") if schedule.precision == "16-mixed" else schedule


def _train(
    loader: FrameLoader, run: Run, params: Params, words: list[str], weights: dict[str, dict[str, Tensor]]
) -> None:
    """The training of a stage, as the stage calls it."""
    sizes = (params.networks, params.frames, params.distill_camera, RUNTIME)
    if words[0] == "pretrain_lidar":
        pretrain_lidar(loader, run, params.networks, params.pretrain_lidar, RUNTIME, lidar_method(words[1]))
    elif words == ["distill_camera", "simipu"]:
        pretrain_jointly(loader, run, weights["start"], *sizes)
    elif words[0] == "distill_camera":
        distill_camera(loader, run, weights["teacher"], weights["start"], *sizes, camera_method(words[1]))
    else:
        modality, task = params.arms[words[1]].modality, parse_trial(words[2])[0]
        finetune(
            loader, run, weights["start"], params.networks, params.frames, modality, task, RUNTIME,
            pretrained_lr=params.finetune.pretrained_lr,
        )  # fmt: skip
