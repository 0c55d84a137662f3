"""Training stages as processes that may be killed at a named point.

A server process imports torch once and forks a process for every stage that it is told to run.
"""

import json
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from pipeline.errors import user_errors
from stages import distill_camera, finetune, pretrain_lidar

MAINS: dict[str, Callable[..., None]] = {
    "pretrain_lidar": pretrain_lidar.main,
    "distill_camera": distill_camera.main,
    "finetune": lambda arm, trial, seed: finetune.main(arm, trial, int(seed)),
}
SAID = "said.txt"  # stdout and stderr of the last stage, in its project
STEPS_RUN = "steps_run.txt"  # how many optimiser steps it did
DIES_IN = 1  # the step, counted from 0
DRAFT = r"^data/([\w-]+/)+\.[^/]+\.draft$"  # of an artifact
WAITING = Path("waiting.txt")  # is removed by the test once it has sent its signal


class Stages:
    """The server."""

    def __enter__(self) -> "Stages":
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.training_process"], cwd=Path(__file__).parents[2], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"},
        )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.communicate()

    def start(self, project: Path, words: list[str], point: str = "") -> int:
        """Runs `python -m stages.<words>` in `project`; returns its process number. `end` must follow."""
        assert self._server.stdin is not None and self._server.stdout is not None
        print(json.dumps([str(project), words, point]), file=self._server.stdin, flush=True)
        return int(self._server.stdout.readline())

    def end(self) -> int:
        """Waits for the stage and returns its exit code, that of a signal below zero."""
        assert self._server.stdout is not None
        return int(self._server.stdout.readline())

    def run(self, project: Path, words: list[str], point: str = "") -> int:
        """`start` and `end`."""
        self.start(project, words, point)
        return self.end()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def is_ahead() -> bool:
    """Whether this process trains ahead of the stage of its cell."""
    return multiprocessing.parent_process() is not None


def in_forward(steps: list[int]) -> None:
    def hook(module: nn.Module, _: Any, __: Any) -> None:
        if len(steps) == DIES_IN and isinstance(module, nn.Conv2d):
            die()

    register_module_forward_hook(hook)


def before_the_step(steps: list[int]) -> None:
    register_optimizer_step_pre_hook(lambda *_: die() if len(steps) == DIES_IN else None)


def in_the_draft_of_the_state(steps: list[int]) -> None:
    flush = os.fsync

    def cut(file: int) -> None:
        if len(steps) == DIES_IN + 1:
            os.ftruncate(file, os.fstat(file).st_size // 2)
            die()
        flush(file)

    os.fsync = cut  # type: ignore[assignment]


def before(event: str, path: str) -> Callable[[list[int]], None]:
    """Death before a call of the system on a path that looks like this pattern, in the step or later."""

    def arm(steps: list[int]) -> None:
        def watch(called: str, arguments: tuple[Any, ...]) -> None:
            if called == event and len(steps) > DIES_IN and re.search(path, str(arguments[0])):
                die()

        sys.addaudithook(watch)

    return arm


def ahead_only(steps: list[int]) -> None:
    """The process that trains ahead dies, its stage does not."""
    register_optimizer_step_post_hook(lambda *_: die() if is_ahead() and len(steps) == DIES_IN + 1 else None)


def beside_one_ahead(steps: list[int]) -> None:
    """The stage dies while the process that trains ahead is in the middle of its own."""

    def hook(*_: Any) -> None:
        if is_ahead():
            Path("ahead.txt").write_text(str(os.getpid()))
            time.sleep(60)
        if not is_ahead():
            while not Path("ahead.txt").is_file():
                time.sleep(0.01)
            die()

    register_optimizer_step_post_hook(hook)


def asks_for_a_signal(steps: list[int]) -> None:
    """Waits a moment in a step, for the test to send something."""

    def hook(*_: Any) -> None:
        if len(steps) == DIES_IN + 1:
            WAITING.touch()
            while WAITING.exists():
                time.sleep(0.01)

    register_optimizer_step_post_hook(hook)


def disk_full_for_the_state(steps: list[int]) -> None:
    """What is written into the draft meets a real full disk."""

    def hook(*_: Any) -> None:
        if len(steps) == DIES_IN + 1:
            (state,) = Path("scratch").glob("*/*/state.pt")
            state.with_suffix(".draft").symlink_to("/dev/full")

    register_optimizer_step_post_hook(hook)


def no_room_for_the_artifact(_: list[int]) -> None:
    """From the making of its draft on, no file may grow beyond 16 KiB."""

    def watch(called: str, arguments: tuple[Any, ...]) -> None:
        if called == "os.mkdir" and re.search(DRAFT, str(arguments[0])):
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 14, 1 << 14))

    sys.addaudithook(watch)


def too_large_a_weight(steps: list[int]) -> None:
    """The next step overflows, and why is in its weights."""

    def hook(optimizer: Any, *_: Any) -> None:
        if len(steps) == DIES_IN + 1:
            with torch.no_grad():
                optimizer.param_groups[0]["params"][0].fill_(3e38)

    register_optimizer_step_post_hook(hook)


def notes_the_mode(_: list[int]) -> None:
    """Whether torch was held to deterministic algorithms in a step."""

    def hook(*_: Any) -> None:
        Path("mode.txt").write_text(str(torch.are_deterministic_algorithms_enabled()))

    register_optimizer_step_pre_hook(hook)


POINTS: dict[str, Callable[[list[int]], None]] = {
    "forward": in_forward,
    "before the step": before_the_step,
    "half a draft of the state": in_the_draft_of_the_state,
    "draft of the state not renamed": before("os.rename", r"state\.draft$"),
    "between the files of the artifact": before("open", r"history\.csv$"),
    "artifact not renamed": before("os.rename", DRAFT),
    "published, scratch not removed": before("shutil.rmtree", "^scratch/"),
    "ahead": ahead_only,
    "beside one ahead": beside_one_ahead,
    "asks for a signal": asks_for_a_signal,
    "disk full for the state": disk_full_for_the_state,
    "no room for the artifact": no_room_for_the_artifact,
    "too large a weight": too_large_a_weight,
    "notes the mode": notes_the_mode,
}


def run(project: str, words: list[str], point: str) -> int:
    """A stage in this process."""
    os.chdir(project)
    with Path(SAID).open("w") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    torch.set_num_threads(1)
    steps: list[int] = []
    register_optimizer_step_post_hook(lambda *_: steps.append(len(steps)))
    if point:
        POINTS[point](steps)
    try:
        with user_errors():
            MAINS[words[0]](*words[1:])
        Path(STEPS_RUN).write_text(str(len(steps)))
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def serve() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = run(*json.loads(line))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
