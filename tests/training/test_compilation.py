"""runtime.yaml: compile."""

import dataclasses
import shutil

import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import UserError
from pipeline.networks.fusion import ConvFuser
from pipeline.networks.model import BevModel
from pipeline.params import Runtime
from pipeline.training.compilation import compile_dense
from tests.small_heads import small_heads
from tests.small_networks import small_frames, small_inputs, small_networks

OFF = Runtime(workers=1, scheduler=None, device="cpu", threads=1, loader_threads=0, save_every=60.0)
ON = dataclasses.replace(OFF, compile=True)
CPU = torch.device("cpu")


class Fused(nn.Module):
    """As little as has a dense part: inductor takes long."""

    def __init__(self) -> None:
        super().__init__()
        self.fuser = ConvFuser([2, 2], 4)

    def forward(self, maps: list[Tensor]) -> Tensor:
        fused: Tensor = self.fuser(maps)
        return fused


def step(network: nn.Module, given: object) -> tuple[Tensor, dict[str, Tensor]]:
    """What the loss and the gradients of a training step are."""
    said = network(given)
    loss = torch.stack([o.float().square().mean() for o in (said.values() if isinstance(said, dict) else [said])]).sum()
    torch.autograd.backward(loss)
    return loss.detach(), {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


def assert_equal_steps(plain: nn.Module, compiled: nn.Module, given: object) -> None:
    """To 1e-4 of the loss and of the largest gradient; the weights keep their names."""
    assert list(plain.state_dict()) == list(compiled.state_dict())
    compiled.load_state_dict(plain.state_dict())
    (loss, wanted), (other, ours) = step(plain, given), step(compiled, given)
    torch.testing.assert_close(other, loss, rtol=1e-4, atol=0)
    largest = max(float(gradient.abs().max()) for gradient in wanted.values())
    assert ours.keys() == wanted.keys()
    assert max(float((ours[name] - wanted[name]).abs().max()) for name in wanted) <= 1e-4 * largest


@pytest.mark.parametrize("detection", ["centerpoint", "transfusion"])
def test_compiled_steps_equal_plain_ones(detection: str) -> None:
    """With the backend that traces forward and backward like inductor, and then runs torch's own kernels."""
    torch.manual_seed(0)
    small = small_networks()
    camera = dataclasses.replace(small.camera, backbone="resnet10t", backbone_options={}, out_indices=[2, 3])
    networks = dataclasses.replace(small, camera=camera, heads=small_heads(detection=detection))
    modality = "LC" if detection == "centerpoint" else "L"
    plain, compiled = (BevModel(networks, small_frames(), modality, "detection") for _ in range(2))
    compile_dense(compiled, ON, CPU, backend="aot_eager")
    assert_equal_steps(plain, compiled, small_inputs())
    parts = {name for name, module in compiled.named_modules() if module._compiled_call_impl is not None}
    assert {"lidar.backbone", "lidar.neck", "fuser", "head"} <= parts
    assert all(name.partition(".")[0] != "camera" or modality == "LC" for name in parts)


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor compiles with g++")
def test_inductor_equals_plain_torch() -> None:
    torch.manual_seed(0)
    plain, compiled = Fused(), Fused()
    compile_dense(compiled, ON, CPU)
    assert_equal_steps(plain, compiled, [torch.randn(2, 2, 8, 8) for _ in range(2)])


def test_off_changes_nothing() -> None:
    network = Fused()
    compile_dense(network, OFF, CPU)
    assert network.fuser._compiled_call_impl is None


def test_without_a_compiler_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match="no-such-compiler") as caught:
        compile_dense(Fused(), ON, CPU)
    assert caught.value.where == "runtime.yaml: compile"
    assert "compile: false" in caught.value.remedy
