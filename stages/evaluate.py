"""DVC stage: scores every task, label fraction and seed of one arm on the validation split.

One process for all of them: importing torch, timm and the devkit and opening its tables costs more than scoring, and
the validation frames are loaded once for all models of a task. Of several devices each predicts a share of the frames.
"""

import sys
from pathlib import Path
from typing import Any

from pipeline.artifacts.card import write_card
from pipeline.artifacts.publish import publish
from pipeline.errors import user_errors
from pipeline.evaluation.detection_cells import score_detection
from pipeline.evaluation.evaluated_arm import EvaluatedArm
from pipeline.evaluation.map_cells import calibration_tokens, score_maps
from pipeline.evaluation.record import write_metrics
from pipeline.evaluation.team import Team
from pipeline.frames.annotation_labels import has_annotations
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.params import Params, Runtime, load_params, load_runtime
from pipeline.throughput import measured
from pipeline.training.device import device_class, place_among_others
from pipeline.training.launch import on_own_devices
from pipeline.work import evaluate_work

Metrics = dict[str, dict[str, Any]]  # cell -> numbers


def main(arm: str) -> None:
    """Publishes data/results/<arm>: metrics.json, and per cell what figures need."""
    params, runtime = load_params(), load_runtime()
    out = Path("data/results", arm)
    with measured(evaluate_work(params, runtime, params.arms[arm].modality), out) as work:
        work.units = evaluate(arm, params, runtime, out)


def evaluate(arm: str, params: Params, runtime: Runtime, out: Path) -> int:
    """Scores and publishes; returns how many frames went through a model, 0 but on rank 0."""
    index = FrameIndex.open(Path("data/index"), Path(params.dataset.root))
    labels = Labels.open(Path("data/labels"))
    checkpoints, device = Path("data/checkpoints/finetune", arm), place_among_others(runtime, seed=0)
    with Team(Path("scratch/evaluate", arm)) as team:
        evaluated = EvaluatedArm(arm, params, index, checkpoints, device, team, runtime.loader_processes)
        if team.rank:
            score(evaluated, labels, out)
            return 0
        with publish(out) as draft:
            metrics, labelled = score(evaluated, labels, draft)
            write_metrics(draft, metrics)
            write_card(
                draft,
                kind="results",
                stage="evaluate",
                params={
                    "arm": arm,
                    "modality": params.arms[arm].modality,
                    "dataset.val_split": params.dataset.val_split,
                    "frames": params.frames,
                    "networks": params.networks,
                    "evaluate": params.evaluate,
                },
                inputs=[
                    Path("data/index"),
                    Path("data/labels"),
                    Path(params.dataset.root, params.dataset.version),
                    *(checkpoints / cell for cell in metrics),
                ],
                seeds=params.finetune.seeds,
                labelled=labelled,
                metrics=headlines(metrics),
                device=device_class(runtime),
            )
    return len(evaluated.positions) * len(metrics)


def score(arm: EvaluatedArm, labels: Labels, out: Path) -> tuple[Metrics, list[str]]:
    """Numbers of every cell, and the sample tokens whose labels they were counted from."""
    metrics = score_detection(arm, out)
    if not has_annotations(arm.params.dataset):
        print(f"no annotations in {arm.params.dataset.version}: submissions are written, nothing is scored")
        return metrics, []
    metrics |= score_maps(arm, labels, out)
    for cell in metrics:
        if reason := metrics[cell]["degenerate"]:
            print(f"warning: {arm.name} {cell}: {reason}; its score means nothing")
    tokens = {arm.index[position].token for position in arm.positions}
    fractions = arm.params.finetune.fractions("map")
    return metrics, sorted(tokens.union(*(calibration_tokens(arm, labels, fraction) for fraction in fractions)))


def headlines(metrics: Metrics) -> Metrics:
    """The numbers that a reader looks for first, cell by cell."""
    names = ("NDS", "mAP", "mAP_present", "mIoU_best", "mIoU_calibrated", "mIoU_at_half", "degenerate")
    return {cell: {name: values[name] for name in names if name in values} for cell, values in metrics.items()}


if __name__ == "__main__":
    with user_errors():
        on_own_devices(main, sys.argv[1])
