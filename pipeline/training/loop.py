"""The one training loop: read it top to bottom."""

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pipeline.frames.order import batches
from pipeline.params import Runtime, Schedule
from pipeline.throughput import file_size, note_steps
from pipeline.training.history import History
from pipeline.training.observer import watch
from pipeline.training.schedule import build_optimizer, total_steps

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Step:
    """One optimiser step: its number, its epoch and the positions of its frames in the index."""

    number: int
    epoch: int
    positions: list[int]


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
        snapshots: how many weights are kept on the way, see `pipeline.training.snapshots`.
        live: folder of the curves, see `pipeline.training.live`; none are drawn without it.
    """

    title: str
    positions: Sequence[int]
    schedule: Schedule
    seed: int
    scratch: Path
    work: str | None = None
    snapshots: int = 0
    live: Path | None = None


class NonFiniteLossError(ArithmeticError):
    """A loss term or the gradient is NaN or infinite; raised before the optimiser could spoil the weights."""


def fit(
    module: nn.Module,
    load: Callable[[Step], Batch],
    losses: Callable[[Step, Batch], dict[str, Tensor]],
    run: Run,
    runtime: Runtime,
) -> History:
    """Trains `module` in place; continues after a kill from the state in `run.scratch`.

    Args:
        module: holds every parameter to train; frozen ones have `requires_grad` off.
        load: gives the batch of a step; may run ahead in threads, so it must not draw from global random state.
        losses: the forward pass of one step; a dictionary of scalars whose `loss` is minimised.
        run: the run.
        runtime: loader threads, and seconds between two saves of the resume state.

    Returns:
        Loss terms, learning rate and gradient norm of every step.

    Raises:
        NonFiniteLossError: a term or the gradient norm is not finite.
    """
    steps = total_steps(run.schedule, len(run.positions))
    optimizer, cycle = build_optimizer(module, run.schedule, steps)
    state = ResumeState(run.scratch / "state.pt", module, optimizer, cycle)
    history = state.load()
    done = len(history.rows)
    last_save = began = time.monotonic()
    with watch(module, run, steps, history.rows) as observer:
        for step, batch in _ahead(_steps(run, steps, done), load, runtime.loader_threads):
            observer.loaded()
            terms = losses(step, batch)
            optimizer.zero_grad(set_to_none=True)
            terms["loss"].backward()
            norm = nn.utils.clip_grad_norm_((p for p in module.parameters() if p.requires_grad), run.schedule.clip)
            row = {name: float(value.detach()) for name, value in terms.items()}
            row |= {"lr": float(cycle.get_last_lr()[0]), "gradient_norm": float(norm)}
            for name, value in row.items():
                if not torch.isfinite(torch.tensor(value)):
                    raise NonFiniteLossError(
                        f"{run.title}: {name} is {value} at step {step.number}, frames {step.positions}"
                    )
            optimizer.step()
            cycle.step()
            if len(history.rows) == done:
                began = time.monotonic()  # the first step warms up and is not counted
            history.rows.append(row)
            observer.stepped(len(history.rows), row)
            if time.monotonic() - last_save > runtime.save_every:
                state.save(history)
                last_save = time.monotonic()
    frames = (len(history.rows) - done - 1) * min(run.schedule.batch, len(run.positions))
    seconds = time.monotonic() - began
    state.save(history)  # a kill before the publishing costs nothing
    if run.work and frames > 0:
        note_steps(run.work, frames, seconds, file_size(state.path))
    return history


def _steps(run: Run, steps: int, start: int) -> Iterator[Step]:
    drawn = batches(run.positions, run.schedule.batch, steps, run.seed, start)
    return (Step(number, epoch, positions) for number, (epoch, positions) in enumerate(drawn, start))


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


class ResumeState:
    """Weights, optimiser, schedule, random state and history of an unfinished run, in one file."""

    def __init__(self, path: Path, module: nn.Module, optimizer: Optimizer, cycle: LRScheduler) -> None:
        self.path = path
        self.parts: dict[str, nn.Module | Optimizer | LRScheduler] = {
            "module": module,
            "optimizer": optimizer,
            "cycle": cycle,
        }

    def save(self, history: History) -> None:
        """Replaces the file by rename, so that a kill leaves the old state or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        state: dict[str, Any] = {name: part.state_dict() for name, part in self.parts.items()}
        state |= {"random": torch.get_rng_state(), "rows": history.rows}
        draft = self.path.with_suffix(".draft")
        torch.save(state, draft)
        draft.replace(self.path)

    def load(self) -> History:
        """Restores the parts and returns the history so far; an empty one if there is nothing to continue."""
        if not self.path.is_file():
            return History()
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        torch.set_rng_state(state["random"])
        return History(state["rows"])
