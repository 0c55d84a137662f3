"""DVC stage: tries the fine-tuned models of one arm under every condition of one family of disturbances.

Clean scores are those of `evaluate`. Conditions that change no sensor that the arm has are published as not applicable,
without a model; what tries the others is imported where it is needed.
"""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.artifacts.card import write_card
from pipeline.artifacts.publish import publish
from pipeline.errors import user_errors
from pipeline.evaluation.record import name_cell, read_metrics
from pipeline.frames.index import FrameIndex
from pipeline.params import load_params, load_runtime, parse_trial
from pipeline.params.attacks import Spoofing
from pipeline.robustness.conditions import Condition, conditions_of
from pipeline.robustness.record import write_stress
from pipeline.robustness.traces import searched_frames
from pipeline.throughput import measured
from pipeline.training.launch import on_every_device, rank
from pipeline.training.scratch import scratch_folder
from pipeline.work import stress_work


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix; params.yaml and the inputs decide the rest."""

    arm: str
    family: str

    @property
    def out(self) -> Path:
        """What it publishes."""
        return Path("data/stress", self.arm, self.family)

    @property
    def clean(self) -> dict[str, dict[str, Any]]:
        """Fine-tuned model -> its clean scores, of those models that are to be stressed."""
        own, results = load_params().stress, read_metrics(Path("data/results", self.arm))
        names = [name_cell(*parse_trial(trial), seed) for trial in own.trials for seed in own.seeds]
        return {name: results[name] for name in names if name in results}

    @property
    def inputs(self) -> list[Path]:
        """What it reads."""
        params = load_params()
        checkpoints = [Path("data/checkpoints/finetune", self.arm, name) for name in self.clean]
        tables = Path(params.dataset.root, params.dataset.version)
        return [tables, Path("data/index"), Path("data/labels"), Path("data/results", self.arm), *checkpoints]

    @property
    def made_with(self) -> dict[str, Any]:
        """The params that a condition depends on, whatever other conditions there are."""
        params = load_params()
        return {
            "arm": self.arm,
            "modality": params.arms[self.arm].modality,
            "family": self.family,
            "dataset.train_split": params.dataset.train_split,
            "dataset.val_split": params.dataset.val_split,
            "frames": params.frames,
            "networks": params.networks,
            "evaluate": params.evaluate,
            "seed": params.stress.seed,
            "trials": params.stress.trials,
            "seeds": params.stress.seeds,
            "attack": getattr(params.stress, self.family) if self.family in ("spoofing", "pgd") else None,
        }


def main(arm: str, family: str) -> None:
    """Publishes data/stress/<arm>/<family>: metrics.json and conditions.csv."""
    cell, params = Cell(arm, family), load_params()
    clean, conditions = cell.clean, conditions_of(family, params.stress)
    if not clean:
        print(f"warning: {arm} has none of the fine-tuned models that params.yaml: stress names")
    applicable = [one for one in conditions if clean and one.applies_to(params.arms[arm].modality)]
    scratch = scratch_folder("stress", cell.made_with, cell.inputs)
    found, device = try_all(cell, applicable, scratch) if applicable else ({}, "cpu")
    if rank() > 0:
        return
    own = getattr(params.stress, family)
    with publish(cell.out) as draft:
        write_stress(draft, clean, {(one.type, one.severity): found.get(one) for one in conditions})
        write_card(
            draft,
            kind="robustness",
            stage="stress",
            params=cell.made_with | {"conditions": own},
            inputs=cell.inputs,
            seeds=[params.stress.seed],
            labelled=validation_tokens() + (trace_tokens(own) if isinstance(own, Spoofing) else []),
            details={"tried": [one.name for one in found]},
            device=device,
        )
    shutil.rmtree(scratch, ignore_errors=True)


def try_all(cell: Cell, conditions: list[Condition], scratch: Path) -> tuple[dict[Condition, Any], str]:
    """The scores under every condition, tried unless an interrupted run left them, and the class of the device."""
    from pipeline.robustness.stress import Trial
    from pipeline.training.device import device_class

    params, runtime = load_params(), load_runtime()
    trial = Trial(cell.arm, list(cell.clean), conditions, params, runtime, scratch)
    with measured(stress_work(params, runtime, params.arms[cell.arm].modality, cell.family), cell.out) as work:
        if trial.run() == len(conditions) and rank() == 0:
            work.units = len(conditions) * len(cell.clean) * len(validation_tokens())
    return trial.results() if rank() == 0 else {}, device_class(runtime)


def validation_tokens() -> list[str]:
    """Of the frames that are predicted. Opens the index, whose threads no process may have before it forks."""
    params = load_params()
    index = FrameIndex.open(Path("data/index"), Path(params.dataset.root))
    return [index[position].token for position in index.split(params.dataset.val_split)]


def trace_tokens(spoofing: Spoofing) -> list[str]:
    """Of the training frames that are searched for vehicles to spoof."""
    params = load_params()
    index = FrameIndex.open(Path("data/index"), Path(params.dataset.root))
    positions = index.split(params.dataset.train_split)
    return [index[position].token for position in searched_frames(positions, spoofing)]


if __name__ == "__main__":
    with user_errors():
        on_every_device(main, sys.argv[1], sys.argv[2])
