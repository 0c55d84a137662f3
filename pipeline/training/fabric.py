"""Lightning Fabric as this project trains with it: devices, precision, and how gradients meet."""

import os
from datetime import timedelta

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision, Precision
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy

from pipeline.params import Runtime
from pipeline.training.device import place
from pipeline.training.launch import launched

# How long a device waits for the others before it gives up: far longer than a step and than writing a resume state.
PATIENCE = timedelta(minutes=10)


class Autocast(MixedPrecision):
    """Mixed precision whose inputs stay as they are: in bfloat16 a point 50 m away would be off by 0.1 m."""

    def convert_input(self, data: object) -> object:
        """The same."""
        return data


def open_fabric(runtime: Runtime, precision: str, seed: int) -> Fabric:
    """Places this process on its device (see `place`) and joins it with the others of the training.

    Args:
        runtime: device and threads.
        precision: `schedule.precision`.
        seed: of the initial weights.

    Raises:
        UserError: as `place`.
    """
    device = place(runtime, seed)
    number: Precision = Precision() if precision == "32-true" else Autocast(precision, device.type)  # type: ignore[arg-type]
    if not launched():
        fabric = Fabric(accelerator=device.type, devices=1, plugins=[number, LightningEnvironment()])
    else:
        here, everywhere = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
        # Buffers are joined by `RunningStatistics`, and stay untouched between the two views of a step.
        strategy = DDPStrategy(timeout=PATIENCE, broadcast_buffers=False, gradient_as_bucket_view=True)
        fabric = Fabric(
            accelerator=device.type, devices=here, num_nodes=everywhere // here, strategy=strategy,
            plugins=[number, TorchElasticEnvironment()],
        )  # fmt: skip
    fabric.launch()
    torch.set_num_threads(runtime.threads)  # Fabric has set what it thinks best; another number rounds otherwise
    return fabric
