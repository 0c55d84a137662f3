"""DVC stage: PRC or a baseline pre-trains the LiDAR branch. Reads the index and the regions, never a label."""

import sys
from pathlib import Path

from pipeline.errors import user_errors
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.index import FrameIndex
from pipeline.params import lidar_method, load_params, load_runtime
from pipeline.regions.store import RegionStore
from pipeline.training.device import device_class
from pipeline.training.fault import Recipe
from pipeline.training.launch import on_every_device
from pipeline.training.live import LIVE
from pipeline.training.loop import Run
from pipeline.training.point_check import check_points
from pipeline.training.pretrain_lidar import pretrain_lidar
from pipeline.training.publishing import publish_checkpoint
from pipeline.training.scratch import scratch_folder
from pipeline.work import pretrain_lidar_work


def main(name: str) -> None:
    params, runtime, method = load_params(), load_runtime(), lidar_method(name)
    own = params.pretrain_lidar
    made_with = {
        "dataset.pretrain_split": params.dataset.pretrain_split,
        "frames": params.frames,
        "networks": params.networks,
        "pretrain_lidar": own,
        "method": method,
    }
    inputs = [Path("data/index"), Path("data/regions")]
    index = FrameIndex.open(Path("data/index"), Path(params.dataset.root))
    regions = RegionStore.open(Path("data/regions"), params.regions)
    loader = FrameLoader(
        index, params.frames, params.networks.grid, regions=regions, augmentation=own.augmentation,
        processes=runtime.loader_processes,
    )  # fmt: skip
    positions = [i for i in index.split(params.dataset.pretrain_split) if i not in regions.bad_frames]
    check_points(index, positions, params.frames)
    scratch = scratch_folder("pretrain_lidar", made_with, inputs)
    run = Run(
        method, positions, own.schedule, own.seed, scratch, pretrain_lidar_work(params, runtime),
        snapshots=own.snapshots, live=LIVE / "pretrain_lidar" / method,
        recipe=Recipe(("pretrain_lidar", method), params),
    )  # fmt: skip
    weights, history = pretrain_lidar(loader, run, params.networks, own, runtime, method)
    publish_checkpoint(
        Path("data/checkpoints/pretrain_lidar", method), weights, history, scratch,
        stage="pretrain_lidar", params=made_with, inputs=inputs, seed=own.seed, device=device_class(runtime),
    )  # fmt: skip


if __name__ == "__main__":
    with user_errors():
        on_every_device(main, sys.argv[1])
