"""A pass that went wrong, kept in a folder from which `calico replay` repeats it."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import yaml
from lightning_fabric import Fabric
from torch import Tensor, nn

from pipeline.artifacts.card import dump_json
from pipeline.errors import UserError
from pipeline.params import Params
from pipeline.training.guards import BadTensor, NonFiniteLossError, find_bad
from pipeline.training.launch import rank

if TYPE_CHECKING:
    from pipeline.training.loop import Run, Step

Batch = TypeVar("Batch")
Losses = Callable[[nn.Module, "Step", Batch], dict[str, Tensor]]
REPORT, PARAMS, BATCH, WEIGHTS = "fault.json", "params.yaml", "batch.pt", "weights.pt"


@dataclass(frozen=True)
class Recipe:
    """What the network and the loss of a training are built from again.

    Attributes:
        words: of its stage, e.g. ("pretrain_lidar", "prc").
        params: the whole of params.yaml.
        weights: what the training was given by name: start weights, a teacher's.
    """

    words: tuple[str, ...]
    params: Params
    weights: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)


def examine(
    fabric: Fabric, module: nn.Module, network: nn.Module, passes: Iterable[tuple["Step", Batch]],
    losses: "Losses[Batch]", run: "Run", said: str,
) -> NonFiniteLossError:  # fmt: skip
    """Repeats the passes of a step, keeps the first that holds a bad tensor and gives the error to raise.

    Every process of the training has to call it, since passes may meet others; one whose own passes are finite says so.

    Args:
        fabric: of the training.
        module: the network whose weights are still those before the step.
        network: the same, as the training calls it.
        passes: of this process, and their batches.
        losses: of the training.
        run: the training.
        said: which value of the step is not finite.
    """
    found: tuple[BadTensor, Step, Batch] | None = None
    number = -1
    for step, batch in passes:
        number = step.number
        bad = _repeat(fabric, module, network, step, batch, losses)
        if bad is not None and found is None:
            found = bad, step, batch
    title = f"{run.title}, step {number}: {said}"
    if found is None:
        return NonFiniteLossError(
            f"{title}; repeated, every pass of process {rank()} was finite",
            where=str(run.scratch),
            remedy="look at what the other processes say; if none has found anything, the device does not repeat "
            "itself: set deterministic: true in runtime.yaml, and test its memory",
        )
    bad, step, batch = found
    folder = run.scratch / (f"fault-{rank()}" if rank() else "fault")
    try:
        _keep(folder, bad, step, batch, module, run, said)
    except OSError as error:
        return NonFiniteLossError(
            f"{title}; the first bad tensor is the {bad}",
            where=str(run.scratch),
            remedy=f"the batch could not be kept for a replay: {error}",
        )
    return NonFiniteLossError(
        f"{title}; the first bad tensor is the {bad}",
        where=str(folder),
        remedy=f"`calico replay {folder}` repeats this pass on the CPU; the last saved state is untouched. A bad input "
        "is the fault of the data; otherwise try a lower schedule.lr or schedule.clip",
    )


def repeat(
    fabric: Fabric, module: nn.Module, load: Callable[["Step"], Batch], losses: "Losses[Batch]", run: "Run"
) -> None:
    """The one pass `run.again` of a training whose weights before the step lie in `run.scratch`.

    Raises:
        NonFiniteLossError: it went wrong again.
    """
    assert run.again is not None
    module.load_state_dict(torch.load(run.scratch / WEIGHTS, map_location="cpu", weights_only=True)["module"])
    network = fabric.setup_module(module)
    bad = _repeat(fabric, module, network, run.again, load(run.again), losses)
    if bad is not None:
        raise NonFiniteLossError(str(bad), where=str(run.scratch), remedy="")


def _repeat(
    fabric: Fabric, module: nn.Module, network: nn.Module, step: "Step", batch: Batch, losses: "Losses[Batch]"
) -> BadTensor | None:
    def forward() -> dict[str, Tensor]:
        torch.manual_seed(step.seed)
        return losses(network, step, batch)

    with fabric.no_backward_sync(network):  # type: ignore[arg-type]
        return find_bad(module, batch, forward, fabric.backward)


def _keep(folder: Path, bad: BadTensor, step: "Step", batch: object, module: nn.Module, run: "Run", said: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    torch.save(_plain(batch), folder / BATCH)
    given = {} if run.recipe is None else run.recipe.weights
    torch.save(_plain({"module": module.state_dict(), **given}), folder / WEIGHTS)
    if run.recipe is not None:
        (folder / PARAMS).write_text(yaml.safe_dump(dataclasses.asdict(run.recipe.params), sort_keys=False))
    report = {
        "training": run.title,
        "stage": [] if run.recipe is None else list(run.recipe.words),
        "said": said,
        "first bad tensor": dataclasses.asdict(bad),
        "step": dataclasses.asdict(step),
        "seed": run.seed,
        "process": rank(),
        "torch": torch.__version__,
    }
    (folder / REPORT).write_bytes(dump_json(report))  # the last: a folder with it is whole


def read_report(folder: Path) -> dict[str, Any]:
    """What was noted about a fault.

    Raises:
        UserError: the folder holds no whole fault.
    """
    try:
        report: dict[str, Any] = json.loads((folder / REPORT).read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(
            f"there is no fault to replay ({type(error).__name__})",
            where=str(folder),
            remedy="name the folder that the error of the training named",
        ) from None
    return report


def _plain(value: Any) -> Any:
    """Tensors on the CPU in dictionaries, tuples and lists: what `torch.load(weights_only=True)` takes."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu").clone()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {part.name: _plain(getattr(value, part.name)) for part in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_plain(item) for item in value)
    return value
