"""One contrast over the points of several processes: who holds which rows, and the sums between them.

A contrast is a weighted mean over anchors, and an anchor's positives lie in its own frame. With `gather`, W processes
share two things: the **negatives**, and the **normaliser**, each returning W Σ_own / Σ_all, so that the mean of the W
losses, and of their gradients as DDP takes it, is the loss and the gradient of one process that sees every frame.
Without it they share nothing: the mean is that of one process that contrasts the frames of each process apart, one
micro-batch after the other, and does not depend on how many processes there are.

Without `torch.distributed`, or in one process, nothing is sent and every function hands back what it was given.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Pool:
    """Where the rows of this process stand among the rows that are contrasted with each other.

    Attributes:
        start: rows of the processes before this one.
        own: rows of this process.
        all: rows of all processes that share negatives.
        shared: whether there are others.
    """

    start: int
    own: int
    all: int
    shared: bool

    @classmethod
    def of(cls, rows: Tensor, gather: bool) -> "Pool":
        """The pool of a tensor's rows. With `gather` every process has to call it, also one without rows."""
        if not gather or processes() == 1:
            return cls(0, len(rows), len(rows), shared=False)
        counts = torch.zeros(processes(), dtype=torch.int64, device=rows.device)
        counts[dist.get_rank()] = len(rows)
        ends = total(counts).cumsum(0).tolist()
        return cls(ends[dist.get_rank()] - len(rows), len(rows), ends[-1], shared=True)

    def gather(self, own: Tensor) -> Tensor:
        """[own, …] to the rows of all processes [all, …]; gradients go back to where their rows came from."""
        rows: Tensor = _Gather.apply(own, self) if self.shared else own  # type: ignore[no-untyped-call]
        return rows

    def reduce(self, parts: Tensor) -> Tensor:
        """[all, …] on every process, summed over the processes, to the own rows [own, …]: the adjoint of `gather`."""
        rows: Tensor = _Reduce.apply(parts, self) if self.shared else parts  # type: ignore[no-untyped-call]
        return rows

    def place(self, own: Tensor, fill: int) -> Tensor:
        """[own] to [all], the rows of other processes being `fill`; nothing is sent."""
        if not self.shared:
            return own
        rows = own.new_full((self.all, *own.shape[1:]), fill)
        rows[self.start : self.start + self.own] = own
        return rows


def processes() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def total(values: Tensor) -> Tensor:
    """The sum over processes, without gradient."""
    if processes() == 1:
        return values.detach()
    values = values.detach().clone()
    dist.all_reduce(values)
    return values


def weighted_mean(values: Tensor, votes: Tensor, gather: bool) -> Tensor:
    """Σ votes · values / Σ votes; 0 where there is no vote.

    Args:
        values: [A], one for each own anchor.
        votes: [A], not negative.
        gather: whether the sums run over the rows of all processes.

    Returns:
        A scalar; with `gather` the share of this process times the number of processes, so that the mean over processes
        is the mean.
    """
    counted = total(votes.sum()) if gather else votes.sum().detach()
    return (processes() if gather else 1) * (votes * values).sum() / torch.where(counted > 0, counted, 1)


class _Gather(torch.autograd.Function):
    # Rows are placed and summed: one collective for any numbers of rows, on every backend, and its own adjoint.
    @staticmethod
    def forward(ctx: Any, own: Tensor, pool: Pool) -> Tensor:
        ctx.pool = pool
        return total(pool.place(own, 0))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        start, own = ctx.pool.start, ctx.pool.own
        return total(gradients[0])[start : start + own], None


class _Reduce(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, parts: Tensor, pool: Pool) -> Tensor:
        ctx.pool = pool
        return total(parts)[pool.start : pool.start + pool.own]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return total(ctx.pool.place(gradients[0], 0)), None
