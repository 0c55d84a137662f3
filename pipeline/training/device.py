"""Where a training runs, and from which random state it starts."""

import os

import torch

from pipeline.errors import UserError
from pipeline.params import Runtime
from pipeline.process import calm_numpy, keep_freed_memory
from pipeline.training.launch import launched


def place(runtime: Runtime, seed: int) -> torch.device:
    """Sets threads and the global seed (initial weights, dropout) and names the device.

    Raises:
        UserError: `device: cuda` on a machine without one.
    """
    keep_freed_memory()
    calm_numpy()
    torch.set_num_threads(runtime.threads)
    forbid_chance(runtime.deterministic)
    torch.manual_seed(seed)
    if runtime.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if runtime.device == "cuda" and not torch.cuda.is_available():
        raise UserError("no CUDA device is available", where="runtime.yaml: device", remedy="set device: auto or cpu")
    return torch.device(runtime.device)


def place_among_others(runtime: Runtime, seed: int) -> torch.device:
    """As `place`; of several processes that a launcher started on this machine each gets the GPU of its number."""
    device = place(runtime, seed)
    if device.type == "cuda" and launched():
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    return device


def forbid_chance(deterministic: bool) -> None:
    """Lets torch use deterministic algorithms only, or any; what has none then raises RuntimeError with its name."""
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
        torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = deterministic
    torch.use_deterministic_algorithms(deterministic)


def device_class(runtime: Runtime) -> str:
    """The class of the device that `place` names, for the checkpoint's card: "cpu", or the GPU's model."""
    on_gpu = runtime.device != "cpu" and torch.cuda.is_available()
    return torch.cuda.get_device_name() if on_gpu else "cpu"
