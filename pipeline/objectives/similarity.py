"""Sums of exponential similarities, in chunks of rows: what every contrast needs of its [P, Q] similarities."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

# Exponentials are taken relative to the largest possible similarity, 1/temperature. The smallest one is then
# exp(-2/temperature), which float32 holds down to a temperature of 2/87.
MIN_TEMPERATURE = 0.025
# Similarities that exist at one time. On a CPU their 4 MB stay in the cache between the passes over them; a GPU wants
# fewer and larger kernels.
CPU_CHUNK, GPU_CHUNK = 1 << 20, 1 << 26

Groups = tuple[Tensor, Tensor]


def exponential_sums(p: Tensor, q: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Row and column sums of exp((p_i·q_k - 1)/τ) in memory for a fixed number of similarities, with gradient.

    The backward pass computes the similarities anew instead of keeping them. Autocast does not reach inside.

    Args:
        p: floats [P, D], rows of length 1 or less.
        q: same dtype [Q, D], likewise.
        temperature: τ, at least `MIN_TEMPERATURE`.

    Returns:
        [P] and [Q], float32 or wider.

    Raises:
        ValueError: the temperature would underflow float32.
    """
    rows, columns, *_ = _apply(p, q, temperature, None)
    return rows, columns


def grouped_exponential_sums(p: Tensor, q: Tensor, temperature: float, groups: Groups) -> tuple[Tensor, ...]:
    """As `exponential_sums`, and from the same exponentials the sums over pairs of different groups.

    Args:
        p: as there, likewise `q` and `temperature`.
        groups: int64 [P] and [Q], the group of each row and column.

    Returns:
        Row and column sums [P] and [Q] over all pairs, then both over the pairs whose groups differ.
    """
    return _apply(p, q, temperature, groups)


def log_sum(sums: Tensor, temperature: float) -> Tensor:
    """log Σ exp(similarity/τ) from sums relative to exp(1/τ)."""
    return sums.log() + 1 / temperature


def region_means(features: Tensor, region: Tensor, regions: int) -> Tensor:
    """Mean feature of each region, [regions, D], for `features` [P, D] and `region` int64 [P] in [0, regions)."""
    sums = features.new_zeros(regions, features.shape[1]).index_add(0, region, features)
    counts = features.new_zeros(regions).index_add(0, region, features.new_ones(len(region)))
    return sums / counts.clamp(min=1)[:, None]


def _apply(p: Tensor, q: Tensor, temperature: float, groups: Groups | None) -> tuple[Tensor, ...]:
    if temperature < MIN_TEMPERATURE:
        raise ValueError(f"temperature {temperature} underflows float32: use {MIN_TEMPERATURE} or more")
    dtype = torch.promote_types(p.dtype, torch.float32)
    inputs = p.to(dtype), q.to(dtype), temperature, *(groups or (None, None))
    sums: tuple[Tensor, ...] = _ExponentialSums.apply(*inputs)  # type: ignore[no-untyped-call]
    return sums


def _chunks(p: Tensor, q: Tensor, temperature: float) -> Iterator[tuple[slice, Tensor]]:
    """Rows and their exponentials [rows, Q], which the next chunk overwrites."""
    entries = CPU_CHUNK if p.device.type == "cpu" else GPU_CHUNK
    height = max(1, entries // max(1, len(q)))
    buffer = p.new_empty(min(height, len(p)), len(q))
    scaled, keys = p / temperature, q.T
    for start in range(0, len(p), height):
        rows = slice(start, min(start + height, len(p)))
        exponentials = torch.mm(scaled[rows], keys, out=buffer[: rows.stop - start])
        yield rows, exponentials.sub_(1 / temperature).exp_()


class _ExponentialSums(torch.autograd.Function):
    """d/dp_i = Σ_k w_ik e_ik q_k / τ with w_ik the sum of the gradients of the sums that e_ik is part of."""

    @staticmethod
    def forward(
        ctx: Any, p: Tensor, q: Tensor, temperature: float, of_row: Tensor | None, of_column: Tensor | None
    ) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(p, q, of_row, of_column)
        ctx.temperature = temperature
        sums = [p.new_zeros(len(side)) for side in ((p, q) if of_row is None else (p, q, p, q))]
        with torch.autocast(p.device.type, enabled=False):
            for rows, exponentials in _chunks(p, q, temperature):
                sums[0][rows] = exponentials.sum(1)
                sums[1] += exponentials.sum(0)
                if of_row is not None and of_column is not None:
                    exponentials.masked_fill_(of_row[rows, None] == of_column, 0)
                    sums[2][rows] = exponentials.sum(1)
                    sums[3] += exponentials.sum(0)
        return tuple(sums)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        p, q, of_row, of_column = ctx.saved_tensors
        both, apart = gradients[:2], gradients[2:]
        dp, dq = torch.zeros_like(p), torch.zeros_like(q)
        weight = None
        with torch.autocast(p.device.type, enabled=False):
            for rows, exponentials in _chunks(p, q, ctx.temperature):
                if weight is None:
                    weight = torch.empty_like(exponentials)
                share = weight[: rows.stop - rows.start].zero_()
                _add(share, apart, rows)
                if any(gradient is not None for gradient in apart):
                    share.masked_fill_(of_row[rows, None] == of_column, 0)
                _add(share, both, rows)
                exponentials.mul_(share)
                if ctx.needs_input_grad[0]:
                    torch.mm(exponentials, q, out=dp[rows])
                if ctx.needs_input_grad[1]:
                    dq.addmm_(exponentials.T, p[rows])
        return dp.div_(ctx.temperature), dq.div_(ctx.temperature), None, None, None


def _add(share: Tensor, gradients: tuple[Tensor | None, ...], rows: slice) -> None:
    """Adds the gradients of the row and the column sums, where there are any, to [rows, Q]."""
    for gradient, of_rows in zip(gradients, (True, False), strict=False):
        if gradient is not None:
            share.add_(gradient[rows, None] if of_rows else gradient)
