"""Predictions stay with their frame, whatever the batch and however many models share it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.artifacts.checkpoint import save_weights
from pipeline.errors import UserError
from pipeline.evaluation.map_segmentation import map_metrics
from pipeline.evaluation.predict import count_maps, open_model, predict_boxes
from pipeline.frames.batch import FrameBatch
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.index import FrameIndex
from pipeline.frames.index_building import build_index
from pipeline.networks.heads.map import MapHead
from pipeline.networks.model import BevModel
from pipeline.params import Params, load_params
from tests.evaluation.nuscenes_by_hand import write_by_hand

CPU = torch.device("cpu")
THRESHOLDS = [0.35, 0.5, 0.65]


@pytest.fixture(scope="module")
def params() -> Params:
    return load_params(Path(__file__).parents[2] / "params.yaml")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> FrameIndex:
    root = tmp_path_factory.mktemp("byhand") / "root"
    by_hand = write_by_hand(root)
    out = root.parent / "index"
    out.mkdir()
    build_index(by_hand.dataset, out)
    return FrameIndex.open(out, root)


@pytest.fixture(scope="module")
def models(params: Params) -> dict[str, BevModel]:
    made = {}
    for seed in (0, 1):
        torch.manual_seed(seed)
        made[f"detection-1.0-{seed}"] = BevModel(params.networks, params.frames, "L", "detection").eval()
    return made


def test_boxes_stay_with_their_frame_and_model(params: Params, index: FrameIndex, models: dict[str, BevModel]) -> None:
    loader = FrameLoader(index, params.frames, params.networks.grid)
    together = predict_boxes(models, loader, [0, 1], 2, CPU)
    assert list(together) == list(models)
    for cell, model in models.items():
        assert list(together[cell]) == ["sample0", "sample1"]
        for position, token in enumerate(together[cell]):
            frames = loader.load([position])
            with torch.inference_mode():
                outputs = model(frames)
            head = model.head
            assert not isinstance(head, MapHead)
            (alone,) = head.decode(cast(dict[str, Tensor], outputs))
            found = together[cell][token]
            assert len(found.scores) == len(alone.scores) > 0
            assert np.allclose(found.boxes, alone.boxes.numpy(), atol=1e-3)
            assert np.array_equal(found.classes, alone.classes.numpy())
    first, second = (boxes["sample0"].boxes for boxes in together.values())
    assert first.shape != second.shape or not np.allclose(first, second)


@dataclass(frozen=True)
class MappedFrames:
    """Frames of the real loader with a map that names the frame: one row of walkway, at twice its position."""

    loader: FrameLoader

    @property
    def index(self) -> FrameIndex:
        return self.loader.index

    def load(self, positions: Sequence[int]) -> FrameBatch:
        masks = torch.zeros(len(positions), 6, 8, 8)
        for row, position in enumerate(positions):
            masks[row, 2, 2 * position] = 1
        return replace(self.loader.load(positions), map_masks=masks)


class Known(nn.Module):
    """Gives the walkway of the given frames, in order, as logits."""

    def __init__(self, rows: list[int]) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, frames: FrameBatch) -> Tensor:
        logits = torch.full((len(frames), 6, 8, 8), -5.0)
        for frame in logits:
            frame[2, self.rows.pop(0)] = 5.0
        return logits


@pytest.mark.parametrize("batch", [1, 2])
def test_maps_are_counted_over_batches(params: Params, index: FrameIndex, batch: int) -> None:
    loader = cast(FrameLoader, MappedFrames(FrameLoader(index, params.frames, params.networks.grid)))
    models = {"right": cast(BevModel, Known([0, 2])), "half": cast(BevModel, Known([0, 3]))}
    found = count_maps(models, loader, [0, 1], batch, CPU, thresholds=THRESHOLDS, keep=["sample1"])
    scores = {cell: map_metrics(counts, THRESHOLDS)["mIoU_best"] for cell, (counts, _) in found.items()}
    assert scores == pytest.approx({"right": 1.0, "half": 8 / 24})
    kept = found["half"][1]
    assert kept.tokens == ("sample1",)
    assert kept.truth[0, 2, 2].all()
    assert kept.predicted[0, 2, 3].all()
    assert kept.predicted.sum() == kept.truth.sum() == 8


def test_loader_without_maps_is_refused(params: Params, index: FrameIndex) -> None:
    loader = FrameLoader(index, params.frames, params.networks.grid)
    with pytest.raises(ValueError, match="no map masks"):
        count_maps({"a": cast(BevModel, Known([0]))}, loader, [0], 1, CPU, thresholds=THRESHOLDS, keep=[])


def test_checkpoint_round_trip_and_its_errors(params: Params, models: dict[str, BevModel], tmp_path: Path) -> None:
    model = models["detection-1.0-0"]
    save_weights(tmp_path, model.state_dict())
    opened = open_model(tmp_path, params.networks, params.frames, "L", "detection", CPU)
    assert not opened.training
    assert all(
        torch.equal(a, b) for a, b in zip(opened.state_dict().values(), model.state_dict().values(), strict=True)
    )
    with pytest.raises(UserError, match="dvc repro"):
        open_model(tmp_path, params.networks, params.frames, "L", "map", CPU)
    with pytest.raises(UserError, match="dvc repro"):
        open_model(tmp_path / "nowhere", params.networks, params.frames, "L", "detection", CPU)


def test_index_of_the_hand_made_dataset(index: FrameIndex) -> None:
    assert index.tokens == ["sample0", "sample1"]
    assert json.loads((index.path / "index.json").read_text())["frames"] == 2
