"""The stage `evaluate` on recorded frames."""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from pipeline.configure import configure
from pipeline.evaluation.record import read_metrics
from pipeline.params import Runtime
from stages import evaluate, prepare
from tests.evaluation.random_model import save_random_model

ROOT = Path(__file__).parents[2]
RECORDED = Path(os.environ.get("CALICO_REAL_DATA", ROOT.parent / "shared" / "data" / "nuscenes"))


@pytest.mark.real_data
@pytest.mark.skipif(not RECORDED.is_dir(), reason=f"no recorded data at {RECORDED}; set CALICO_REAL_DATA")
def test_an_untrained_model_on_mini_val(
    tmp_path: Path, world_runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two frames of scene-0103; the scores are those of chance, but all of them are there."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "conf", "conf")
    (tmp_path / "params.yaml").touch()
    configure(
        ["dataset=nuscenes_sample", f"dataset.root={RECORDED}", "finetune.arms=[scratch-L]", "finetune.seeds=[0]"]
    )
    Path("runtime.yaml").write_text(yaml.safe_dump(vars(world_runtime)))
    save_random_model()
    prepare.main()
    evaluate.main("scratch-L")
    (metrics,) = read_metrics(Path("data/results/scratch-L")).values()
    assert 0 <= metrics["NDS"] < 0.2 and len(metrics["present"]) >= 3
    assert metrics["AP_at"].keys() == metrics["TP_by_class"].keys() == set(metrics["present"])
