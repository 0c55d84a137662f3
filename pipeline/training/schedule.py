"""AdamW under a one-cycle schedule of learning rate and momentum."""

from math import ceil

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from pipeline.params import Schedule

# Peak and start/end momentum of the cycle, as in BEVFusion and CenterPoint.
HIGH_MOMENTUM, LOW_MOMENTUM = 0.95, 0.85


def total_steps(schedule: Schedule, frames: int) -> int:
    """Optimiser steps of a schedule over `frames` training frames: its `steps` or its `epochs`, what ends first."""
    by_epochs = [] if schedule.epochs is None else [ceil(schedule.epochs * frames / schedule.batch)]
    by_steps = [] if schedule.steps is None else [schedule.steps]
    return min(by_epochs + by_steps)


def build_optimizer(module: nn.Module, schedule: Schedule, steps: int) -> tuple[AdamW, OneCycleLR]:
    """The optimiser of all trainable parameters and its schedule, to be advanced after each of `steps` steps.

    Norms and biases take no weight decay: pulling them to zero only changes the scale of features.
    """
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": schedule.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = AdamW(groups, lr=schedule.lr, betas=(HIGH_MOMENTUM, 0.99), fused=True)
    cycle = OneCycleLR(
        optimizer,
        max_lr=schedule.lr,
        total_steps=steps,
        pct_start=schedule.warmup,
        div_factor=10,
        final_div_factor=1000,
        base_momentum=LOW_MOMENTUM,
        max_momentum=HIGH_MOMENTUM,
    )
    return optimizer, cycle
