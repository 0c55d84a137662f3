"""Sums of exponentials in chunks: as the dense form, in bounded memory."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.objectives import similarity
from pipeline.objectives.prc import prc
from pipeline.objectives.rad import rad
from pipeline.objectives.similarity import exponential_sums, grouped_exponential_sums
from pipeline.params import Rapc


class LargestTensor(TorchDispatchMode):
    """Notes the most elements that any tensor made inside has, backward pass included."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for made in result if isinstance(result, tuple) else (result,):
            if isinstance(made, Tensor):
                self.elements = max(self.elements, made.numel())
        return result


def views(points: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """Two views with gradient and regions of five; every second point is in none."""
    vectors = torch.randn(2, points, 16, dtype=dtype, generator=torch.Generator().manual_seed(0))
    p, q = (view.clone().requires_grad_() for view in functional.normalize(vectors, dim=2))
    return p, q, torch.where(torch.arange(points) % 2 == 0, torch.arange(points) // 10, -1)


@pytest.mark.parametrize("chunk", [1, 400, 4096, 1 << 20])
def test_equals_the_dense_form(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Value and gradient, rectangular, rows and chunks that do not divide."""
    monkeypatch.setattr(similarity, "CPU_CHUNK", chunk)
    p, q, _ = views(133, torch.float64)
    p = p[:61]
    groups = torch.arange(61) // 3, torch.arange(133) // 4
    dense = ((p @ q.T - 1) / 0.1).exp()
    apart = dense.masked_fill(groups[0][:, None] == groups[1], 0)
    wanted = (dense.sum(1), dense.sum(0), apart.sum(1), apart.sum(0))
    found = grouped_exponential_sums(p, q, 0.1, groups)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(exponential_sums(p, q, 0.1), wanted[:2])
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(one.shape, dtype=torch.float64, generator=generator) for one in wanted]
    for used in ((0, 1, 2, 3), (0,), (1,), (2,), (3,), (1, 2)):
        results = [
            torch.autograd.grad(sum((sums[i] * weights[i]).sum() for i in used), [p, q], retain_graph=True)  # type: ignore[arg-type]
            for sums in (found, wanted)
        ]
        torch.testing.assert_close(*results)


@pytest.mark.parametrize("chunk", [1 << 14, 1 << 16])
def test_memory_is_bounded_by_the_chunk(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """1500² similarities are 2.2 million; no tensor of PRC or RAD, forward or backward, is larger than its chunk."""
    monkeypatch.setattr(similarity, "CPU_CHUNK", chunk)
    p, q, region = views(1500)
    for loss in (
        lambda: prc(p, q, region, temperature=0.1, alpha=0.5, switches=Rapc())["loss"],
        lambda: rad(p, q, region, torch.zeros_like(region), temperature=0.1),
    ):
        with LargestTensor() as largest:
            loss().backward()  # type: ignore[no-untyped-call]
        assert chunk - 1500 < largest.elements <= max(chunk, p.numel())


def test_no_rows_and_no_columns() -> None:
    none, some = torch.zeros(0, 4, requires_grad=True), torch.full((3, 4), 0.5, requires_grad=True)
    for p, q in ((none, some), (some, none), (none, none)):
        rows, columns = exponential_sums(p, q, 0.1)
        assert rows.tolist() == [0] * len(p) and columns.tolist() == [0] * len(q)
        (rows.sum() + columns.sum()).backward()
    assert none.grad is not None and none.grad.shape == (0, 4)
