"""Tries conditions one after the other, in several processes, and goes on where a killed run stopped.

What a condition gives is a function of the condition alone, so neither the number of processes nor an interruption
changes a result. Every finished condition is a file in scratch/ until the stage publishes all of them.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from pipeline.artifacts.card import dump_json
from pipeline.artifacts.publish import write_file
from pipeline.evaluation.devkit import DevkitScorer
from pipeline.evaluation.record import parse_cell, six_digits
from pipeline.params import Params, Runtime
from pipeline.robustness.bench import Bench, Scores, open_bench
from pipeline.robustness.conditions import Condition, disturb
from pipeline.robustness.pgd_scores import try_pgd
from pipeline.robustness.spoofing_rate import try_spoofing
from pipeline.training.ahead import train_ahead
from pipeline.training.device import device_class, place
from pipeline.training.launch import launched, rank

Attempt = Callable[[Condition, Bench, str], Scores]
PAUSE = 0.2  # seconds between two looks at what other devices have finished


def try_corruption(condition: Condition, bench: Bench, title: str) -> Scores:
    """Scores where every frame is corrupted."""
    return bench.score(disturb(condition, bench.params.stress.seed, bench.index, bench.labels), title)


# Family -> how one of its conditions is tried. An attack is more than a disturbance of frames: it may ask the model.
ATTEMPTS: dict[str, Attempt] = {
    **dict.fromkeys(("lidar", "camera", "joint", "rig"), try_corruption),
    "spoofing": try_spoofing,
    "pgd": try_pgd,
}


@dataclass(frozen=True)
class Trial:
    """The conditions of one family for the models of one arm.

    Attributes:
        arm: whose models.
        cells: names of the models.
        conditions: those that apply to the arm.
        params: of the project.
        runtime: devices, processes, threads.
        scratch: where finished conditions stay; a name that no other models, frames or code can arrive at.
    """

    arm: str
    cells: Sequence[str]
    conditions: Sequence[Condition]
    params: Params
    runtime: Runtime
    scratch: Path

    def run(self) -> int:
        """Tries what has no result yet. Of several devices, this one tries its share and the first waits for all.

        On a CPU the processes are forked and share the opened tables: nothing may have started a thread.

        Returns:
            How many conditions were tried; those of other devices count.

        Raises:
            UserError: data or a model are missing or damaged.
        """
        self.scratch.mkdir(parents=True, exist_ok=True)
        waiting = [condition for condition in self.conditions if not self.result(condition).exists()]
        if not waiting:
            return 0
        if launched():
            self._run_share(self.conditions[rank() :: int(os.environ["WORLD_SIZE"])], self._open_scorer(), 1)
            while rank() == 0 and not all(self.result(condition).exists() for condition in self.conditions):
                time.sleep(PAUSE)
            return len(waiting)
        processes = min(self.runtime.workers, len(waiting)) if device_class(self.runtime) == "cpu" else 1
        scorer = self._open_scorer()
        shares = [waiting[first::processes] for first in range(processes)]
        with train_ahead([partial(self._run_share, share, scorer, processes) for share in shares[1:]]):
            self._run_share(shares[0], scorer, processes)
        self._run_share(waiting, scorer, 1)  # what failed in another process fails here, where it is seen
        return len(waiting)

    def results(self) -> dict[Condition, Scores]:
        """The scores of every condition; all of them are finished."""
        return {condition: json.loads(self.result(condition).read_bytes()) for condition in self.conditions}

    def result(self, condition: Condition) -> Path:
        """Where the scores of a condition stay until they are published."""
        return self.scratch / f"{condition.name}.json"

    def _open_scorer(self) -> DevkitScorer | None:
        if not any(parse_cell(cell)[0] == "detection" for cell in self.cells):
            return None
        return DevkitScorer(self.params.dataset, self.params.evaluate, self.scratch / "devkit")

    def _run_share(self, share: Sequence[Condition], scorer: DevkitScorer | None, processes: int) -> None:
        waiting = [condition for condition in share if not self.result(condition).exists()]
        if not waiting:
            return
        if scorer is not None:  # the tables are shared, the files of the devkit are not
            scorer.scratch = self.scratch / f"devkit-{os.getpid()}"
            scorer.scratch.mkdir(exist_ok=True)
        device = place(replace(self.runtime, threads=max(1, self.runtime.threads // processes)), seed=0)
        if launched() and device.type == "cuda":
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(device)
        bench = open_bench(self.params, self.arm, self.cells, scorer, device, self.runtime.loader_processes)
        began = time.monotonic()
        for done, condition in enumerate(waiting):
            left = f", {(time.monotonic() - began) / done * (len(waiting) - done):.0f} s left" if done else ""
            title = f"{self.arm} {condition.family} {condition.name} ({done + 1} of {len(waiting)}{left})"
            scores: Any = ATTEMPTS[condition.family](condition, bench, title)
            write_file(self.result(condition), dump_json(six_digits(scores)))
