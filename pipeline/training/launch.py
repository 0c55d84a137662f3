"""Starts a stage once on every device.

DVC runs a stage as one process. With more than one device that process becomes the parent of one process a device, as
`torchrun` would start them; started by `torchrun` itself, it finds itself to be one of those.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pipeline.errors import UserError
from pipeline.params import Runtime, load_runtime

# Exit code of a training that was asked to stop, EX_TEMPFAIL of sysexits.h: the same command continues it.
RESUME_ME = 75
PATIENCE = 600  # seconds that nodes wait for each other


def rank() -> int:
    """Of this process among those of the training; 0 publishes, and is the only one where there are no others."""
    return int(os.environ["RANK"]) if launched() else 0


def launched() -> bool:
    """Whether this process is one of several that torchrun, or `on_every_device`, started."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def on_every_device(main: Callable[..., None], *arguments: object) -> None:
    """Calls `main(*arguments)` of the running stage: here, or by the stage's own command in a process per device.

    Raises:
        UserError: several nodes, and the environment does not say which of them this is.
        SystemExit: a process failed, with its exit code; the others are stopped.
    """
    _call(load_runtime(), main, *arguments)


def on_own_devices(main: Callable[..., None], *arguments: object) -> None:
    """As `on_every_device`, on this machine alone, however many `runtime.yaml` names: for stages that train nothing."""
    _call(replace(load_runtime(), nodes=1), main, *arguments)


def _call(runtime: Runtime, main: Callable[..., None], *arguments: object) -> None:
    if launched() or runtime.devices * runtime.nodes == 1:
        main(*arguments)
        return
    stage = sys.modules["__main__"].__spec__
    assert stage is not None
    _start(runtime, ["-m", stage.name, *sys.argv[1:]])


def _start(runtime: Runtime, command: list[str]) -> None:
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    several = runtime.nodes > 1
    node, endpoint = _place_among_nodes(runtime) if several else (0, "localhost:0")
    meeting: dict[str, Any] = {"rank": node, "timeout": PATIENCE}  # numbers, whatever the hints of LaunchConfig say
    config = LaunchConfig(
        min_nodes=runtime.nodes, max_nodes=runtime.nodes, nproc_per_node=runtime.devices, run_id="calico",
        rdzv_backend="static" if several else "c10d", rdzv_endpoint=endpoint,
        rdzv_configs=meeting, max_restarts=0,
    )  # fmt: skip
    try:
        elastic_launch(config, sys.executable)(*command)
    except ChildFailedError as error:
        first, failure = error.get_first_failure()
        if failure.exitcode == RESUME_ME:
            raise SystemExit(RESUME_ME) from None
        print(f"error: the process of device {first} ended with exit code {failure.exitcode}", file=sys.stderr)
        raise SystemExit(failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode) from None
    except SignalException:  # it went on to the processes, which had half a minute to finish their step
        raise SystemExit(RESUME_ME) from None


def _place_among_nodes(runtime: Runtime) -> tuple[int, str]:
    """(number of this node, host:port of node 0)."""
    try:
        node, address = int(os.environ["NODE_RANK"]), os.environ["MASTER_ADDR"]
    except (KeyError, ValueError):
        raise UserError(
            f"{runtime.nodes} nodes are to train together, and nothing says which of them this is",
            where="runtime.yaml: nodes",
            remedy="set NODE_RANK (0 where dvc runs) and MASTER_ADDR (the host name of node 0) in the environment; "
            "docs/scaling.md shows the commands",
        ) from None
    return node, f"{address}:{os.environ.get('MASTER_PORT', '29500')}"
