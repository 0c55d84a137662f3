"""The splat: depth probability x context, summed into BEV cells, with neither the volume nor its gradient ever built.

It is a sparse matrix (BEV cells x pixels, values = depth probabilities) times the context features. Every sum, forward
and backward, is a bag: rows gathered from a small table, weighted and added in a fixed order. No atomic addition takes
part, so that a GPU gives the same bits each time.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class SplatPlan:
    """Which pixel and bin goes where: all of a splat that only the cameras' geometry decides.

    Attributes:
        cells: int32 [Q, D], target of each pixel and bin; negative = nowhere.
        pixels: int32 [E], the pixels that hit a cell, cell by cell.
        entries: int64 [E], the same hits as places in [Q, D] flattened.
        starts: int32 [count], where each cell begins in `pixels`.
    """

    cells: Tensor
    pixels: Tensor
    entries: Tensor
    starts: Tensor


def plan_splat(cells: Tensor, count: int) -> SplatPlan:
    """Sorts the hits by cell.

    Args:
        cells: int32 [Q, D], target of each pixel and bin; negative = nowhere.
        count: number of cells.
    """
    flat = cells.reshape(-1)
    hits = (flat >= 0).nonzero().squeeze(1)
    target, order = torch.sort(flat.index_select(0, hits), stable=True)
    entries = hits.index_select(0, order)
    return SplatPlan(
        cells=cells,
        pixels=torch.div(entries.int(), cells.shape[1], rounding_mode="floor"),
        entries=entries,
        starts=torch.searchsorted(target, torch.arange(count, device=cells.device, dtype=torch.int32), out_int32=True),
    )


def splat(context: Tensor, probabilities: Tensor, plan: SplatPlan) -> Tensor:
    """Sum of probability x context over everything that falls into a cell.

    Args:
        context: float32 [Q, C], features of Q pixels.
        probabilities: float32 [Q, D], one weight per depth bin.
        plan: where each pixel and bin goes.

    Returns:
        float32 [count, C], zero for cells that nothing hits. Deterministic; differentiable once in both inputs.
    """
    result: Tensor = _Splat.apply(context, probabilities, plan)  # type: ignore[no-untyped-call]
    return result


class _Splat(torch.autograd.Function):
    """The gradient of embedding_bag for its table sorts and adds once more; seen from the pixels it is a bag again."""

    @staticmethod
    def forward(ctx: Any, context: Tensor, probabilities: Tensor, plan: SplatPlan) -> Tensor:
        ctx.save_for_backward(context, probabilities)
        ctx.plan = plan
        weights = probabilities.reshape(-1).index_select(0, plan.entries)
        return functional.embedding_bag(plan.pixels, context, plan.starts, mode="sum", per_sample_weights=weights)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        context, probabilities = ctx.saved_tensors
        cells = ctx.plan.cells
        # What goes nowhere reads cell 0 with weight 0.
        with torch.enable_grad():
            weights = torch.where(cells >= 0, probabilities.detach(), 0).requires_grad_(ctx.needs_input_grad[1])
            # A pixel's share: the gradient at each cell that it hits, weighted. It is linear in the weights, and what
            # the context multiplies in it is their gradient.
            shares = functional.embedding_bag(
                cells.clamp(min=0), gradient.contiguous(), mode="sum", per_sample_weights=weights
            )
        of_weights = None
        if ctx.needs_input_grad[1]:
            of_weights = torch.where(cells >= 0, torch.autograd.grad(shares, weights, context)[0], 0)
        return shares.detach() if ctx.needs_input_grad[0] else None, of_weights, None
