"""The fine-tuned models of one arm, opened once, and their scores on frames that something happens to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.evaluation.degeneracy import boxes_degeneracy, finite_boxes
from pipeline.evaluation.detection import ScoredBoxes, build_submission
from pipeline.evaluation.devkit import DevkitScorer
from pipeline.evaluation.map_segmentation import MapCounts, map_metrics
from pipeline.evaluation.predict import count_maps, open_model, predict_boxes
from pipeline.evaluation.record import parse_cell, read_metrics
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.disturbance import Disturbance
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.frames.maps import MAP_CLASSES
from pipeline.networks.model import BevModel
from pipeline.params import Params
from pipeline.robustness.traces import Trace, collect_traces

# What is kept of a score, by task.
KEPT = {
    "detection": ("NDS", "mAP", "mAP_present", "AP", "TP_errors", "boxes", "degenerate"),
    "map": ("mIoU_best", "mIoU_calibrated", "mIoU_at_half", "iou_best", "iou_calibrated", "iou_at_half", "degenerate"),
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
        clean: cell -> what `evaluate` found; map models are judged at the thresholds that were calibrated there.
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
    clean: Scores
    device: torch.device
    scorer: DevkitScorer | None
    processes: int

    def score(self, disturbance: Disturbance | None, title: str = "predict") -> Scores:
        """Scores of every model where `disturbance` strikes every frame; None gives the scores of clean frames."""
        scores = {cell: self.score_boxes(boxes) for cell, boxes in self.detect(disturbance, title).items()}
        return scores | self.score_maps(disturbance, title)

    def detect(self, disturbance: Disturbance | None, title: str) -> dict[str, dict[str, ScoredBoxes]]:
        """Detector -> sample token -> its boxes in the LiDAR frame."""
        if not (models := self.models.get("detection")):
            return {}
        loader, batch = self.loader(disturbance), self.params.evaluate.batch
        return predict_boxes(models, loader, self.positions, batch, self.device, title=title)

    @cached_property
    def clean_boxes(self) -> dict[str, dict[str, ScoredBoxes]]:
        """What `detect` finds in clean frames, once for all conditions that ask."""
        return self.detect(None, "clean")

    @cached_property
    def traces(self) -> tuple[Trace, ...]:
        """Traces of the training split that may serve a spoofing attack, once for all of them."""
        positions = self.index.split(self.params.dataset.train_split)
        return collect_traces(self.index, self.labels, positions, self.params.stress.spoofing)

    def score_boxes(self, boxes: Mapping[str, ScoredBoxes]) -> dict[str, Any]:
        """The devkit's scores of one detector's boxes in every frame."""
        assert self.scorer is not None
        frames = [self.index[position] for position in self.positions]
        found = self.scorer.score(build_submission(frames, finite_boxes(boxes), camera=self.modality == "LC"))
        return _kept(found | {"degenerate": boxes_degeneracy(list(boxes.values()))}, "detection")

    def score_maps(self, disturbance: Disturbance | None, title: str) -> Scores:
        """Scores of the map models."""
        if not (models := self.models.get("map")):
            return {}
        own = self.params.evaluate
        found = count_maps(
            models, self.loader(disturbance, maps=True), self.positions, own.batch, self.device,
            thresholds=own.map_thresholds, keep=[self.index[self.positions[0]].token], title=title,
        )  # fmt: skip
        return {cell: self.score_counts(cell, scenes) for cell, (scenes, _) in found.items()}

    def score_counts(self, cell: str, scenes: Mapping[str, MapCounts]) -> dict[str, Any]:
        """IoU of one map model from the cells counted in every frame, scene by scene."""
        chosen = self.clean[cell]["calibrated_threshold"]
        calibrated = np.array([chosen.get(name, np.nan) for name in MAP_CLASSES])
        return _kept(map_metrics(scenes, self.params.evaluate.map_thresholds, calibrated), "map")

    def loader(self, disturbance: Disturbance | None = None, *, boxes: bool = False, maps: bool = False) -> FrameLoader:
        """Gives the frames under a disturbance, with boxes or maps as labels."""
        networks = self.params.networks
        return FrameLoader(
            self.index, self.params.frames, networks.grid, labels=self.labels if boxes else None,
            map_grid=networks.heads.map_grid if maps else None, images=self.modality == "LC", disturbance=disturbance,
            processes=self.processes,
        )  # fmt: skip


def open_bench(
    params: Params, arm: str, cells: Sequence[str], scorer: DevkitScorer | None, device: torch.device, processes: int
) -> Bench:
    """Opens index, labels, clean scores and the models of an arm.

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
        read_metrics(Path("data/results", arm)), device, scorer, processes,
    )  # fmt: skip


def _kept(found: Mapping[str, Any], task: str) -> dict[str, Any]:
    return {name: found[name] for name in KEPT[task]}
