"""From start weights to scores as `dvc repro` runs the stages, in a project folder of their own."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline.artifacts.card import identity, read_card
from pipeline.errors import UserError
from pipeline.evaluation.evidence import EVIDENCE, read_evidence
from pipeline.evaluation.precision_recall import CURVES
from pipeline.evaluation.record import MAPS, SUBMISSION, read_metrics
from pipeline.evaluation.resampling import scores
from pipeline.frames.labels import Labels
from pipeline.params import Runtime
from pipeline.reporting.tables.table import read_results
from stages import evaluate, finetune, prepare, start

ROOT = Path(__file__).parents[2]
TRIALS = ["detection-1.0", "map-1.0"]


@pytest.fixture
def project(world: Path, world_runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Index, labels and start weights of one arm on the small world."""
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["dataset"]["root"] = str(world)
    content["prepare"] |= {"map_resolution": 0.5, "fractions": [1.0]}
    content["finetune"] |= {"arms": ["scratch-L"], "trials": TRIALS, "seeds": [0]}
    # Six frames, so the one epoch is three steps and ends before the limit of steps.
    content["finetune"]["schedule"] |= {"epochs": 1.0, "steps": 100, "batch": 2}
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(content))
    Path("runtime.yaml").write_text(yaml.safe_dump(vars(world_runtime)))
    shutil.copytree(ROOT / "conf" / "weights", "conf/weights")
    prepare.main()
    start.main("scratch-L")
    return tmp_path


def test_equal_iterations_takes_the_steps_of_the_whole_split_for_every_fraction(project: Path) -> None:
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["prepare"]["fractions"] = [0.5, 1.0]
    content["finetune"] |= {"trials": ["detection-0.5", "detection-1.0"], "equal": "iterations"}
    Path("params.yaml").write_text(yaml.safe_dump(content))
    prepare.main()
    few, full = (finetune.Cell("scratch-L", trial, 0).made_with["schedule"] for trial in content["finetune"]["trials"])
    assert (few.epochs, few.steps) == (None, 3)  # one epoch of six frames, two a step
    assert few == full
    finetune.main("scratch-L", "detection-0.5", 0)
    cell = Path("data/checkpoints/finetune/scratch-L/detection-0.5-0")
    assert len((cell / "history.csv").read_text().splitlines()) == 1 + 3
    card, ledger = read_card(cell), Labels.open(Path("data/labels")).ledger()["0.5"]
    assert (card["labels"]["count"], card["labels"]["sha256"]) == (3, ledger["sha256"])


def test_one_arm_is_trained_and_scored_on_both_tasks(project: Path) -> None:
    with pytest.raises(UserError, match="dvc repro"):
        evaluate.main("scratch-L")
    assert not (project / "data/results/scratch-L").exists()
    for trial in TRIALS:
        finetune.main("scratch-L", trial, 0)
    checkpoints, results = Path("data/checkpoints/finetune/scratch-L"), Path("data/results/scratch-L")
    cells = [f"{trial}-0" for trial in TRIALS]
    assert sorted(path.name for path in checkpoints.iterdir()) == cells
    for cell in cells:
        assert len((checkpoints / cell / "history.csv").read_text().splitlines()) == 1 + 3
        assert read_card(checkpoints / cell)["labels"]["count"] == 6
    evaluate.main("scratch-L")
    metrics = read_metrics(results)
    assert sorted(metrics) == cells
    assert 0 <= metrics["detection-1.0-0"]["NDS"] <= 1
    assert 0 <= metrics["map-1.0-0"]["mIoU_calibrated"] <= metrics["map-1.0-0"]["mIoU_best"] <= 1
    assert (results / CURVES).read_text().startswith("recall,mean,car,")
    assert not Path("scratch/evaluate/scratch-L").exists()
    assert (results / "detection-1.0-0" / SUBMISSION).is_file()
    assert (results / "map-1.0-0" / MAPS).is_file()
    for cell in cells:  # what the bootstrap reads gives the score itself
        evidence = read_evidence(results / cell / EVIDENCE)
        for name, found in scores(evidence, np.ones((1, len(evidence.scenes)), np.int64)).items():
            assert found[0] == pytest.approx(metrics[cell][name], abs=1e-6)
    card = read_card(results)
    assert set(card["metrics"]) == set(cells)
    assert card["labels"]["count"] == 3 + 6  # validation, and the training frames that chose the map thresholds
    used = {entry["path"]: entry["identity"] for entry in card["inputs"]}
    assert {str(checkpoints / cell): identity(checkpoints / cell) for cell in cells}.items() <= used.items()
    values = read_results(Path("data/results"), ["scratch-L"])
    assert set(values["task"]) == {"detection", "map"}
    assert set(values["fraction"]) == {1.0} and set(values["seed"]) == {0}
