"""The stage on the small world: clean scores, processes, a kill, and what does not apply to an arm."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from pipeline.artifacts.card import read_card
from pipeline.artifacts.checkpoint import save_weights
from pipeline.evaluation.devkit import DevkitScorer
from pipeline.evaluation.record import parse_cell, read_metrics, six_digits
from pipeline.networks.model import BevModel
from pipeline.params import Params, load_params
from pipeline.robustness.bench import Bench, open_bench
from pipeline.robustness.conditions import conditions_of, disturb
from pipeline.robustness.record import read_stress
from stages import evaluate

ROOT = Path(__file__).parents[2]
CELLS = ["detection-1.0-0", "map-1.0-0"]
MEASURES = 2 + 3  # NDS and mAP of the one, three mIoU of the other
TYPES = ["brightness", "camera_crash", "low_light", "fog"]
CAMERA, OUT = ["scratch-LC", "camera"], Path("data/stress/scratch-LC/camera")


@pytest.fixture
def project(region_project: Path) -> Path:
    """Models of both tasks that have learned nothing, and their clean scores; four camera corruptions."""
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["finetune"] |= {"arms": ["scratch-L", "scratch-LC"], "trials": ["detection-1.0", "map-1.0"], "seeds": [0]}
    content["networks"]["heads"]["min_score"] = 0.0  # so that models that know nothing see something
    content["stress"] |= {"families": ["camera"], "trials": ["detection-1.0", "map-1.0", "map-0.5"], "seeds": [0, 7]}
    content["stress"]["camera"] = {"types": TYPES, "severities": [3]}
    Path("params.yaml").write_text(yaml.safe_dump(content))
    params = load_params()
    for arm in params.finetune.arms:
        for cell in CELLS:
            torch.manual_seed(1)
            modality: Any = params.arms[arm].modality
            task: Any = parse_cell(cell)[0]
            model = BevModel(params.networks, params.frames, modality, task)
            if task == "map":  # or every probability stays below every threshold
                last = [part for part in model.head.modules() if isinstance(part, nn.Conv2d)][-1]
                assert last.bias is not None
                nn.init.zeros_(last.bias)
                nn.init.normal_(last.weight, std=3.0)
            folder = Path("data/checkpoints/finetune", arm, cell)
            folder.mkdir(parents=True)
            save_weights(folder, model.state_dict())
        evaluate.main(arm)
    return region_project


def start(arm: str, **settings: int) -> "subprocess.Popen[bytes]":
    """The stage as DVC runs it, with settings of runtime.yaml."""
    runtime = yaml.safe_load(Path("runtime.yaml").read_text()) | settings
    Path("runtime.yaml").write_text(yaml.safe_dump(runtime))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "stages.stress", arm, "camera"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(process: "subprocess.Popen[bytes]") -> str:
    told, _ = process.communicate(timeout=240)
    assert process.returncode == 0, told.decode()
    return told.decode()


def bench_of(params: Params) -> Bench:
    scorer = DevkitScorer(params.dataset, params.evaluate, Path("scratch/alone"))
    return open_bench(params, "scratch-LC", CELLS, scorer, torch.device("cpu"), 0)


def kept(found: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
    """Those numbers of every cell that `like` has."""
    return {cell: {name: found[cell][name] for name in numbers} for cell, numbers in like.items()}


def test_conditions_of_forks_survive_a_kill_and_with_those_of_devices_equal_those_of_one_process(project: Path) -> None:
    params = load_params()
    process = start("scratch-LC", workers=2)
    until = time.monotonic() + 120
    wanted = ["brightness-3.json", "camera_crash-3.json"]  # the first of each process
    while [path.name for name in wanted for path in Path("scratch/stress").glob(f"*/{name}")] != wanted:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    assert not OUT.exists()
    (first,) = Path("scratch/stress").glob("*/brightness-3.json")
    marked = json.loads(first.read_bytes())
    marked["map-1.0-0"]["mIoU_best"] = 0.125  # no model says so: tells whether it was tried again
    first.write_text(json.dumps(marked))

    told = finish(start("scratch-LC", workers=1, devices=2))
    assert "brightness" not in told and "camera_crash" not in told
    assert not list(Path("scratch/stress").iterdir())
    metrics = json.loads((OUT / "metrics.json").read_bytes())
    clean, bench = read_metrics(Path("data/results/scratch-LC")), bench_of(params)
    undisturbed = six_digits(bench.score(None))
    assert undisturbed == kept(clean, undisturbed)  # what evaluate found, to the last digit
    for cell in CELLS:
        assert metrics["cells"][cell]["clean"] == clean[cell]
        assert sorted(metrics["cells"][cell]["conditions"]) == sorted(TYPES)
    for condition in conditions_of("camera", params.stress):
        found = {cell: metrics["cells"][cell]["conditions"][condition.type]["3"] for cell in CELLS}
        if condition.type == "brightness":
            assert found["map-1.0-0"]["mIoU_best"] == 0.125
        else:
            scores = six_digits(bench.score(disturb(condition, params.stress.seed, bench.index, bench.labels)))
            assert found == scores
            assert found["map-1.0-0"] != undisturbed["map-1.0-0"]
    assert undisturbed["detection-1.0-0"]["boxes"] > 0

    card = read_card(OUT)
    assert card["params"]["conditions"] == {"types": TYPES, "severities": [3]}
    used = {entry["path"] for entry in card["inputs"]}
    assert {"data/results/scratch-LC", "data/labels", "data/index"} <= used
    assert {f"data/checkpoints/finetune/scratch-LC/{cell}" for cell in CELLS} <= used
    assert card["labels"]["count"] == 3
    assert len((OUT / "conditions.csv").read_text().splitlines()) == 1 + MEASURES * len(TYPES)
    scores = read_stress(Path("data/stress"), ["scratch-LC"], ["camera"])
    assert len(scores) == MEASURES * len(TYPES)
    assert scores["applicable"].all()


def test_an_arm_without_cameras_is_not_tried_on_them(project: Path) -> None:
    told = finish(start("scratch-L", workers=1))
    assert "predict" not in told and "scratch-L" not in told
    clean = read_metrics(Path("data/results/scratch-L"))
    metrics = json.loads(Path("data/stress/scratch-L/camera/metrics.json").read_bytes())
    assert metrics["not_applicable"] == {name: ["3"] for name in TYPES}
    assert metrics["cells"] == {cell: {"clean": clean[cell], "conditions": {}} for cell in CELLS}
    scores = read_stress(Path("data/stress"), ["scratch-L"], ["camera"])
    assert len(scores) == MEASURES * len(TYPES)
    assert not scores["applicable"].any()
    assert (scores["value"] == scores["clean"]).all()


def test_a_changed_condition_list_goes_on_with_what_is_finished(project: Path) -> None:
    """Neither severities nor types are part of the name under which finished conditions stay."""
    from pipeline.training.scratch import scratch_folder
    from stages.stress import Cell

    cell = Cell("scratch-LC", "camera")
    before = scratch_folder("stress", cell.made_with, cell.inputs)
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["stress"]["camera"] = {"types": None, "severities": [1, 2, 3]}
    Path("params.yaml").write_text(yaml.safe_dump(content))
    assert scratch_folder("stress", cell.made_with, cell.inputs) == before
    content["stress"]["seed"] = 1
    Path("params.yaml").write_text(yaml.safe_dump(content))
    assert scratch_folder("stress", cell.made_with, cell.inputs) != before


def test_models_that_were_not_fine_tuned_are_left_out(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from stages import stress

    assert sorted(stress.Cell("scratch-L", "camera").clean) == CELLS  # neither map-0.5 nor seed 7
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["stress"]["trials"] = ["detection-0.5"]
    Path("params.yaml").write_text(yaml.safe_dump(content))
    stress.main("scratch-LC", "camera")
    assert "none of the fine-tuned models" in capsys.readouterr().out
    assert read_stress(Path("data/stress"), ["scratch-LC"], ["camera"]).empty
