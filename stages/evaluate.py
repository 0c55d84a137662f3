"""DVC stage: scores every fraction and seed of one arm and task on the validation split.

One process for all of them: importing torch, timm and the devkit and opening its tables costs more than scoring, and
the validation frames are loaded once for all models.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

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
from pipeline.params import load_params, load_runtime
from pipeline.training.device import device_class, place


def main(arm: str, task: str) -> None:
    """Publishes data/results/<arm>-<task>: metrics.json, and per cell what figures need."""
    params, runtime = load_params(), load_runtime()
    device = place(runtime, seed=0)
    modality, heads = params.arms[arm].modality, params.networks.heads
    schedule = params.finetune.map if task == "map" else params.finetune.detection
    index = FrameIndex.open(Path("data/index"), Path(params.dataset.root))
    positions = index.split(params.dataset.val_split)
    frames = [index[position] for position in positions]
    loader = FrameLoader(
        index,
        params.frames,
        params.networks.grid,
        map_grid=heads.map_grid if task == "map" else None,
        images=modality == "LC",
    )
    cells = [name_cell(fraction, seed) for fraction in params.finetune.fractions for seed in params.finetune.seeds]
    checkpoints = {cell: Path("data/checkpoints/finetune", f"{arm}-{task}", cell) for cell in cells}
    models = {
        cell: open_model(folder, params.networks, params.frames, modality, task, device)
        for cell, folder in checkpoints.items()
    }
    metrics: dict[str, dict[str, Any]] = {}
    with publish(Path("data/results", f"{arm}-{task}")) as draft:
        for cell in cells:
            (draft / cell).mkdir()
        if task == "map":
            keep = spread([frame.token for frame in frames], KEPT_FRAMES)
            thresholds = params.evaluate.map_thresholds
            found = count_maps(models, loader, positions, schedule.batch, device, thresholds=thresholds, keep=keep)
            for cell, (counts, pictures) in found.items():
                metrics[cell] = map_metrics(counts, thresholds)
                pictures.save(draft / cell / MAPS)
        else:
            scratch = Path("scratch/evaluate", f"{arm}-{task}")
            scorer = DevkitScorer(params.dataset, params.evaluate, scratch)  # before the work: it checks the split
            predictions = predict_boxes(models, loader, positions, schedule.batch, device)
            for cell, boxes in predictions.items():
                submission = build_submission(frames, boxes, camera=modality == "LC")
                metrics[cell] = scorer.score(submission) | {"degenerate": is_degenerate(list(boxes.values()))}
                (draft / cell / SUBMISSION).write_text(json.dumps(submission, separators=(",", ":")))
            shutil.rmtree(scratch)
        for cell in cells:
            if metrics[cell]["degenerate"]:
                print(f"warning: {arm} {task} {cell} predicts nothing or the same everywhere: its score means nothing")
        write_metrics(draft, metrics)
        write_card(
            draft, kind="results", stage="evaluate",
            params={"arm": arm, "modality": modality, "task": task, "dataset.val_split": params.dataset.val_split,
                    "frames": params.frames, "networks": params.networks, "evaluate": params.evaluate},
            inputs=[Path("data/index"), Path(params.dataset.root, params.dataset.version), *checkpoints.values()],
            seeds=params.finetune.seeds, labelled=[frame.token for frame in frames], metrics=headlines(metrics),
            device=device_class(runtime),
        )  # fmt: skip


def headlines(metrics: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The numbers that a reader looks for first, cell by cell."""
    names = ("NDS", "mAP", "mAP_present", "mIoU_best", "mIoU_at_half", "degenerate")
    return {cell: {name: values[name] for name in names if name in values} for cell, values in metrics.items()}


if __name__ == "__main__":
    with user_errors():
        main(sys.argv[1], sys.argv[2])
