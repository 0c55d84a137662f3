"""Start weights: what of a checkpoint goes into a model, and a strict account of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class TransferReport:
    """Tensor names, sorted, of one transfer.

    Attributes:
        matched: copied.
        missing: in the model only; they keep their initial values.
        unexpected: in the weights only (a projector, say); not used.
        reshaped: in both with different shapes; not copied.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """Number of tensors per outcome, for cards and logs."""
        return {name: len(names) for name, names in vars(self).items()}


def transfer(model: nn.Module, weights: Mapping[str, Tensor], branches: Sequence[str]) -> TransferReport:
    """Copies every tensor of `weights` that the model has by name and shape.

    Args:
        model: the receiver; changed in place.
        weights: tensors by full name (`lidar.…`, `camera.…`).
        branches: name prefixes, without the dot, that must be matched completely.

    Returns:
        The report.

    Raises:
        ValueError: a tensor of a requested branch is missing or has another shape, or the model has no such branch;
            names the tensors. The model is unchanged then.
    """
    own = model.state_dict()
    shared = sorted(own.keys() & weights.keys())
    report = TransferReport(
        matched=tuple(name for name in shared if own[name].shape == weights[name].shape),
        missing=tuple(sorted(own.keys() - weights.keys())),
        unexpected=tuple(sorted(weights.keys() - own.keys())),
        reshaped=tuple(name for name in shared if own[name].shape != weights[name].shape),
    )
    for branch in branches:
        prefix = f"{branch}."
        if not any(name.startswith(prefix) for name in own):
            raise ValueError(f"start weights for {branch!r} asked for, but the model has no such branch")
        problems = [f"{name} (missing)" for name in report.missing if name.startswith(prefix)]
        problems += [
            f"{name} (shape {tuple(weights[name].shape)}, model {tuple(own[name].shape)})"
            for name in report.reshaped
            if name.startswith(prefix)
        ]
        problems += [f"{name} (not in the model)" for name in report.unexpected if name.startswith(prefix)]
        if problems:
            shown = ", ".join(problems[:5]) + (f" and {len(problems) - 5} more" if len(problems) > 5 else "")
            raise ValueError(f"start weights do not fit branch {branch!r}: {shown}")
    with torch.no_grad():
        for name in report.matched:
            own[name].copy_(weights[name])
    return report
