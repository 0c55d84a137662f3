"""What do the parts of the networks cost at paper size?

    python -m benchmarks.networks                                  # detection, both sensors
    python -m benchmarks.networks --scale paper_voxels --task map

Every part gets what one synthetic frame of the configured size brings to it, in a process of its own: milliseconds of
the forward pass (eval mode), of forward and backward (train mode), and the peak memory that the latter adds; last the
whole model. Three parts have a baseline that takes turns with them, from benchmarks/pillars.py and
benchmarks/lift_splat.py, at the sizes of scale=paper.
"""

import argparse
import ctypes
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from benchmarks.lift_splat import Scene, cumsum_trick, growth
from benchmarks.pillars import PlainBackbone, Upstream, alternate
from benchmarks.processes import in_process
from pipeline.configure import params_at
from pipeline.errors import user_errors
from pipeline.networks.lift_splat import LiftSplat
from pipeline.networks.model import BevModel
from pipeline.networks.summary import find_parts, record_passages
from pipeline.networks.synthetic import make_batch
from pipeline.params import Params
from pipeline.preflight.training_step import sweep_points
from pipeline.reporting.page.report import print_tables
from pipeline.reporting.tables.table import Table

BOTH = "LiDAR backbone + neck"
WHOLE = "whole model"
BASELINES = {
    "LiDAR encoder": "padded pillars",
    BOTH: "plain layers",
    "lift-splat": "cumsum trick",
}


def main() -> None:
    options = parse()
    model, _ = build(params_at(options.scale), "LC", options.task, "meta")
    names = [name for name in find_parts(model) if name not in ("LiDAR backbone", "LiDAR neck")]
    names = options.only or [names[0], BOTH, *names[1:], WHOLE]
    rows = []
    for name in names:
        rows += in_process(measure, name, options.scale, options.task, options.repeats, options.threads)
        print(f"measured: {name}", file=sys.stderr)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{options.threads} CPU threads"
    table = Table(
        f"Networks at scale={options.scale}, {options.task}, one frame",
        f"{device}; medians of {options.repeats}; times faster than the named baseline of the same run",
        ["part", "forward, ms", "ratio", "forward + backward, ms", "ratio", "adds, MB", "ratio"],
        rows,
    )
    print_tables([table], [], Console(width=140))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="paper")
    parser.add_argument("--task", choices=["detection", "map"], default="detection")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", metavar="PART")
    return parser.parse_args()


def build(params: Params, modality: str, task: str, device: str) -> tuple[BevModel, Any]:
    """The model and what a frame brings to it; on `meta` nothing is computed."""
    torch.manual_seed(0)
    with torch.device(device):
        model = BevModel(params.networks, params.frames, modality, task)
    if device == "meta":
        return model, None
    return model, make_batch(params.frames, sweep_points(params), images=True, batch=1, device=torch.device(device))


def measure(name: str, scale: str, task: str, repeats: int, threads: int) -> list[list[str]]:
    """Rows of a part and its baseline, measured in this new process."""
    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model, batch = build(params_at(scale), "LC", task, device)
    works = choose(name, model.eval(), batch, scale, device)
    measured: dict[str, list[float]] = {title: [] for title in works}
    for module, _ in works.values():
        module.eval()
    with torch.no_grad():
        forward = {title: partial(run, module, inputs, device) for title, (module, inputs) in works.items()}
        for title, times in alternate(forward, repeats).items():
            measured[title].append(float(np.median(times)))
    for module, _ in works.values():
        module.train()
    steps = {title: partial(step, module, inputs, device) for title, (module, inputs) in works.items()}
    added = {title: added_memory(work, device) for title, work in steps.items()}
    for title, times in alternate(steps, repeats).items():
        measured[title] += [float(np.median(times)), added[title]]
    baseline = list(measured.values())[-1]
    compared = len(measured) > 1  # the baseline stands last
    return [
        [title, *(cell for own, base in zip(numbers, baseline, strict=True) for cell in cells(own, base, compared))]
        for title, numbers in measured.items()
    ]


def cells(own: float, base: float, compared: bool) -> tuple[str, str]:
    return f"{own:,.0f}", f"{base / own:.1f}" if compared else ""


def choose(name: str, model: BevModel, batch: Any, scale: str, device: str) -> dict[str, tuple[nn.Module, Any]]:
    """The part under its name, and its baseline where there is one, each with its inputs."""
    if name == WHOLE:
        return {name: (model, (batch,))}
    with torch.no_grad():
        passages = record_passages(model, batch)
    if name == BOTH:
        part = nn.Sequential(model.lidar.backbone, model.lidar.neck)
        inputs = passages["LiDAR backbone"].inputs
    else:
        part, inputs = passages[name].module, passages[name].inputs
    works = {name: (part, inputs)}
    if scale == "paper" and name in BASELINES and not (device == "cuda" and name == "LiDAR encoder"):
        twins: dict[str, Callable[[], tuple[nn.Module, Any]]] = {
            "LiDAR encoder": lambda: (Upstream(), (batch.points,)),
            BOTH: lambda: (PlainBackbone().to(device), (inputs[0].contiguous(),)),
            "lift-splat": lambda: (CumsumLift(model.camera.view), inputs),  # type: ignore[union-attr]
        }
        works[f"{name}: {BASELINES[name]}"] = twins[name]()
    return works


class CumsumLift(nn.Module):
    """The lift-splat of a model with the cumsum trick in the place of its splat."""

    def __init__(self, own: LiftSplat) -> None:
        super().__init__()
        self.own = own

    def forward(self, features: Tensor, bev_from_image: Tensor, frame: Tensor, frames: int) -> Tensor:
        own = self.own
        projected = own.project(features).permute(0, 2, 3, 1)
        logits, context = projected.split([len(own.depths), own.context], -1)
        rows, shares = context.reshape(-1, own.context), logits.softmax(-1).reshape(-1, len(own.depths))
        return cumsum_trick(Scene(bev_from_image, frame, own.pixels, own.depths, rows, shares))


def run(module: nn.Module, inputs: Any, device: str) -> Any:
    output = module(*inputs)
    if device == "cuda":
        torch.cuda.synchronize()
    return output


def step(module: nn.Module, inputs: Any, device: str) -> None:
    """Forward and backward; maps that came from other parts take a gradient too."""
    output = module(*map(follow, inputs))
    tensors = output.values() if isinstance(output, dict) else output if isinstance(output, (list, tuple)) else [output]
    torch.autograd.backward([one.float().square().mean() for one in tensors if one.requires_grad])
    if device == "cuda":
        torch.cuda.synchronize()


def follow(value: Any) -> Any:
    """The same input; feature maps, whole or in a list, as leaves that take a gradient."""
    if isinstance(value, list):
        return [follow(one) for one in value]
    if isinstance(value, Tensor) and value.dim() == 4 and value.is_floating_point() and value.shape[1] > 3:
        return value.detach().requires_grad_()
    return value


def added_memory(work: Callable[[], None], device: str) -> float:
    """MB that a step needs at its peak beside what was there."""
    if device == "cpu":
        ctypes.CDLL(None).malloc_trim(0)  # what earlier runs freed is not to be taken for what was there
        return growth(work)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


if __name__ == "__main__":
    with user_errors():
        main()
