"""Sums and maxima over groups of rows that lie slot by slot.

Groups are sorted by size, largest first; rows lie as all first members, then all second members, and so on, each in the
order of the groups. Slot j is then one block of memory beside the first `sizes[j]` groups: no index, no scatter, no
atomic addition, and as many vectorised steps as the largest group has members.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor


class _SlotMax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, sizes: Sequence[int]) -> Tensor:
        highest = rows[: sizes[0]].clone()
        for slot in _blocks(rows, sizes[1:], sizes[0]):
            torch.maximum(highest[: len(slot)], slot, out=highest[: len(slot)])
        ctx.save_for_backward(rows, highest)
        ctx.sizes = sizes
        return highest

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        rows, highest = ctx.saved_tensors
        ties = torch.zeros_like(highest)
        for slot in _blocks(rows, ctx.sizes):
            ties[: len(slot)] += slot == highest[: len(slot)]
        share = gradients[0] / ties
        result = torch.empty_like(rows)
        for slot, out in zip(_blocks(rows, ctx.sizes), _blocks(result, ctx.sizes), strict=True):
            torch.mul(share[: len(slot)], slot == highest[: len(slot)], out=out)
        return result, None


class _SlotSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, sizes: Sequence[int]) -> Tensor:
        ctx.sizes = sizes
        total = rows[: sizes[0]].clone()
        for slot in _blocks(rows, sizes[1:], sizes[0]):
            total[: len(slot)] += slot
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return slot_expand(gradients[0], ctx.sizes), None


class _SlotExpand(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, groups: Tensor, sizes: Sequence[int]) -> Tensor:
        ctx.sizes = sizes
        return torch.cat([groups[:size] for size in sizes])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return slot_sum(gradients[0], ctx.sizes), None


def slot_max(rows: Tensor, sizes: Sequence[int]) -> Tensor:
    """Largest entry per group and channel.

    Args:
        rows: float [P, C], slot by slot.
        sizes: how many groups have a member in each slot, descending, not empty; they add up to P.

    Returns:
        float [sizes[0], C]. Rows that tie share the gradient equally.
    """
    return cast(Callable[[Tensor, Sequence[int]], Tensor], _SlotMax.apply)(rows, sizes)


def slot_sum(rows: Tensor, sizes: Sequence[int]) -> Tensor:
    """Sum per group: [P, C] to [sizes[0], C]; arguments as for `slot_max`."""
    return cast(Callable[[Tensor, Sequence[int]], Tensor], _SlotSum.apply)(rows, sizes)


def slot_expand(groups: Tensor, sizes: Sequence[int]) -> Tensor:
    """Every group's row beside each of its members: [sizes[0], C] to [P, C]."""
    return cast(Callable[[Tensor, Sequence[int]], Tensor], _SlotExpand.apply)(groups, sizes)


def _blocks(rows: Tensor, sizes: Sequence[int], start: int = 0) -> Iterator[Tensor]:
    for size in sizes:
        yield rows[start : start + size]
        start += size
