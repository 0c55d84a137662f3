"""AdamW under a one-cycle schedule of learning rate and momentum."""

from collections.abc import Mapping

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from pipeline.params import Schedule

# Peak and start/end momentum of the cycle, as in BEVFusion and CenterPoint.
HIGH_MOMENTUM, LOW_MOMENTUM = 0.95, 0.85


def build_optimizer(
    module: nn.Module, schedule: Schedule, steps: int, lr_factors: Mapping[str, float] | None = None
) -> tuple[AdamW, OneCycleLR]:
    """The optimiser of all trainable parameters and its schedule, to be advanced after each of `steps` steps.

    Norms and biases take no weight decay: pulling them to zero only changes the scale of features.

    Args:
        module: whose parameters train; those with `requires_grad` off stay out.
        schedule: learning rate, weight decay and the shape of the cycle.
        steps: of the cycle.
        lr_factors: by parameter name, on the learning rate of `schedule`; 1 for those that are left out.

    Returns:
        Both; the optimiser's first group trains at the schedule's own learning rate.
    """
    factors = lr_factors or {}
    # By learning rate and weight decay, the schedule's own first.
    groups: dict[tuple[float, float], list[nn.Parameter]] = {
        (schedule.lr, decay): [] for decay in (schedule.weight_decay, 0.0)
    }
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            decay = schedule.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((schedule.lr * factors.get(name, 1.0), decay), []).append(parameter)
    optimizer = AdamW(
        [{"params": own, "lr": lr, "weight_decay": decay} for (lr, decay), own in groups.items()],
        betas=(HIGH_MOMENTUM, 0.99),
        fused=schedule.precision != "16-mixed",  # the fused one takes scaled gradients, which cannot be clipped
    )  # fmt: skip
    # OneCycleLR divides by the length of the warm-up, 0 steps here: the peak lies a hair before the first one.
    warmup = schedule.warmup * (1 - 1e-9) if schedule.warmup * steps == 1 else schedule.warmup
    cycle = OneCycleLR(
        optimizer,
        max_lr=[lr for lr, _ in groups],
        total_steps=steps,
        pct_start=warmup,
        div_factor=10,
        final_div_factor=1000,
        base_momentum=LOW_MOMENTUM,
        max_momentum=HIGH_MOMENTUM,
    )
    return optimizer, cycle
