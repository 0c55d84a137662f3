"""DVC stage: RAD or a baseline pre-trains the camera branch. Reads index, regions and teacher, never a label."""

import sys
from pathlib import Path

import torch

from pipeline.artifacts.checkpoint import load_weights
from pipeline.artifacts.start import branch_weights
from pipeline.artifacts.weight_source import labels_seen
from pipeline.errors import UserError, user_errors
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.index import FrameIndex
from pipeline.params import camera_method, load_params, load_runtime
from pipeline.regions.store import RegionStore
from pipeline.training.device import device_class
from pipeline.training.distill_camera import distill_camera
from pipeline.training.fault import Recipe
from pipeline.training.launch import on_every_device
from pipeline.training.live import LIVE
from pipeline.training.loop import Run
from pipeline.training.point_check import check_points
from pipeline.training.pretrain_jointly import pretrain_jointly
from pipeline.training.publishing import publish_checkpoint
from pipeline.training.scratch import scratch_folder
from pipeline.work import distill_camera_work


def main(name: str) -> None:
    params, runtime, method = load_params(), load_runtime(), camera_method(name)
    own = params.distill_camera
    made_with = {
        "dataset.pretrain_split": params.dataset.pretrain_split,
        "frames": params.frames,
        "networks": params.networks,
        "distill_camera": own,
        "method": method,
    }
    teacher = Path("data/checkpoints/pretrain_lidar", own.teacher)
    start = Path(own.start)
    joint = method == "simipu"  # trains a LiDAR branch of its own; the teacher has no part in it
    inputs = [Path("data/index"), Path("data/regions"), *([] if joint else [teacher]), start]
    index = FrameIndex.open(Path("data/index"), Path(params.dataset.root))
    regions = RegionStore.open(Path("data/regions"), params.regions)
    loader = FrameLoader(
        index, params.frames, params.networks.grid, regions=regions, images=True, augmentation=own.augmentation,
        processes=runtime.loader_processes,
    )  # fmt: skip
    usable = [i for i in index.split(params.dataset.pretrain_split) if i not in regions.bad_frames]
    positions = [i for i in usable if index[i].cameras]
    if not positions:
        raise UserError(
            "no frame to pre-train on has a camera image",
            where=f"dataset.pretrain_split = {params.dataset.pretrain_split}",
            remedy="leave this stage out: `dvc repro pretrain_lidar` needs no image",
        )
    check_points(index, positions, params.frames)
    start_weights = {name: torch.from_numpy(array) for name, array in branch_weights(start, "camera").items()}
    teacher_weights = {} if joint else load_weights(teacher)
    scratch = scratch_folder("distill_camera", made_with, inputs)
    work = None if joint else distill_camera_work(params, runtime)
    run = Run(
        method, positions, own.schedule, own.seed, scratch, work,
        snapshots=own.snapshots, live=LIVE / "distill_camera" / method,
        recipe=Recipe(("distill_camera", method), params, {"teacher": teacher_weights, "start": start_weights}),
    )  # fmt: skip
    sizes = (params.networks, params.frames, own, runtime)
    if joint:
        weights, history, transferred = pretrain_jointly(loader, run, start_weights, *sizes)
    else:
        weights, history, transferred = distill_camera(loader, run, teacher_weights, start_weights, *sizes, method)
    publish_checkpoint(
        Path("data/checkpoints/distill_camera", method), weights, history, scratch,
        stage="distill_camera", params=made_with, inputs=inputs, seed=own.seed, device=device_class(runtime),
        outside_labels=labels_seen(start), details={"start tensors": transferred},
    )  # fmt: skip


if __name__ == "__main__":
    with user_errors():
        on_every_device(main, sys.argv[1])
