"""What the models of one arm are judged with: their checkpoints, the frames, and the processes that share the work."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.evaluation.detection import ScoredBoxes
from pipeline.evaluation.predict import count_maps, open_model, predict_boxes
from pipeline.evaluation.record import name_cell
from pipeline.evaluation.shares import Maps, join_boxes, join_maps, pack_boxes, pack_maps
from pipeline.evaluation.team import Team
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.index import FrameIndex
from pipeline.networks.model import BevModel
from pipeline.params import Params


@dataclass(frozen=True)
class EvaluatedArm:
    """One arm on the validation split.

    Attributes:
        name: of the arm.
        params: the whole of params.yaml.
        index: the frames.
        checkpoints: folder of the arm's fine-tuned models, one folder a cell.
        device: of this process.
        team: the processes that predict; every one of them calls the methods below, in the same order.
        processes: how many read the frames of a batch; 0 = this one does.
    """

    name: str
    params: Params
    index: FrameIndex
    checkpoints: Path
    device: torch.device
    team: Team
    processes: int = 0

    @property
    def modality(self) -> str:
        """L, or LC with cameras."""
        return self.params.arms[self.name].modality

    @property
    def positions(self) -> list[int]:
        """Of the validation frames in the index."""
        return self.index.split(self.params.dataset.val_split)

    def open_models(self, cells: Sequence[str], task: str) -> dict[str, BevModel]:
        """Cell -> its fine-tuned model, on the device."""
        own = self.params
        return {
            cell: open_model(self.checkpoints / cell, own.networks, own.frames, self.modality, task, self.device)
            for cell in cells
        }

    def find_boxes(self, models: dict[str, BevModel]) -> dict[str, dict[str, ScoredBoxes]]:
        """Cell -> sample token -> boxes in the LiDAR frame, for all validation frames; nothing but on rank 0."""
        own, positions = self.params, self.positions
        loader = FrameLoader(
            self.index, own.frames, own.networks.grid, images=self.modality == "LC", processes=self.processes
        )
        mine = self.team.share(positions, own.evaluate.batch)
        found = predict_boxes(models, loader, mine, own.evaluate.batch, self.device)
        if self.team.size == 1:
            return found
        shares = self.team.gather("boxes", pack_boxes(found))
        tokens = [self.index[position].token for position in positions]
        return join_boxes(shares, list(models), tokens) if shares else {}

    def count_maps(
        self, exchange: str, models: dict[str, BevModel], positions: Sequence[int], keep: Sequence[str] = ()
    ) -> dict[str, Maps]:
        """Cell -> (scene -> counts, pictures of the frames `keep`); nothing but on rank 0.

        Args:
            exchange: its name (see `Team.gather`).
            models: cell -> map model.
            positions: frames in the index.
            keep: sample tokens.
        """
        own = self.params
        loader = FrameLoader(
            self.index, own.frames, own.networks.grid, map_grid=own.networks.heads.map_grid,
            images=self.modality == "LC", processes=self.processes,
        )  # fmt: skip
        mine, thresholds = self.team.share(positions, own.evaluate.batch), own.evaluate.map_thresholds
        found = count_maps(models, loader, mine, own.evaluate.batch, self.device, thresholds=thresholds, keep=keep)
        if self.team.size == 1:
            return found
        shares = self.team.gather(exchange, pack_maps(found))
        return join_maps(shares, list(models), keep) if shares else {}


def cells_of(params: Params, task: str) -> list[str]:
    """Names of the fine-tuned models of a task; none where the task is switched off."""
    own = params.finetune
    return [name_cell(task, fraction, seed) for fraction in own.fractions(task) for seed in own.seeds]
