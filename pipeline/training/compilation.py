"""torch.compile for the parts of a network that are dense: convolutions and attention over whole maps."""

import os
import shutil
import sys

import torch
from torch import nn

from pipeline.errors import UserError
from pipeline.params import Runtime

# Points, voxels and the splat stay as they are: their shapes change with every frame.
DENSE = (
    "lidar.backbone", "lidar.neck", "camera.backbone", "camera.neck", "camera.bev", "fuser", "head",
)  # fmt: skip


def compile_dense(network: nn.Module, runtime: Runtime, device: torch.device, backend: str = "inductor") -> None:
    """Marks the dense parts to be compiled at their first call; does nothing unless `runtime.compile`.

    In place: the names of the weights, and the weights, stay.

    Args:
        network: a model of a training; parts that it lacks are passed over.
        runtime: `compile`.
        device: where it runs.
        backend: of torch.compile.

    Raises:
        UserError: on a CPU, no C++ compiler is on the path.
    """
    if not runtime.compile:
        return
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")  # as inductor chooses
    if backend == "inductor" and device.type == "cpu" and not shutil.which(compiler):
        raise UserError(
            f"torch.compile needs a C++ compiler, and there is no {compiler}",
            where="runtime.yaml: compile",
            remedy="install one (CXX names another), or set compile: false",
        )
    modules = dict(network.named_modules())
    for name in DENSE:
        if name in modules:
            modules[name].compile(backend=backend)
