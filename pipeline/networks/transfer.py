"""Start weights: what of a checkpoint goes into a model, and a strict account of it."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.errors import UserError

BACKBONE = "camera.backbone.model."  # where a model of ours keeps its timm model
REMEDY = "params.yaml: networks changed after they were trained? Run `dvc repro`, or name other weights under `arms`"
TIMM = "timm."  # prefix of start weights under timm's own names


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

    def record(self) -> dict[str, int | list[str]]:
        """The counts, and by part of the model what did not go over, for the card of what was trained."""
        parts: dict[str, int | list[str]] = {
            f"{outcome} parts": _parts(names) for outcome, names in vars(self).items() if outcome != "matched"
        }
        return {**self.counts(), **parts}


def load_start(
    model: nn.Module,
    weights: Mapping[str, Tensor],
    branches: Sequence[str] | None = None,
    *,
    least_matched: float = 1.0,
) -> TransferReport:
    """Copies start weights into a model: whole branches of ours, or an image backbone as timm names it.

    Args:
        model: the receiver; changed in place.
        weights: tensors by full name (`lidar.…`, `camera.…`), or `timm.…` for the backbone of `camera`.
        branches: which branches must be matched completely. By default those of this model of which `weights` holds any
            tensor under our own names.
        least_matched: share of the backbone's tensors that `timm.…` must match, 0 to 1.

    Returns:
        The report.

    Raises:
        ValueError: as `transfer`.
        UserError: fewer tensors of the backbone are matched. The model is unchanged then.
    """
    own = model.state_dict()
    if branches is None:
        present = [name for name, _ in model.named_children()]
        branches = [
            branch
            for branch in ("lidar", "camera")
            if branch in present and any(name.startswith(f"{branch}.") for name in weights)
        ]
    if any(name.startswith(TIMM) for name in weights) and any(name.startswith(BACKBONE) for name in own):
        weights = rename_timm(own, weights)
        _check_backbone(own, weights, least_matched)
    return transfer(model, weights, branches)


def rename_timm(own: Iterable[str], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`timm.…` to the names in `own`; what has no place there keeps its name.

    A timm model cut into feature maps may join a sequence with its index (`stages.0.x` is `stages_0.x` there) or sit
    one level deeper (`model.x`); nothing else of a name changes.
    """
    places = {name.removeprefix(BACKBONE).removeprefix("model.").replace(".", "_"): name for name in own
              if name.startswith(BACKBONE)}  # fmt: skip
    return {
        places.get(name.removeprefix(TIMM).replace(".", "_"), name) if name.startswith(TIMM) else name: tensor
        for name, tensor in weights.items()
    }


def freeze(model: nn.Module, names: Collection[str]) -> None:
    """Stops parameters from training, and puts modules all of whose tensors are among `names` into evaluation mode.

    So the running statistics of their batch norms stay, too, and their dropout is off. `model.train()` would undo that.
    """
    for name, parameter in model.named_parameters():
        if name in names:
            parameter.requires_grad_(False)
    for prefix, module in model.named_modules():
        held = [f"{prefix}.{name}" for name in module.state_dict()]
        if held and all(name in names for name in held):
            module.eval()


def _check_backbone(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], least: float) -> None:
    places = [name for name in own if name.startswith(BACKBONE)]
    missing = [name for name in places if name not in weights]
    reshaped = [name for name in places if name in weights and weights[name].shape != own[name].shape]
    matched = len(places) - len(missing) - len(reshaped)
    if matched < least * len(places):
        lacking = ", ".join(f"{name.removeprefix(BACKBONE)} (missing)" for name in missing[:3])
        other = ", ".join(
            f"{name.removeprefix(BACKBONE)} (shape {tuple(weights[name].shape)}, model {tuple(own[name].shape)})"
            for name in reshaped[:3]
        )
        raise UserError(
            f"the start weights match {matched} of the {len(places)} tensors of the image backbone: "
            + "; ".join(filter(None, [lacking, other])),
            where="params.yaml: networks.camera.backbone",
            remedy="name start weights of this backbone and these backbone_options, or lower "
            "networks.camera.least_matched",
        )


def _parts(names: Sequence[str]) -> list[str]:
    """Names counted by their first three words: "camera.neck.laterals: 12"."""
    counts = Counter(".".join(name.split(".")[:3]) for name in names)
    return [f"{part}: {count}" for part, count in sorted(counts.items())]


def transfer(model: nn.Module, weights: Mapping[str, Tensor], branches: Sequence[str]) -> TransferReport:
    """Copies every tensor of `weights` that the model has by name and shape.

    Args:
        model: the receiver; changed in place.
        weights: tensors by full name (`lidar.…`, `camera.…`).
        branches: name prefixes, without the dot, that must be matched completely.

    Returns:
        The report.

    Raises:
        UserError: a tensor of a requested branch is missing or has another shape, or the model has no such branch;
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
            problem = f"start weights for {branch!r} asked for, but the model has no such branch"
            raise UserError(problem, where="start weights", remedy=REMEDY)
        problems = [f"{name} (missing)" for name in report.missing if name.startswith(prefix)]
        problems += [
            f"{name} (shape {tuple(weights[name].shape)}, model {tuple(own[name].shape)})"
            for name in report.reshaped
            if name.startswith(prefix)
        ]
        problems += [f"{name} (not in the model)" for name in report.unexpected if name.startswith(prefix)]
        if problems:
            shown = ", ".join(problems[:5]) + (f" and {len(problems) - 5} more" if len(problems) > 5 else "")
            problem = f"start weights do not fit branch {branch!r}: {shown}"
            raise UserError(problem, where="start weights", remedy=REMEDY)
    with torch.no_grad():
        for name in report.matched:
            own[name].copy_(weights[name])
    return report
