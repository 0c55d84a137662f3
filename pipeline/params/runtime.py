"""runtime.yaml: what cannot change a result, so no DVC stage depends on it."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.params.checks import positive, require
from pipeline.strict_yaml import read_model


@dataclass(frozen=True)
class Runtime:
    """The whole of runtime.yaml: what cannot change a result, so no DVC dependency."""

    workers: int  # processes of the local dask cluster
    scheduler: str | None  # tcp://host:port of a running dask scheduler instead
    device: str  # auto | cpu | cuda
    threads: int  # CPU threads of a training process
    loader_threads: int  # load batches ahead of a training; 0 = between its steps
    save_every: float  # seconds between two saves of the resume state of a training
    loader_processes: int = 0  # read the frames of a training's batches; 0 = its own threads do
    time_budget: float | None = None  # seconds until a training saves its state and leaves; null = no limit
    deterministic: bool = False  # refuse operations whose result may change from run to run on one machine
    compile: bool = False  # torch.compile the dense parts of a training's networks
    devices: int = 1  # processes of a training on this machine, one a GPU
    nodes: int = 1  # machines that train together

    def __post_init__(self) -> None:
        positive(self, "workers", "threads", "devices", "nodes")
        for name in ("loader_threads", "loader_processes"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        require(self.time_budget is None or self.time_budget >= 0, "time_budget must not be negative")
        require(self.device in ("auto", "cpu", "cuda"), f"device is auto, cpu or cuda, not {self.device!r}")


def load_runtime(path: Path = Path("runtime.yaml")) -> Runtime:
    """Reads runtime.yaml; same errors as `load_params`."""
    return read_model(Runtime, path)
