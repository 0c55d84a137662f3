"""Params of the trainings."""

from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Literal, cast

from pipeline.params.checks import fractions, positive, require
from pipeline.params.data import Augmentation
from pipeline.strict_yaml import build_model


@dataclass(frozen=True)
class Schedule:
    """AdamW with one-cycle learning rate and momentum; whichever of `epochs` and `steps` is reached first ends it."""

    epochs: float | None  # passes over the frames; the paper's way
    steps: int | None  # optimiser steps, whatever the number of frames
    batch: int  # frames a step, over all devices
    lr: float
    weight_decay: float
    clip: float
    warmup: float  # share of the steps until the peak
    micro_batch: int | None = None  # frames of a forward pass: what batch norm and contrast see; null = the batch
    gather: bool = False  # the devices share each micro-batch, contrast against all of it; else each has its own
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"  # mixed = autocast of the networks
    ema: float | None = None  # decay a step of the averaged weights that are published; null = the last ones are

    def total_steps(self, frames: int) -> int:
        """Optimiser steps over `frames` training frames: its `steps` or its `epochs`, what ends first."""
        by_epochs = [] if self.epochs is None else [ceil(self.epochs * frames / self.batch)]
        by_steps = [] if self.steps is None else [self.steps]
        return min(by_epochs + by_steps)

    def __post_init__(self) -> None:
        given = [value for value in (self.epochs, self.steps) if value is not None]
        require(bool(given) and min(given) > 0, "give epochs, steps or both, above 0")
        positive(self, "batch", "lr", "clip")
        require(0 <= self.warmup < 1, "warmup must lie in [0, 1)")  # at 1 the cycle has no way down
        divides = self.micro_batch is None or (self.micro_batch > 0 and self.batch % self.micro_batch == 0)
        require(divides, f"micro_batch must divide batch, {self.batch}: {self.micro_batch} does not")
        require(self.ema is None or 0 < self.ema < 1, f"ema must lie between 0 and 1 or be null, not {self.ema}")


LidarMethod = Literal["prc", "plrc", "rapc", "point_info_nce", "proposal_contrast"]
CameraMethod = Literal["rad", "rad_unweighted", "bev_distill", "simipu"]


def lidar_method(name: str) -> LidarMethod:
    """A method of `pretrain_lidar` by its name; a UserError names the others if there is none."""
    method: LidarMethod = build_model(cast(Any, LidarMethod), name, "the method of pretrain_lidar")
    return method


def camera_method(name: str) -> CameraMethod:
    """A method of `distill_camera` by its name; a UserError names the others if there is none."""
    method: CameraMethod = build_model(cast(Any, CameraMethod), name, "the method of distill_camera")
    return method


@dataclass(frozen=True)
class Rapc:
    """The least certain equation of the paper."""

    anchors: Literal["all", "rich"] = "all"  # rich: semantic-less points are negatives only
    same_region_negatives: Literal["masked", "kept"] = "masked"  # kept: PointInfoNCE
    weights: Literal["uniform", "region"] = "uniform"  # region: each region the same, a semantic-less point being one


@dataclass(frozen=True)
class SphereProposals:
    """Balls of proposal_contrast."""

    centres: int  # a frame
    radius: float  # metres

    def __post_init__(self) -> None:
        positive(self, "centres", "radius")


@dataclass(frozen=True)
class PretrainLidar:
    """PRC and the baselines of the LiDAR branch."""

    methods: list[LidarMethod]  # plrc and rapc: prc with alpha 1 and 0
    seed: int
    rich: int  # N, semantic-rich points a frame
    less: int  # M, semantic-less points a frame
    temperature: float
    alpha: float  # weight of PLRC against RAPC
    rapc: Rapc
    proposals: SphereProposals
    snapshots: int  # weights kept on the way, evenly spaced from step 0, for the probes
    augmentation: Augmentation
    schedule: Schedule

    def __post_init__(self) -> None:
        positive(self, "rich", "temperature")
        require(self.snapshots >= 0, "snapshots must not be negative")
        require(0 <= self.alpha <= 1, f"alpha must lie in [0, 1], not {self.alpha}")


@dataclass(frozen=True)
class DistillCamera:
    """RAD and the baselines of the camera branch."""

    methods: list[CameraMethod]  # rad_unweighted: rad without region_weights; simipu has no teacher
    teacher: str  # the pre-trained LiDAR method that teaches
    start: str  # of the student: checkpoint folder or a file of conf/weights
    seed: int
    rich: int
    less: int
    temperature: float
    region_weights: bool  # of RAD: a region weighs the same however many points it has
    depth_supervision: float  # weight of the depth bins' cross-entropy against projected LiDAR points; 0 = off
    snapshots: int  # as in PretrainLidar
    augmentation: Augmentation
    schedule: Schedule

    def __post_init__(self) -> None:
        positive(self, "rich", "temperature")
        require(self.snapshots >= 0, "snapshots must not be negative")
        require(self.depth_supervision >= 0, f"depth_supervision must not lie below 0, not {self.depth_supervision}")


@dataclass(frozen=True)
class Arm:
    """A row of the results table: modality and where the start weights come from."""

    modality: str  # L | LC
    lidar: str  # checkpoint folder or a file of conf/weights
    camera: str

    def __post_init__(self) -> None:
        require(self.modality in ("L", "LC"), f"modality is L or LC, not {self.modality!r}")


@dataclass(frozen=True)
class Finetune:
    """The matrix arm x task-fraction x seed."""

    arms: list[str]
    trials: list[str]  # task and label fraction in one word, so that each task has its own fractions: detection-0.1
    seeds: list[int]
    augmentation: Augmentation
    schedule: Schedule
    equal: Literal["neither", "epochs", "iterations"]  # what every label fraction gets the same number of
    map_steps: int | None  # steps of the map task where it needs fewer; null = as in schedule
    pretrained_lr: float  # factor on the learning rate of tensors that start weights were given for; 0 = frozen

    def __post_init__(self) -> None:
        require(self.pretrained_lr >= 0, f"pretrained_lr must not lie below 0, not {self.pretrained_lr}")
        limited = self.equal == "epochs" and self.schedule.epochs is None
        require(not limited, "equal: epochs needs schedule.epochs, which is null")
        for trial in self.trials:
            task, fraction = parse_trial(trial)
            require(task in ("detection", "map"), f"tasks are detection and map, not {task}")
            fractions([fraction])
            # Evaluation finds the checkpoint, which the trial names, by task and fraction.
            require(trial == f"{task}-{fraction}", f"write {task}-{fraction}, not {trial}")

    def schedule_of(self, task: str) -> Schedule:
        """The schedule of a task."""
        return replace(self.schedule, steps=self.map_steps) if task == "map" and self.map_steps else self.schedule

    def schedule_for(self, task: str, frames: int) -> Schedule:
        """The schedule of a task, the same for every label fraction, under what `equal` asks for.

        `neither`: `schedule_of`. `epochs`: its epochs, whatever steps that takes. `iterations`: the steps that it takes
        over the whole training split, whatever epochs that is.

        Args:
            task: detection or map.
            frames: of the whole training split.
        """
        own = self.schedule_of(task)
        if self.equal == "epochs":
            return replace(own, steps=None)
        return replace(own, epochs=None, steps=own.total_steps(frames)) if self.equal == "iterations" else own

    def fractions(self, task: str) -> list[float]:
        """Label fractions of a task, in the order of `trials`; empty where the task is off."""
        return [fraction for name, fraction in map(parse_trial, self.trials) if name == task]


def parse_trial(trial: str) -> tuple[str, float]:
    """(task, label fraction) of a trial: "detection-0.1" gives ("detection", 0.1).

    Raises:
        ValueError: the trial is not of this form.
    """
    task, _, fraction = trial.partition("-")
    try:
        return task, float(fraction)
    except ValueError:
        raise ValueError(f"a trial is <task>-<label fraction>, e.g. detection-0.1, not {trial!r}") from None
