"""dvc.yaml names metrics and plots that the stages write: DVC shows all of them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.artifacts.card import dump_json
from pipeline.evaluation.precision_recall import CURVES, write_precision_recall
from pipeline.evaluation.probe_record import write_probes
from pipeline.frames.labels import DETECTION_CLASSES
from pipeline.params import load_params
from pipeline.reporting.figures.arm_styles import COLOURS
from pipeline.reporting.figures.low_label import low_label_scores, write_low_label
from pipeline.reporting.tables.robustness import Robustness
from pipeline.robustness import record
from pipeline.training.history import History
from pipeline.training.live import LiveLog

ROOT = Path(__file__).parents[2]
TRAINED = {"pretrain_lidar/prc": ["loss", "plrc", "rapc"], "distill_camera/rad": ["loss"]}
SCORES = (
    "object_linear", "object_knn", "region_knn", "object_chance", "retrieval", "retrieval_chance", "retrieval_point",
    "retrieval_point_chance",
)  # fmt: skip


def dvc(*arguments: str) -> Any:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "DVC_NO_ANALYTICS": "1"})
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stderr, done.stderr
    return json.loads(done.stdout or "null")


def test_curves_and_metrics_of_the_trainings_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a project of its own, with the project's own ignore files: a live curve must not be hidden from DVC."""
    monkeypatch.chdir(tmp_path)
    content = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    metrics = [path for path in content["metrics"] if any(name in path for name in TRAINED)]
    plots = [plot for plot in content["plots"] if next(iter(plot)).partition("_")[0] in ("prc", "rad")]
    Path("dvc.yaml").write_text(yaml.safe_dump({"metrics": metrics, "plots": plots}))
    shutil.copy(ROOT / ".dvcignore", tmp_path)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], check=True)
    shutil.copytree(ROOT / ".dvc/plots", ".dvc/plots")
    for name, terms in TRAINED.items():
        rows = [
            dict.fromkeys([*terms, "alignment", "uniformity", "lr", "gradient_norm"], 1.0 / (step + 1))
            for step in range(3)
        ]
        for kind in ("checkpoints", "probes"):
            Path("data", kind, name).mkdir(parents=True)
        History(rows).write(Path("data/checkpoints", name, "history.csv"))
        Path("data/checkpoints", name, "metrics.json").write_bytes(dump_json(History(rows).summary()))
        write_probes(Path("data/probes", name), {step: dict.fromkeys(SCORES, 0.5) for step in (0, 3)})
        live = LiveLog(Path("live", name), "run", [])
        for row in rows:
            live.log({**row, "frames_per_second": 7.0, "data_wait": 0.1})
        live.close()
    shown = dvc("plots", "show", "--json", "--out", "plots")
    assert sorted(shown["data"]) == sorted(next(iter(plot)) for plot in plots)
    for parts in shown["data"].values():
        assert sum(len(part["content"]["data"]["values"]) for part in parts) >= 2
    (found,) = (revision["data"] for revision in dvc("metrics", "show", "--json").values())
    assert sorted(found) == sorted(metrics)
    assert found["data/checkpoints/pretrain_lidar/prc/metrics.json"]["data"]["loss_end"] == 0.3333
    assert found["data/probes/distill_camera/rad/metrics.json"]["data"]["trained"]["retrieval"] == 0.5


def test_precision_over_recall_is_shown_for_every_arm_and_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One curve a class in the plot of an arm, one an arm in that of their means; an absent class has none."""
    monkeypatch.chdir(tmp_path)
    content = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    plots = [plot for plot in content["plots"] if next(iter(plot)).startswith("precision_recall")]
    Path("dvc.yaml").write_text(yaml.safe_dump({"plots": plots}))
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], check=True)
    shutil.copytree(ROOT / ".dvc/plots", ".dvc/plots")
    arms, recall = load_params(ROOT / "params.yaml").finetune.arms, np.linspace(0, 1, 101)
    present = [name for name in DETECTION_CLASSES if name != "bus"]
    for number, arm in enumerate(arms):
        folder = Path("data/results", arm)
        folder.mkdir(parents=True)
        curves = {name: (1 - recall) / (1 + number + place) for place, name in enumerate(DETECTION_CLASSES)}
        write_precision_recall(folder / CURVES, recall, curves, present)
    shown = dvc("plots", "show", "--json", "--out", "plots")["data"]
    assert sorted(shown) == sorted(["precision_recall_arms", *(f"precision_recall_{arm}" for arm in arms)])
    for name, (part,) in shown.items():
        rows = part["content"]["data"]["values"]
        if name == "precision_recall_arms":
            assert {row["filename"].split("/")[0] for row in rows} == set(arms)
            assert len(rows) == len(arms) * 101
            continue
        assert {row["field"] for row in rows} == {"mean", *DETECTION_CLASSES}
        assert {row["dvc_inferred_y_value"] for row in rows if row["field"] == "bus"} == {""}


def test_robustness_by_type_has_a_colour_for_every_arm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    plots = [plot for plot in content["plots"] if next(iter(plot)) == "robustness"]
    Path("dvc.yaml").write_text(yaml.safe_dump({"plots": plots}))
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], check=True)
    shutil.copytree(ROOT / ".dvc/plots", ".dvc/plots")
    rows = [
        ("ours", "detection-0.1", 0, "NDS", "lidar", kind, 1, value, 0.5, True)
        for kind, value in (("fog", 0.25), ("snow", 0.4))
    ]
    scores = pd.DataFrame(rows, columns=record.SCORES)
    Path("reports").mkdir()
    Robustness(scores, {"ours": "ours"}, "ours").write(Path("reports"))
    (part,) = dvc("plots", "show", "--json", "--out", "plots")["data"]["robustness"]
    assert part["content"]["encoding"]["color"]["field"] == "arm"
    shown = [(row["type"], row["arm"], float(row["RR"])) for row in part["content"]["data"]["values"]]
    assert shown == [("lidar: fog", "ours", 50.0), ("lidar: snow", "ours", 80.0)]


def test_scores_over_label_fractions_have_a_panel_for_every_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    plots = [plot for plot in content["plots"] if next(iter(plot)) == "low_label"]
    Path("dvc.yaml").write_text(yaml.safe_dump({"plots": plots}))
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], check=True)
    shutil.copytree(ROOT / ".dvc/plots", ".dvc/plots")
    rows = [
        (task, metric, "ours", fraction, seed, 0.5 * fraction + 0.1 * seed)
        for task, metric in (("detection", "NDS"), ("map", "mIoU_best"))
        for fraction in (0.1, 1.0)
        for seed in range(2 if task == "map" else 1)
    ]
    values = pd.DataFrame(rows, columns=["task", "metric", "arm", "fraction", "seed", "value"])
    Path("reports").mkdir()
    write_low_label(low_label_scores(values), Path("reports"))
    (part,) = dvc("plots", "show", "--json", "--out", "plots")["data"]["low_label"]
    assert part["content"]["facet"]["field"] in {step["as"] for step in part["content"]["transform"]}
    line = part["content"]["spec"]["layer"][1]["encoding"]
    assert (part["content"]["spec"]["encoding"]["x"]["field"], line["y"]["field"]) == ("fraction", "mean")
    shown = {(row["task"], row["metric"], float(row["fraction"])): row for row in part["content"]["data"]["values"]}
    assert len(shown) == 4
    one = shown["map", "mIoU_best", 1.0]
    assert (float(one["mean"]), float(one["deviation"])) == pytest.approx((0.55, 0.0707107))
    assert shown["detection", "NDS", 0.1]["deviation"] == ""


def test_templates_give_arms_the_colours_of_the_figures() -> None:
    templates = {path.stem: json.loads(path.read_text()) for path in (ROOT / ".dvc/plots").glob("*.json")}
    for encoding in (
        templates["arms"]["encoding"],
        templates["curves"]["encoding"],
        templates["low_label"]["spec"]["encoding"],
    ):
        colours = encoding["color"]["scale"]["range"]
        assert tuple(colours[: len(COLOURS)]) == COLOURS
        assert len(set(colours)) == len(colours) > len(DETECTION_CLASSES)  # the classes, and their mean
