"""Peak memory of one training step on made-up input of the configured size.

`python -m pipeline.preflight.training_step <modality> <task> <batch> [scale]` is the fresh process that it is measured
in: what an earlier step left behind would not be told apart from what this one needs.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import orjson
import torch
from torch import nn

from pipeline.configure import params_at
from pipeline.errors import UserError, user_errors
from pipeline.networks.heads.map import MapHead
from pipeline.networks.model import BevModel
from pipeline.networks.synthetic import SyntheticBatch, make_batch
from pipeline.objectives.detection import detection_loss
from pipeline.objectives.map_segmentation import map_loss
from pipeline.params import Params, Runtime, load_runtime
from pipeline.params.classes import DETECTION_CLASSES
from pipeline.training.device import place
from pipeline.training.schedule import build_optimizer

BOXES = 40  # of a frame


@dataclass(frozen=True)
class StepMemory:
    """What a training step takes.

    Attributes:
        device: cpu, or the GPU's model.
        batch: frames of the step.
        megabytes: peak less the level before the model was built: weights, gradients, the optimiser's state,
            activations and input.
    """

    device: str
    batch: int
    megabytes: float


def sweep_points(params: Params) -> int:
    """Points of one sweep, were every ray to come back."""
    return params.simulate.lidar.beams * params.simulate.azimuth_steps


def measure_in_process(scale: str | None, modality: str, task: str, batch: int) -> StepMemory:
    """Measures a step in a fresh process; the working directory is the project's root.

    Raises:
        UserError: the step failed, in most cases for want of memory.
    """
    words = [modality, task, str(batch), *([scale] if scale else [])]
    command = [sys.executable, "-m", "pipeline.preflight.training_step", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"the process ended with {done.returncode}"])[-1]
        raise UserError(
            f"a training step of {batch} frame(s) failed: {said}",
            where="calico model",
            remedy="take --no-step, or a smaller --batch",
        )
    return StepMemory(**orjson.loads(done.stdout))


def measure_step(params: Params, runtime: Runtime, modality: str, task: str, batch: int) -> StepMemory:
    """Builds a model and trains it for two steps: in the second the optimiser's state is there, too."""
    device = place(runtime, seed=0)
    on_gpu = device.type == "cuda"
    if not on_gpu:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from the present level
    before = 0.0 if on_gpu else _status_mb("VmRSS")
    model = BevModel(params.networks, params.frames, modality, task).to(device).train()
    inputs = make_batch(params.frames, sweep_points(params), images=modality == "LC", batch=batch, device=device)
    train(model, inputs, params, task, steps=2)
    peak = torch.cuda.max_memory_allocated() / 2**20 if on_gpu else _status_mb("VmHWM")
    return StepMemory(torch.cuda.get_device_name() if on_gpu else "cpu", batch, peak - before)


def train(model: BevModel, inputs: SyntheticBatch, params: Params, task: str, steps: int) -> None:
    """So many steps as the training loop does them, towards made-up labels."""
    schedule = params.finetune.schedule_of(task)
    optimizer, _ = build_optimizer(model, schedule, steps)
    frames, device = len(inputs.offsets) - 1, inputs.points.device
    for _ in range(steps):
        outputs = model(inputs)
        if isinstance(model.head, MapHead):
            assert isinstance(outputs, torch.Tensor)
            loss = map_loss(outputs, torch.zeros_like(outputs))["loss"]
        else:
            assert isinstance(outputs, dict)
            boxes = torch.ones(BOXES, 9, device=device)
            boxes[:, :2] = (torch.rand(BOXES, 2, device=device) * 2 - 1) * params.networks.grid.reach * 0.9
            classes = torch.arange(BOXES, device=device) % len(DETECTION_CLASSES)
            loss = detection_loss(outputs, model.head.targets([boxes] * frames, [classes] * frames))["loss"]
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), schedule.clip)
        optimizer.step()


def _status_mb(field: str) -> float:
    """Of this process: VmRSS (now) or VmHWM (at its peak)."""
    return int(Path("/proc/self/status").read_text().partition(f"{field}:")[2].split()[0]) / 1024


def main(modality: str, task: str, batch: str, scale: str | None = None) -> None:
    """Prints the outcome as JSON."""
    measured = measure_step(params_at(scale), load_runtime(), modality, task, int(batch))
    sys.stdout.write(orjson.dumps(measured).decode())


if __name__ == "__main__":
    with user_errors():
        main(*sys.argv[1:])
