"""The one training loop: read it top to bottom."""

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pipeline.frames.order import batches
from pipeline.params import Runtime, Schedule
from pipeline.throughput import file_size, note_steps
from pipeline.training.disk import told_when_full
from pipeline.training.fault import Recipe, examine, repeat
from pipeline.training.guards import find_non_finite
from pipeline.training.history import History
from pipeline.training.interrupt import StopRequest
from pipeline.training.observer import watch
from pipeline.training.resume import ResumeState
from pipeline.training.running_statistics import RunningStatistics, synchronise
from pipeline.training.schedule import build_optimizer
from pipeline.training.sharing import Share, share_out

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Step:
    """One forward pass of an optimiser step, and the frames that it sees.

    Attributes:
        number: of the optimiser step.
        epoch: in which the step begins.
        positions: of the frames in the index.
        seed: of what the pass draws at random. No other pass of the training has it; how many devices there are, and
            what was done before, does not change it.
    """

    number: int
    epoch: int
    positions: list[int]
    seed: int


@dataclass(frozen=True)
class Run:
    """What a training run is.

    Attributes:
        title: shown before the progress bar.
        positions: training frames, positions in the index.
        schedule: steps, batch and optimiser.
        seed: of initial weights, order and augmentation.
        scratch: directory of the resume state; it belongs to this run's params, inputs and code alone.
        work: under which key the cost of a frame is noted; nothing is noted without it.
        lr_factors: on the learning rate of parameters by name; 1 for those that are left out.
        snapshots: how many weights are kept on the way, see `pipeline.training.snapshots`.
        live: folder of the curves, see `pipeline.training.live`; none are drawn without it.
        recipe: from which `calico replay` builds the training again; without it a fault is kept, but not replayed.
        again: this one pass is repeated instead of training, from a fault kept in `scratch`.
    """

    title: str
    positions: Sequence[int]
    schedule: Schedule
    seed: int
    scratch: Path
    work: str | None = None
    lr_factors: Mapping[str, float] = field(default_factory=dict)
    snapshots: int = 0
    live: Path | None = None
    recipe: Recipe | None = None
    again: Step | None = None


def fit(
    fabric: Fabric,
    module: nn.Module,
    load: Callable[[Step], Batch],
    losses: Callable[[nn.Module, Step, Batch], dict[str, Tensor]],
    run: Run,
    runtime: Runtime,
) -> History:
    """Trains `module` in place; continues after a kill from the state in `run.scratch`.

    A step minimises the mean loss of its forward passes. Each device does its share of them, adds their gradients up
    and meets the others in the last one; so the number of devices changes weights and history by rounding alone.

    Args:
        fabric: where it trains, and how precisely; from `open_fabric`.
        module: on the fabric's device; holds every parameter to train; frozen ones have `requires_grad` off.
        load: gives the batch of a forward pass; may run ahead in threads, so it must not draw from global random state.
        losses: a forward pass through the network it is given, which is `module` or wraps it; a dictionary of scalars
            whose `loss` is minimised. May draw from torch's global random state.
        run: the run.
        runtime: loader threads, time budget, and seconds between two saves of the resume state.

    Returns:
        Loss terms, learning rate and gradient norm of every step, the same on every device.

    Raises:
        NonFiniteLossError: a term or the gradient norm is not finite; names the first tensor that is not.
        Interrupted: SIGTERM, Ctrl-C or the time budget ended it between two steps; the state is saved.
        UserError: the devices cannot share a step equally, the state to continue from is unreadable, or there is no
            room to save one.
    """
    if run.again is not None:
        repeat(fabric, module, load, losses, run)
        return History()
    schedule, first = run.schedule, fabric.is_global_zero
    steps = schedule.total_steps(len(run.positions))
    share = share_out(schedule, len(run.positions), fabric.global_rank, fabric.world_size)
    if schedule.gather and fabric.world_size > 1 and fabric.device.type == "cuda":
        synchronise(module)
    adamw, cycle = build_optimizer(module, schedule, steps, run.lr_factors)
    average = _averaged(module, schedule.ema)
    precision = fabric.strategy.precision
    scaled = bool(precision.state_dict())  # float16 alone scales its gradients
    state = ResumeState(
        run.scratch / "state.pt", module=module, optimizer=adamw, cycle=cycle, precision=precision, average=average
    )
    history = state.load()
    done = len(history.rows)
    network, optimizer = fabric.setup(module, adamw)
    statistics = RunningStatistics(module, fabric, gather=schedule.gather)
    last_save = began = time.monotonic()
    with watch(module, run, steps, history.rows) as observer, StopRequest(runtime.time_budget) as stop:
        passes = observer.timed(_ahead(_passes(run, share, steps, done), load, runtime.loader_threads))
        for number in range(done, steps):
            optimizer.zero_grad(set_to_none=True)
            row = _accumulate(fabric, network, losses, passes, len(share.passes))
            statistics.join()
            norm = fabric.clip_gradients(network, optimizer, max_norm=schedule.clip, error_if_nonfinite=False)
            assert norm is not None
            row |= {"lr": float(cycle.get_last_lr()[0]), "gradient_norm": float(norm)}
            if said := find_non_finite(row, scaled=scaled):
                again = ((step, load(step)) for step in _passes(run, share, number + 1, number))
                raise examine(fabric, module, network, again, losses, run, said)
            optimizer.step()
            cycle.step()
            if average:
                average.update_parameters(module)
            if len(history.rows) == done:
                began = time.monotonic()  # the first step warms up and is not counted
            history.rows.append(row)
            with told_when_full(run.scratch, "the state of the training that was saved before is whole"):
                observer.stepped(len(history.rows), row)
            stopping = stop.made() and number + 1 < steps
            if first and (stopping or time.monotonic() - last_save > runtime.save_every):
                state.save(history)
                last_save = time.monotonic()
            if stopping:
                fabric.barrier()  # the others would otherwise end while the first one saves
                stop.obey(run.title, len(history.rows), steps)
    frames = (len(history.rows) - done - 1) * min(schedule.batch, len(run.positions))
    seconds = time.monotonic() - began
    if first and len(history.rows) > done:
        state.save(history)  # a kill before the publishing costs nothing
        if run.work and frames > 0:
            note_steps(run.work, frames, seconds, file_size(state.path))
    if average:
        module.load_state_dict(average.module.state_dict())
    return history


def _passes(run: Run, share: Share, steps: int, start: int) -> Iterator[Step]:
    """This device's forward passes from step `start` on."""
    drawn = batches(run.positions, run.schedule.batch, steps, run.seed, start)
    for number, (epoch, positions) in enumerate(drawn, start):
        for index, own in share.of(positions):
            yield Step(number, epoch, own, seed=run.seed * 1_000_003 + number + (index << 40))


def _accumulate(
    fabric: Fabric,
    network: _FabricModule,
    losses: Callable[[nn.Module, Step, Batch], dict[str, Tensor]],
    passes: Iterator[tuple[Step, Batch]],
    count: int,
) -> dict[str, float]:
    """Does the next `count` passes forward and backward; the mean of each loss term over the passes of all devices."""
    total: dict[str, Tensor] = {}
    for index, (step, batch) in enumerate(itertools.islice(passes, count), 1):
        torch.manual_seed(step.seed)  # dropout
        with fabric.no_backward_sync(network, enabled=index < count):
            terms = losses(network, step, batch)
            fabric.backward(terms["loss"] / count)
        total = {name: value.detach() + total.get(name, 0.0) for name, value in terms.items()}
    mean = fabric.all_reduce(torch.stack(list(total.values())) / count, reduce_op="mean")
    assert isinstance(mean, Tensor)
    return dict(zip(total, mean.tolist(), strict=True))


def _averaged(module: nn.Module, decay: float | None) -> AveragedModel | None:
    """The exponential average of the weights and running statistics, step by step; None without a decay."""
    if decay is None:
        return None
    return AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def _ahead(steps: Iterator[Step], load: Callable[[Step], Batch], threads: int) -> Iterator[tuple[Step, Batch]]:
    """Each step with its batch; `threads` of the next batches load while this one trains, none of them for 0."""
    if threads == 0:
        yield from ((step, load(step)) for step in steps)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque((step, pool.submit(load, step)) for step in itertools.islice(steps, threads))
        while waiting:
            step, batch = waiting.popleft()
            loaded = batch.result()
            waiting.extend((following, pool.submit(load, following)) for following in itertools.islice(steps, 1))
            yield step, loaded
