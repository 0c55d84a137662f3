"""How the frames of an optimiser step are shared out over forward passes and devices."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import UserError
from pipeline.params import Schedule


@dataclass(frozen=True)
class Share:
    """What one device does of every step.

    A step's frames are cut into forward passes of equal size, numbered through the step whichever device does them.

    Attributes:
        frames: of a forward pass.
        passes: numbers of this device's passes.
    """

    frames: int
    passes: range

    def of(self, positions: Sequence[int]) -> list[tuple[int, list[int]]]:
        """(number, frames) of this device's passes through a step's frames."""
        return [(number, list(positions[number * self.frames : (number + 1) * self.frames])) for number in self.passes]


def share_out(schedule: Schedule, frames: int, rank: int, devices: int) -> Share:
    """The share of one device.

    Without `gather` a micro-batch is the forward pass of one device, and a device takes consecutive ones; with it each
    micro-batch is cut once more, into a pass of every device.

    Args:
        schedule: `batch`, `micro_batch` and `gather`.
        frames: training frames; a step holds no more of them.
        rank: of the device, from 0.
        devices: how many there are.

    Raises:
        UserError: a step does not divide into micro-batches, or these do not divide among the devices.
    """
    step = min(schedule.batch, frames)
    micro_batch = schedule.micro_batch or step
    if step % micro_batch:
        raise UserError(
            f"the {step} frames of a step are no multiple of a micro-batch of {micro_batch}",
            where="params.yaml: schedule.batch and schedule.micro_batch of this stage",
            remedy=f"choose a micro_batch that divides {step}",
        )
    shared, unit = (
        (micro_batch, "frames of a micro-batch")
        if schedule.gather
        else (step // micro_batch, "micro-batch(es) of a step")
    )
    if shared % devices:
        raise UserError(
            f"{devices} devices cannot share the {shared} {unit} equally",
            where="runtime.yaml: devices, nodes; params.yaml: schedule.micro_batch, schedule.gather of this stage",
            remedy=f"use a number of devices that divides {shared}, or set micro_batch so that they come out even "
            f"(batch {step} / micro_batch, or micro_batch with gather: true, must be a multiple of {devices}); "
            "docs/scaling.md tells what that changes",
        )
    size = micro_batch // devices if schedule.gather else micro_batch
    passes = step // size
    own = passes // devices
    return Share(size, range(rank, passes, devices) if schedule.gather else range(rank * own, (rank + 1) * own))
