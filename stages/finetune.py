"""DVC stage: fine-tunes one arm on one task with one share of the labels and one seed.

On the CPU the cell's other seeds train beside it, one thread each; see `pipeline.training.ahead`.
"""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline.artifacts.checkpoint import load_weights
from pipeline.errors import user_errors
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.params import load_params, load_runtime, parse_trial
from pipeline.training.ahead import train_ahead
from pipeline.training.device import device_class
from pipeline.training.fault import Recipe
from pipeline.training.finetune import finetune
from pipeline.training.launch import launched, on_every_device
from pipeline.training.loop import Run
from pipeline.training.point_check import check_points
from pipeline.training.publishing import publish_checkpoint, scratch_folder
from pipeline.work import finetune_work


def main(arm: str, trial: str, seed: int) -> None:
    """Trains and publishes one cell."""
    own = (
        load_params().finetune
    )  # its seeds are no dependency: they decide what trains beside this cell, not its result
    others = [other for other in own.seeds if other != seed and not checkpoint(arm, trial, other).exists()]
    runtime = load_runtime()
    alone = not launched() and device_class(runtime) == "cpu"
    spare = runtime.workers - 1 if alone else 0
    with train_ahead(partial(train, arm, trial, publish=False), others[:spare]):
        train(arm, trial, seed, publish=True)


def train(arm: str, trial: str, seed: int, *, publish: bool) -> None:
    """Trains one cell; without `publish` its finished state stays in scratch/ for its own stage."""
    params, runtime = load_params(), load_runtime()
    task, fraction = parse_trial(trial)
    own = params.finetune
    schedule = own.schedule_of(task)
    modality = params.arms[arm].modality
    made_with = {
        "arm": arm,
        "modality": modality,
        "task": task,
        "fraction": fraction,
        "frames": params.frames,
        "networks": params.networks,
        "finetune.augmentation": own.augmentation,
        "finetune.pretrained_lr": own.pretrained_lr,
        "schedule": schedule,
    }
    start = Path("data/checkpoints/start", arm)
    inputs = [Path("data/index"), Path("data/labels"), start]
    index = FrameIndex.open(Path("data/index"), Path(params.dataset.root))
    labels = Labels.open(Path("data/labels"))
    tokens = labels.fraction(fraction)
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
    scratch = scratch_folder("finetune", {**made_with, "seed": seed}, inputs)
    positions, work = [index.position(t) for t in tokens], finetune_work(params, runtime, modality, task)
    check_points(index, positions, params.frames)
    start_weights = load_weights(start)
    recipe = Recipe(("finetune", arm, trial, str(seed)), params, {"start": start_weights})
    run = Run(f"{arm} {trial} seed {seed}", positions, schedule, seed, scratch, work, recipe=recipe)
    weights, history, transferred = finetune(
        loader,
        run,
        start_weights,
        params.networks,
        params.frames,
        modality,
        task,
        replace(runtime, threads=1),
        pretrained_lr=own.pretrained_lr,
    )
    if publish:
        publish_checkpoint(
            checkpoint(arm, trial, seed), weights, history, scratch,
            stage="finetune", params=made_with, inputs=inputs, seed=seed, device=device_class(runtime),
            labelled=tokens, details={"start tensors": transferred},
        )  # fmt: skip


def checkpoint(arm: str, trial: str, seed: int) -> Path:
    """The folder of a fine-tuned cell."""
    return Path("data/checkpoints/finetune", arm, f"{trial}-{seed}")


if __name__ == "__main__":
    with user_errors():
        on_every_device(main, sys.argv[1], sys.argv[2], int(sys.argv[3]))
