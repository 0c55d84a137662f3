"""Weight files: what goes in comes out, and nothing that could run code or mislead is read."""

import io
import os
import pickle
import struct
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.artifacts.card import WEIGHTS, write_card
from pipeline.artifacts.checkpoint import load_weights, save_weights
from pipeline.errors import UserError


def weights() -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(0)
    return {
        "lidar.block.0.weight": torch.randn(4, 3, generator=draw),
        "lidar.block.0.count": torch.tensor(7),
        "head.bias": torch.randn(2, generator=draw, dtype=torch.float64).requires_grad_(),
    }


def test_round_trip_is_exact_and_equal_tensors_give_equal_bytes(tmp_path: Path) -> None:
    save_weights(tmp_path, weights())
    first = (tmp_path / WEIGHTS).read_bytes()
    loaded = load_weights(tmp_path)
    assert set(loaded) == set(weights())
    for name, tensor in weights().items():
        assert torch.equal(loaded[name], tensor)
        assert loaded[name].dtype == tensor.dtype
    save_weights(tmp_path, dict(reversed(weights().items())))
    assert (tmp_path / WEIGHTS).read_bytes() == first


def test_views_that_share_memory_are_saved_apart(tmp_path: Path) -> None:
    whole = torch.arange(6.0).reshape(2, 3)
    save_weights(tmp_path, {"a": whole, "b": whole.T, "c": whole[0]})
    assert torch.equal(load_weights(tmp_path)["b"], whole.T)


class Evil:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_a_malicious_pickle_is_refused_and_runs_nothing(form: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    buffer = io.BytesIO()
    if form == "pickle":
        pickle.dump(Evil(trace), buffer)
    else:
        torch.save({"w": Evil(trace)}, buffer)
    (tmp_path / WEIGHTS).write_bytes(buffer.getvalue())
    with pytest.raises(UserError, match="not a safetensors file"):
        load_weights(tmp_path)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Evil(trace)))  # the bait does bite
    assert trace.exists()


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../b", "a..b", "", ".hidden", "a b", "C:\\x", "a\n"])
def test_bad_names_are_refused_both_ways(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not dotted words"):
        save_weights(tmp_path, {name: torch.zeros(1)})
    from safetensors.torch import save

    (tmp_path / WEIGHTS).write_bytes(save({name: torch.zeros(1)}))
    with pytest.raises(UserError, match="not dotted words"):
        load_weights(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused_both_ways(value: float, tmp_path: Path) -> None:
    bad = {"lidar.w": torch.tensor([0.0, value])}
    with pytest.raises(ValueError, match="lidar.w holds NaN or infinity"):
        save_weights(tmp_path, bad)
    from safetensors.torch import save

    (tmp_path / WEIGHTS).write_bytes(save(bad))
    with pytest.raises(UserError, match="lidar.w holds NaN or infinity"):
        load_weights(tmp_path)


def test_missing_truncated_and_absurd_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no weights"):
        load_weights(tmp_path)
    save_weights(tmp_path, weights())
    good = (tmp_path / WEIGHTS).read_bytes()
    for bad in (b"", good[:5], good[:-1], good + b"x", struct.pack("<Q", 1 << 60) + good[8:]):
        (tmp_path / WEIGHTS).write_bytes(bad)
        with pytest.raises(UserError, match="not a safetensors file"):
            load_weights(tmp_path)


def test_weights_must_be_those_on_the_card(tmp_path: Path) -> None:
    save_weights(tmp_path, weights())
    write_card(tmp_path, kind="checkpoint", stage="none", params={}, inputs=[])
    assert load_weights(tmp_path)
    save_weights(tmp_path, weights() | {"head.bias": torch.zeros(2)})
    with pytest.raises(UserError, match="not those on the card"):
        load_weights(tmp_path)
