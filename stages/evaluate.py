"""DVC stage: scores every task, label fraction and seed of one arm on the validation split.

One process for all of them: importing torch, timm and the devkit and opening its tables costs more than scoring, and
the validation frames are loaded once for all models of a task.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

from pipeline.artifacts.card import write_card
from pipeline.artifacts.publish import publish
from pipeline.errors import user_errors
from pipeline.evaluation.detection import build_submission, is_degenerate
from pipeline.evaluation.devkit import DevkitScorer
from pipeline.evaluation.map_segmentation import map_metrics
from pipeline.evaluation.predict import count_maps, open_model, predict_boxes
from pipeline.evaluation.record import KEPT_FRAMES, MAPS, SUBMISSION, name_cell, spread, write_metrics
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.index import FrameIndex
from pipeline.networks.model import BevModel
from pipeline.params import Params, Runtime, load_params, load_runtime
from pipeline.throughput import measured
from pipeline.training.device import device_class, place
from pipeline.work import evaluate_work

Metrics = dict[str, dict[str, Any]]  # cell -> numbers


def main(arm: str) -> None:
    """Publishes data/results/<arm>: metrics.json, and per cell what figures need."""
    params, runtime = load_params(), load_runtime()
    out = Path("data/results", arm)
    with measured(evaluate_work(params, runtime, params.arms[arm].modality), out) as work:
        work.units = evaluate(arm, params, runtime, out)


def evaluate(arm: str, params: Params, runtime: Runtime, out: Path) -> int:
    """Scores and publishes; returns how many frames went through a model."""
    device = place(runtime, seed=0)
    index = FrameIndex.open(Path("data/index"), Path(params.dataset.root))
    positions = index.split(params.dataset.val_split)
    checkpoints = Path("data/checkpoints/finetune", arm)
    metrics: Metrics = {}
    with publish(out) as draft:
        for task, score in (("detection", score_detection), ("map", score_map)):
            if cells := cells_of(params, task):
                modality = params.arms[arm].modality
                models = {
                    cell: open_model(checkpoints / cell, params.networks, params.frames, modality, task, device)
                    for cell in cells
                }
                metrics |= score(params, index, positions, models, modality, device, draft)
        for cell in metrics:
            if metrics[cell]["degenerate"]:
                print(f"warning: {arm} {cell} predicts nothing or the same everywhere: its score means nothing")
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
                Path(params.dataset.root, params.dataset.version),
                *(checkpoints / cell for cell in metrics),
            ],
            seeds=params.finetune.seeds,
            labelled=[index[position].token for position in positions],
            metrics=headlines(metrics),
            device=device_class(runtime),
        )
    return len(positions) * len(metrics)


def cells_of(params: Params, task: str) -> list[str]:
    """Names of the fine-tuned models of a task; none where the task is switched off."""
    own = params.finetune
    return [name_cell(task, fraction, seed) for fraction in own.fractions(task) for seed in own.seeds]


def score_detection(
    params: Params,
    index: FrameIndex,
    positions: list[int],
    models: dict[str, BevModel],
    modality: str,
    device: torch.device,
    draft: Path,
) -> Metrics:
    """Devkit scores of every model; keeps each submission for the figures."""
    scratch = Path("scratch/evaluate", draft.name)
    scorer = DevkitScorer(params.dataset, params.evaluate, scratch)  # before the work: it checks the split
    loader = FrameLoader(index, params.frames, params.networks.grid, images=modality == "LC")
    frames = [index[position] for position in positions]
    metrics = {}
    for cell, boxes in predict_boxes(models, loader, positions, params.evaluate.batch, device).items():
        submission = build_submission(frames, boxes, camera=modality == "LC")
        metrics[cell] = scorer.score(submission) | {"degenerate": is_degenerate(list(boxes.values()))}
        (draft / cell).mkdir()
        (draft / cell / SUBMISSION).write_text(json.dumps(submission, separators=(",", ":")))
    shutil.rmtree(scratch)
    return metrics


def score_map(
    params: Params,
    index: FrameIndex,
    positions: list[int],
    models: dict[str, BevModel],
    modality: str,
    device: torch.device,
    draft: Path,
) -> Metrics:
    """Map IoU of every model; keeps the maps of a few frames for the figures."""
    grid, thresholds = params.networks.heads.map_grid, params.evaluate.map_thresholds
    loader = FrameLoader(index, params.frames, params.networks.grid, map_grid=grid, images=modality == "LC")
    keep = spread([index[position].token for position in positions], KEPT_FRAMES)
    found = count_maps(models, loader, positions, params.evaluate.batch, device, thresholds=thresholds, keep=keep)
    for cell, (_, pictures) in found.items():
        (draft / cell).mkdir()
        pictures.save(draft / cell / MAPS)
    return {cell: map_metrics(counts, thresholds) for cell, (counts, _) in found.items()}


def headlines(metrics: Metrics) -> Metrics:
    """The numbers that a reader looks for first, cell by cell."""
    names = ("NDS", "mAP", "mAP_present", "mIoU_best", "mIoU_at_half", "degenerate")
    return {cell: {name: values[name] for name in names if name in values} for cell, values in metrics.items()}


if __name__ == "__main__":
    with user_errors():
        main(sys.argv[1])
