"""What would the paper's schedule cost on the whole of nuScenes? Estimated from FLOPs; nothing is run.

    python -m benchmarks.full_run [--tflops 10] [GROUP=CHOICE | KEY=VALUE]...

Frames are those of nuScenes v1.0-trainval under scale=paper and the committed arms, or those of a recipe. The forward
FLOP of each network are counted on a made-up frame, a backward pass is taken as twice that; PRC has two views, RAD's
teacher no backward pass. Hours follow from a rate that a device is assumed to sustain. Contrasts, losses, loading,
suppression, the devkit's scoring and whatever is neither product nor convolution are left out.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
import yaml
from rich.console import Console

from pipeline.configure import compose
from pipeline.errors import user_errors
from pipeline.networks.model import BevModel
from pipeline.networks.summary import summarise
from pipeline.networks.synthetic import make_batch
from pipeline.params import Params, load_runtime, parse_trial
from pipeline.preflight.jobs import Job
from pipeline.preflight.training_step import sweep_points
from pipeline.preflight.workload import FrameCounts, find_workload
from pipeline.reporting.page.report import print_tables
from pipeline.reporting.tables.table import Table
from pipeline.strict_yaml import build_model

NUSCENES = FrameCounts(all=34_149, pretrain=28_130, train=28_130, val=6_019)
CAMERA_PARTS = ("camera backbone", "camera neck", "lift-splat", "camera BEV")
BACKWARD = 2  # FLOP of a backward pass over those of the forward pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tflops", type=float, default=10.0, help="what a device is assumed to sustain, TFLOP/s")
    parser.add_argument("choices", nargs="*", metavar="GROUP=CHOICE | KEY=VALUE", help="as for `calico configure`")
    options = parser.parse_args()
    choice = ["dataset=nuscenes", "dataset.root=/path/to/nuscenes", "scale=paper", *options.choices]
    params = build_model(Params, yaml.safe_load(compose(Path("conf"), choice)), "params.yaml")
    forward = {(task, arm): count_parts(params, task, arm) for task in ("detection", "map") for arm in ("L", "LC")}
    rows: dict[str, tuple[int, int, float]] = {}  # row -> runs, frames, GFLOP in all
    for job in jobs(params):
        work = find_workload(job, params, load_runtime(), NUSCENES)
        if work:
            runs, frames, flops = rows.get(job.name, (0, 0, 0.0))
            own = work.units * gflop_of_a_frame(job, params, forward)
            rows[job.name] = (runs + 1, frames + work.units, flops + own)
    header = ["stage", "runs", "frames", "GFLOP a frame", f"hours at {options.tflops:g} TFLOP/s"]
    hours = {name: flops / (options.tflops * 1e3) / 3600 for name, (_, _, flops) in rows.items()}
    lines = [
        [name, str(runs), f"{frames:,}", f"{flops / frames:,.0f}", f"{hours[name]:,.1f}"]
        for name, (runs, frames, flops) in rows.items()
    ]
    lines.append(["all", str(sum(row[0] for row in rows.values())), "", "", f"{sum(hours.values()):,.0f}"])
    note = "scale=paper on nuScenes v1.0-trainval, estimated, not run"
    print_tables([Table("The full run", note, header, lines)], [], Console(width=120))


def count_parts(params: Params, task: str, modality: str) -> dict[str, float]:
    """GFLOP of the forward pass of each part of a model, one frame."""
    model = BevModel(params.networks, params.frames, modality, task)
    images = modality == "LC"
    frame = make_batch(params.frames, sweep_points(params), images=images, batch=1, device=torch.device("cpu"))
    return {part.name: part.gflops or 0.0 for part in summarise(model, frame)}


def jobs(params: Params) -> Iterator[Job]:
    """Every run of a stage that computes with a network, named by its row of the table."""
    yield from (Job("pretrain_lidar", "pretrain_lidar", (method,)) for method in params.pretrain_lidar.methods)
    yield from (Job("distill_camera", "distill_camera", (method,)) for method in params.distill_camera.methods)
    arms = {name: params.arms[name].modality for name in params.finetune.arms}
    for arm, modality in arms.items():
        for trial in params.finetune.trials:
            for seed in params.finetune.seeds:
                yield Job(f"finetune, {parse_trial(trial)[0]}, {modality}", "finetune", (arm, trial, str(seed)))
    for arm, modality in arms.items():
        yield Job(f"evaluate, {modality}", "evaluate", (arm,))
    for arm, modality in arms.items():
        for family in params.stress.families:
            yield Job(f"stress, {modality}", "stress", (arm, family))


def gflop_of_a_frame(job: Job, params: Params, forward: dict[tuple[str, str], dict[str, float]]) -> float:
    """Of a frame that goes through a job once; `evaluate` and `stress` are counted as detection."""
    both = forward["detection", "LC"]
    lidar = sum(flops for name, flops in both.items() if name.startswith("LiDAR"))
    camera = sum(flops for name, flops in both.items() if name in CAMERA_PARTS)
    if job.stage == "pretrain_lidar":
        return 2 * (1 + BACKWARD) * lidar
    if job.stage == "distill_camera":
        return (1 + BACKWARD) * camera + lidar
    task = parse_trial(job.words[1])[0] if job.stage == "finetune" else "detection"
    whole = sum(forward[task, params.arms[job.words[0]].modality].values())
    return (1 + BACKWARD if job.stage == "finetune" else 1) * whole


if __name__ == "__main__":
    with user_errors():
        main()
