"""Maximum over groups of rows."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor


class _SegmentMax(torch.autograd.Function):
    """torch's own backward of scatter_reduce takes three times as long on CPU; values and gradients are the same."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, segments: Tensor, count: int) -> Tensor:
        empty = values.new_full((count, values.shape[1]), -torch.inf)
        result = empty.scatter_reduce(0, segments[:, None].expand_as(values), values, "amax")
        ctx.save_for_backward(values, segments, result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        values, segments, result = ctx.saved_tensors
        winners = (values == result.index_select(0, segments)).to(values.dtype)
        ties = torch.zeros_like(result).scatter_add(0, segments[:, None].expand_as(values), winners)
        share = gradients[0] / ties.clamp_(min=1)
        return winners.mul_(share.index_select(0, segments)), None, None


def segment_max(values: Tensor, segments: Tensor, count: int) -> Tensor:
    """Largest row entry per segment and channel.

    Args:
        values: float [P, C].
        segments: int64 [P], the segment of each row, in [0, count).
        count: number of segments.

    Returns:
        float [count, C], -inf for a segment without rows. Deterministic. Rows that tie share the gradient equally.
    """
    apply = cast(Callable[[Tensor, Tensor, int], Tensor], _SegmentMax.apply)
    return apply(values, segments, count)
