"""The families spoofing and pgd as the stage tries them: real frames, models that have learned nothing."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.errors import UserError
from pipeline.evaluation.devkit import DevkitScorer
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.networks.model import BevModel
from pipeline.params import Params, load_params
from pipeline.robustness.bench import Bench
from pipeline.robustness.conditions import conditions_of
from pipeline.robustness.pgd_scores import try_pgd
from pipeline.robustness.spoofing_rate import try_spoofing
from tests.frames.tiny_dataset import dataset_at
from tests.robustness.attack_cases import pgd_params, spoofing_params

ROOT = Path(__file__).parents[2]
CELLS = ("detection-1.0-0", "map-1.0-0")
Opened = Callable[[str], Bench]


@pytest.fixture(scope="module")
def params(world: Path) -> Params:
    own = load_params(ROOT / "params.yaml")
    dataset = dataset_at(
        world, version="v1.0-embedded", pretrain_split="embedded_train", train_split="embedded_train",
        val_split="embedded_val",
    )  # fmt: skip
    heads = replace(own.networks.heads, min_score=0.0)  # so that models that know nothing see something
    attacks = replace(
        own.stress, spoofing=spoofing_params(counts=[20, 50], occluded=0.02), pgd=pgd_params(points=[200], steps=1)
    )
    return replace(own, dataset=dataset, networks=replace(own.networks, heads=heads), stress=attacks)


@pytest.fixture(scope="module")
def opened(
    params: Params, attacked_world: tuple[FrameIndex, Labels], tmp_path_factory: pytest.TempPathFactory
) -> Opened:
    index, labels = attacked_world
    scorer = DevkitScorer(params.dataset, params.evaluate, tmp_path_factory.mktemp("devkit"))

    def open_bench(modality: str) -> Bench:
        models: dict[str, dict[str, BevModel]] = {}
        for cell in CELLS:
            torch.manual_seed(0)
            task = cell.partition("-")[0]
            models[task] = {cell: BevModel(params.networks, params.frames, modality, task).eval()}
        positions = index.split(params.dataset.val_split)
        clean: dict[str, dict[str, Any]] = {cell: {"calibrated_threshold": {}} for cell in CELLS}  # none: 0.5
        return Bench(params, modality, index, labels, positions, models, clean, torch.device("cpu"), scorer, 0)

    return open_bench


def test_spoofing_counts_every_frame_once_and_repeats(params: Params, opened: Opened) -> None:
    bench = opened("L")
    conditions = conditions_of("spoofing", params.stress)
    assert [one.name for one in conditions] == ["vehicle-20", "vehicle-50"]
    assert all(one.applies_to("L") for one in conditions)
    found = try_spoofing(conditions[0], bench, "try")
    assert set(found) == set(CELLS)
    rate = found[CELLS[0]]["spoofing"]
    assert rate["left_out"] + rate["false_alarms"] + rate["attacked"] == rate["frames"] == len(bench.positions)
    assert rate["attacked"] + rate["false_alarms"] > 0
    assert rate["traces"] > 0
    assert {"NDS", "mAP"} <= found[CELLS[0]].keys()
    assert {"mIoU_best", "mIoU_calibrated", "mIoU_at_half"} <= found[CELLS[1]].keys()
    assert try_spoofing(conditions[0], bench, "again") == found
    impossible = replace(conditions[0], severity=5000)
    with pytest.raises(UserError, match="5000 points"):
        try_spoofing(impossible, bench, "too many")


def test_pgd_finds_a_loss_above_noise(params: Params, opened: Opened) -> None:
    points, pixels = conditions_of("pgd", params.stress)
    assert (points.name, pixels.name) == ("points-200", "pixels-8")
    assert points.applies_to("L")
    assert not pixels.applies_to("L")
    bench = opened("LC")
    for condition in (points, pixels):
        found = try_pgd(condition, bench, "try")
        for cell, scores in ((CELLS[0], {"NDS", "mAP"}), (CELLS[1], {"mIoU_best", "mIoU_calibrated", "mIoU_at_half"})):
            assert scores <= found[cell].keys()
            assert found[cell]["loss"]["reached"] >= found[cell]["loss"]["noise"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"counts": [60, 0]}, "counts"), ({"occluded": 1.0}, "occluded"), ({"near": 8.0}, "near"),
        ({"score": 0.0}, "score"), ({"window": 0.0}, "window"), ({"azimuth_step": -1.0}, "azimuth_step"),
    ],
)  # fmt: skip
def test_spoofing_params_that_mean_nothing(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        spoofing_params(**changes)


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"points": [0]}, "points"), ({"pixels": [256]}, "pixels"), ({"steps": 0}, "steps"), ({"step": 0.0}, "step")],
)
def test_pgd_params_that_mean_nothing(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        pgd_params(**changes)


def test_reading_processes_need_no_torch() -> None:
    """They receive the disturbance, and with it what its module imports."""
    program = "import sys, pipeline.robustness.spoofing; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
