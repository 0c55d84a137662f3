"""The fine-tuned models of one arm, opened once, and their scores on frames that something happens to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.evaluation.degeneracy import boxes_degeneracy, finite_boxes
from pipeline.evaluation.detection import build_submission
from pipeline.evaluation.devkit import DevkitScorer
from pipeline.evaluation.map_segmentation import map_metrics
from pipeline.evaluation.predict import count_maps, open_model, predict_boxes
from pipeline.evaluation.record import parse_cell
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.disturbance import Disturbance
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.networks.model import BevModel
from pipeline.params import Params

# What is kept of a score, by task.
KEPT = {
    "detection": ("NDS", "mAP", "mAP_present", "AP", "TP_errors", "boxes", "degenerate"),
    "map": ("mIoU_best", "mIoU_at_half", "iou_best", "iou_at_half", "degenerate"),
}
Scores = dict[str, dict[str, Any]]  # cell -> numbers


@dataclass(frozen=True)
class Bench:
    """What every condition is tried with.

    Attributes:
        params: of the project.
        modality: L or LC.
        index: the frames.
        labels: their boxes.
        positions: the validation frames, by their place in the index.
        models: task -> cell -> model in evaluation mode, on `device`.
        device: where the models are.
        scorer: scores detections; None where no model detects.
        processes: how many processes read frames; see `FrameLoader`.
    """

    params: Params
    modality: str
    index: FrameIndex
    labels: Labels
    positions: list[int]
    models: Mapping[str, Mapping[str, BevModel]]
    device: torch.device
    scorer: DevkitScorer | None
    processes: int

    def score(self, disturbance: Disturbance | None, title: str = "predict") -> Scores:
        """Scores of every model where `disturbance` strikes every frame; None gives the scores of clean frames."""
        scores: Scores = {}
        if detectors := self.models.get("detection"):
            scores |= self._score_detection(detectors, self._loader(disturbance), title)
        if mappers := self.models.get("map"):
            scores |= self._score_map(mappers, self._loader(disturbance, maps=True), title)
        return scores

    def _loader(self, disturbance: Disturbance | None, *, maps: bool = False) -> FrameLoader:
        networks = self.params.networks
        return FrameLoader(
            self.index, self.params.frames, networks.grid, map_grid=networks.heads.map_grid if maps else None,
            images=self.modality == "LC", disturbance=disturbance, processes=self.processes,
        )  # fmt: skip

    def _score_detection(self, models: Mapping[str, BevModel], loader: FrameLoader, title: str) -> Scores:
        assert self.scorer is not None
        frames, batch, scores = [self.index[position] for position in self.positions], self.params.evaluate.batch, {}
        for cell, boxes in predict_boxes(models, loader, self.positions, batch, self.device, title=title).items():
            found = self.scorer.score(build_submission(frames, finite_boxes(boxes), camera=self.modality == "LC"))
            scores[cell] = _kept(found | {"degenerate": boxes_degeneracy(list(boxes.values()))}, "detection")
        return scores

    def _score_map(self, models: Mapping[str, BevModel], loader: FrameLoader, title: str) -> Scores:
        own = self.params.evaluate
        found = count_maps(
            models, loader, self.positions, own.batch, self.device,
            thresholds=own.map_thresholds, keep=[self.index[self.positions[0]].token], title=title,
        )  # fmt: skip
        return {cell: _kept(map_metrics(counts, own.map_thresholds), "map") for cell, (counts, _) in found.items()}


def open_bench(
    params: Params, arm: str, cells: Sequence[str], scorer: DevkitScorer | None, device: torch.device, processes: int
) -> Bench:
    """Opens index, labels and the models of an arm.

    Args:
        params: of the project.
        arm: whose models.
        cells: names of the fine-tuned models.
        scorer: of the validation split; needed where a cell detects.
        device: where the models go.
        processes: see `Bench`.

    Raises:
        UserError: one of them is missing or damaged.
    """
    index = FrameIndex.open(Path("data/index"), Path(params.dataset.root))
    modality, folder = params.arms[arm].modality, Path("data/checkpoints/finetune", arm)
    models: dict[str, dict[str, BevModel]] = {}
    for cell in cells:
        task, _, _ = parse_cell(cell)
        model = open_model(folder / cell, params.networks, params.frames, modality, task, device)
        models.setdefault(task, {})[cell] = model
    return Bench(
        params, modality, index, Labels.open(Path("data/labels")), index.split(params.dataset.val_split), models,
        device, scorer, processes,
    )  # fmt: skip


def _kept(found: Mapping[str, Any], task: str) -> dict[str, Any]:
    return {name: found[name] for name in KEPT[task]}
