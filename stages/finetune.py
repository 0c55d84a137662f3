"""DVC stage: fine-tunes one arm on one task with one share of the labels and one seed.

On the CPU the cell's other seeds train beside it, one thread each; see `pipeline.training.ahead`. What trains is
imported where it is needed: a cell that was trained ahead is published without it, in a second instead of five.
"""

import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.errors import user_errors
from pipeline.params import load_params, load_runtime, parse_trial
from pipeline.training.launch import launched, on_every_device
from pipeline.training.scratch import publish_finished, scratch_folder


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix; params.yaml, the index, the labels and the arm's start weights decide the rest."""

    arm: str
    trial: str
    seed: int

    @property
    def checkpoint(self) -> Path:
        """What it publishes."""
        return Path("data/checkpoints/finetune", self.arm, f"{self.trial}-{self.seed}")

    @property
    def start(self) -> Path:
        """The start weights of its arm."""
        return Path("data/checkpoints/start", self.arm)

    @property
    def inputs(self) -> list[Path]:
        """What it reads."""
        return [Path("data/index"), Path("data/labels"), self.start]

    @property
    def made_with(self) -> dict[str, Any]:
        """The params that it depends on."""
        params = load_params()
        task, fraction = parse_trial(self.trial)
        own = params.finetune
        return {
            "arm": self.arm,
            "modality": params.arms[self.arm].modality,
            "task": task,
            "fraction": fraction,
            "frames": params.frames,
            "networks": params.networks,
            "finetune.augmentation": own.augmentation,
            "finetune.pretrained_lr": own.pretrained_lr,
            "schedule": own.schedule_for(task, self.training_frames),
        }

    @property
    def training_frames(self) -> int:
        """Frames of the whole training split, of which this cell may use the labels of some."""
        params = load_params()
        if params.finetune.equal != "iterations":
            return 0  # no schedule asks for it, and a cell that was trained ahead is published without the index
        from pipeline.frames.index import FrameIndex

        return len(FrameIndex.open(Path("data/index"), Path(params.dataset.root)).split(params.dataset.train_split))

    @property
    def scratch(self) -> Path:
        """Where it keeps what is not published yet."""
        return scratch_folder("finetune", {**self.made_with, "seed": self.seed}, self.inputs)


def main(arm: str, trial: str, seed: int) -> None:
    """Publishes one cell, trained here unless it was trained ahead."""
    cell = Cell(arm, trial, seed)
    if not launched() and publish_finished(cell.scratch, cell.checkpoint):
        return
    from pipeline.training.ahead import train_ahead
    from pipeline.training.device import device_class

    own = load_params().finetune  # the seeds are no dependency: they decide what trains beside, not what comes out
    others = [Cell(arm, trial, other) for other in own.seeds if other != seed]
    waiting = [other for other in others if not other.checkpoint.exists()]
    runtime = load_runtime()
    alone = not launched() and device_class(runtime) == "cpu"
    spare = runtime.workers - 1 if alone else 0
    with train_ahead([partial(train, other, ahead=True) for other in waiting[:spare]]):
        train(cell)


def train(cell: Cell, *, ahead: bool = False) -> None:
    """Trains and publishes one cell; one `ahead` of its stage stays in scratch/."""
    from pipeline.artifacts.checkpoint import load_weights
    from pipeline.frames.dataset import FrameLoader
    from pipeline.frames.index import FrameIndex
    from pipeline.frames.labels import Labels
    from pipeline.training.device import device_class
    from pipeline.training.fault import Recipe
    from pipeline.training.finetune import finetune
    from pipeline.training.loop import Run
    from pipeline.training.point_check import check_points
    from pipeline.training.publishing import publish_checkpoint
    from pipeline.work import finetune_work

    params, runtime = load_params(), load_runtime()
    own, made_with, scratch = params.finetune, cell.made_with, cell.scratch
    modality, task = made_with["modality"], made_with["task"]
    index = FrameIndex.open(Path("data/index"), Path(params.dataset.root))
    labels = Labels.open(Path("data/labels"))
    tokens = labels.fraction(made_with["fraction"])
    loader = FrameLoader(
        index,
        params.frames,
        params.networks.grid,
        labels=labels if task == "detection" else None,
        map_grid=params.networks.heads.map_grid if task == "map" else None,
        images=modality == "LC",
        augmentation=own.augmentation,
        processes=runtime.loader_processes,
    )
    positions = [index.position(token) for token in tokens]
    check_points(index, positions, params.frames)
    start_weights = load_weights(cell.start)
    run = Run(
        f"{cell.arm} {cell.trial} seed {cell.seed}", positions, made_with["schedule"], cell.seed, scratch,
        finetune_work(params, runtime, modality, task),
        recipe=Recipe(("finetune", cell.arm, cell.trial, str(cell.seed)), params, {"start": start_weights}),
    )  # fmt: skip
    weights, history, transferred = finetune(
        loader, run, start_weights, params.networks, params.frames, modality, task, replace(runtime, threads=1),
        pretrained_lr=own.pretrained_lr,
    )  # fmt: skip
    publish_checkpoint(
        cell.checkpoint, weights, history, scratch,
        stage="finetune", params=made_with, inputs=cell.inputs, seed=cell.seed, device=device_class(runtime),
        labelled=tokens, details={"start tensors": transferred}, ahead=ahead,
    )  # fmt: skip


if __name__ == "__main__":
    with user_errors():
        on_every_device(main, sys.argv[1], sys.argv[2], int(sys.argv[3]))
