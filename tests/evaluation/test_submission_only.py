"""The official test set has no annotations: submissions are written, nothing is scored."""

import json
from pathlib import Path

import pytest
import yaml

from pipeline.configure import compose
from pipeline.evaluation.detection import MAX_BOXES
from pipeline.evaluation.record import read_metrics
from pipeline.params import Runtime
from pipeline.reporting.tables.table import read_results
from stages import evaluate, prepare
from tests.evaluation.nuscenes_by_hand import VERSION, write_by_hand
from tests.evaluation.random_model import save_random_model

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, world_runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tables as v1.0-test has them: a scene of the devkit's test split, no instance, no annotation; a random model."""
    root = tmp_path / "root"
    write_by_hand(root)
    tables = (root / VERSION).rename(root / "v1.0-test")
    (tables / "splits.json").unlink()
    for name in ("instance", "sample_annotation"):
        (tables / f"{name}.json").write_text("[]")
    scene = tables / "scene.json"
    scene.write_text(scene.read_text().replace("scene-9001", "scene-0077"))
    monkeypatch.chdir(tmp_path)
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["dataset"] |= yaml.safe_load((ROOT / "conf/dataset/nuscenes_test.yaml").read_text())["dataset"]
    content["dataset"]["root"] = str(root)
    content["finetune"] |= {"arms": ["scratch-L"], "trials": ["detection-1.0", "map-1.0"], "seeds": [0]}
    Path("params.yaml").write_text(yaml.safe_dump(content))
    Path("runtime.yaml").write_text(yaml.safe_dump(vars(world_runtime)))
    save_random_model()
    return tmp_path


def test_submissions_without_scores(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from nuscenes.eval.common.loaders import load_prediction
    from nuscenes.eval.detection.data_classes import DetectionBox

    prepare.main()
    assert not list(Path("data/labels").glob("fraction-*.json"))
    evaluate.main("scratch-L")
    assert "no annotations in v1.0-test" in capsys.readouterr().out
    results = Path("data/results/scratch-L")
    path = results / "detection-1.0-0" / "submission.json"
    boxes, _ = load_prediction(str(path), MAX_BOXES, DetectionBox)
    assert sorted(boxes.sample_tokens) == ["sample0", "sample1"] and len(boxes.all) > 0
    assert sorted(file.name for file in results.rglob("*") if file.is_file()) == [
        "card.json", "metrics.json", "submission.json"
    ]  # fmt: skip
    assert read_metrics(results) == {"detection-1.0-0": {"degenerate": None}}
    assert json.loads((results / "card.json").read_bytes())["labels"]["count"] == 0
    assert read_results(Path("data/results"), ["scratch-L"]).empty


def test_nothing_trains_on_test_frames() -> None:
    params = yaml.safe_load(compose(ROOT / "conf", ["dataset=nuscenes_test", "dataset.root=/somewhere"]))
    assert params["pretrain_lidar"]["methods"] == params["distill_camera"]["methods"] == []
