"""What the stages before `report` leave, small but whole: real index, labels and regions; cells, cards, scores."""

import base64
import json
from pathlib import Path
from typing import Any

import yaml

from pipeline.artifacts.card import CARD, write_card
from pipeline.evaluation.record import name_cell, write_metrics
from pipeline.frames.labels import Labels
from pipeline.params import load_params
from pipeline.reporting.contents import arrange
from pipeline.reporting.figures.picture import Picture
from pipeline.reporting.findings import Findings, read_findings
from pipeline.reporting.page.report import Report
from pipeline.robustness.record import write_stress

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ARMS, SEEDS = ("scratch-L", "prc-L", "calico"), (0, 1)
RANDOM, CHECKPOINTS = "conf/weights/random.yaml", "data/checkpoints"
PRC, RAD = f"{CHECKPOINTS}/pretrain_lidar/prc", f"{CHECKPOINTS}/distill_camera/rad"
SCORES = {"scratch-L": 0.3, "prc-L": 0.1, "calico": 0.22}
CHOICE = {"arms": [*ARMS], "seeds": [*SEEDS], "trials": ["detection-1.0", "map-1.0"]}


def write_artifacts() -> None:
    """Fills data/ of a project that holds index, labels and regions, as the fixture `region_project` does; it is the
    working directory. Adds pre-trained, start and fine-tuned checkpoints, results, and scores under corruptions."""
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["finetune"] |= CHOICE
    content["stress"] |= {"families": ["lidar"], "trials": ["detection-1.0"]}
    content["report"] |= {"figures": 1}
    Path("params.yaml").write_text(yaml.safe_dump(content))
    Path(RANDOM).parent.mkdir(parents=True)
    Path(RANDOM).write_text("kind: random\n")
    tokens = Labels.open(Path("data/labels")).fraction(1.0)
    losses = {"loss_start": 7.5, "loss_end": 4.5}
    _artifact(PRC, "checkpoint", "pretrain_lidar", ["data/index", "data/regions"], metrics=losses)
    _artifact(RAD, "checkpoint", "distill_camera", ["data/index", "data/regions", PRC, RANDOM], metrics=losses)
    params = load_params()
    for arm in ARMS:
        own = params.arms[arm]
        sources = {own.lidar, own.camera} if own.modality == "LC" else {own.lidar}
        start, results, stress = (f"data/{place}/{arm}" for place in ("checkpoints/start", "results", "stress"))
        _artifact(start, "start weights", "start", sorted(sources))
        cells = {
            name_cell(task, 1.0, seed): _scores(arm, task, seed) for seed in SEEDS for task in ("detection", "map")
        }
        models = [f"{CHECKPOINTS}/finetune/{arm}/{cell}" for cell in cells]
        for model in models:
            inputs = ["data/index", "data/labels", start]
            _artifact(model, "checkpoint", "finetune", inputs, tokens, seeds=[int(model[-1])])
        Path(results).mkdir(parents=True)
        write_metrics(Path(results), cells)
        _artifact(results, "results", "evaluate", ["data/index", "data/labels", *models])
        clean = {cell: {name: of[name] for name in ("NDS", "mAP")} for cell, of in cells.items() if "NDS" in of}
        worse = {cell: {name: value / 2 for name, value in of.items()} for cell, of in clean.items()}
        Path(stress, "lidar").mkdir(parents=True)
        write_stress(Path(stress, "lidar"), clean, {("fog", 2): worse})
        _artifact(f"{stress}/lidar", "robustness", "stress", [results, *models])


def _scores(arm: str, task: str, seed: int) -> dict[str, Any]:
    score = SCORES[arm] + 0.02 * seed
    if task == "map":
        return {"mIoU_best": score, "mIoU_calibrated": score, "iou_best": {"walkway": score}}
    return {"mAP_present": score, "mAP": score / 2, "NDS": score / 3, "AP": {"car": score}, "present": ["car"]}


def _artifact(
    path: str, kind: str, stage: str, inputs: list[str], labelled: list[str] | None = None, **more: Any
) -> None:
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.safetensors").write_bytes(path.encode())
    write_card(
        folder, kind=kind, stage=stage, params={"path": path}, inputs=map(Path, inputs), labelled=labelled or [], **more
    )


def small_report() -> tuple[Findings, Report]:
    """The report of the working directory, with one figure."""
    found = read_findings(load_params(), "reports")
    figures = [("Map segmentation", [Picture("A map", "map", PNG)])]
    return found, Report("CALICO & friends on embedded", "Intro.", found.warnings, arrange(found, figures))


def swap(path: str) -> None:
    """Makes an artifact again, with other params: whoever read it before read another one."""
    card = json.loads(Path(path, CARD).read_bytes())
    write_card(
        Path(path), kind=card["kind"], stage=card["stage"], params={"path": "another"},
        inputs=[Path(entry["path"]) for entry in card["inputs"]],
    )  # fmt: skip
