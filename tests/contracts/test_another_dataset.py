"""Argoverse 2 through the stages as they are: survey, index, regions, PRC, in a project folder of their own."""

import json
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from pipeline.artifacts.card import read_card
from pipeline.artifacts.checkpoint import load_weights
from pipeline.cli import app
from pipeline.configure import compose
from pipeline.errors import UserError
from pipeline.frames.frame import Frame
from pipeline.frames.index import FrameIndex
from pipeline.frames.index_tables import write_frames
from pipeline.frames.source import FrameSource
from pipeline.params import Runtime, load_params
from pipeline.regions.store import RegionStore
from stages import distill_camera, prepare, pretrain_lidar, region_quality, regions
from tests.frames.tiny_argoverse import write_argoverse

PROJECT = Path(__file__).parents[2]
NUSCENES = Path(os.environ.get("CALICO_REAL_DATA", PROJECT.parent / "shared" / "data" / "nuscenes"))
RECORDED = NUSCENES.parent / "argoverse2"
SMALL = (
    "scale=embedded", "dataset=argoverse2", "frames.sweeps=4", "networks.grid.reach=25.6",
    "pretrain_lidar.schedule.steps=3", "pretrain_lidar.schedule.batch=2", "pretrain_lidar.rich=64",
    "pretrain_lidar.less=64",
)  # fmt: skip


def enter(project: Path, root: Path, runtime: Runtime, *choices: str) -> None:
    """Params of a small run on the dataset at `root`, in the working directory."""
    composed = compose(PROJECT / "conf", [*SMALL, f"dataset.root={root}", *choices])
    (project / "params.yaml").write_text(composed)
    (project / "runtime.yaml").write_text(yaml.safe_dump(vars(runtime)))


def run_label_free_stages() -> tuple[FrameIndex, RegionStore]:
    surveyed = CliRunner().invoke(app, ["survey"])
    assert surveyed.exit_code == 0, surveyed.output
    prepare.main()
    regions.main()
    pretrain_lidar.main("prc")
    params = load_params()
    index = FrameIndex.open(Path("data/index"), Path(params.dataset.root))
    checkpoint = Path("data/checkpoints/pretrain_lidar/prc")
    assert {name.split(".")[0] for name in load_weights(checkpoint)} == {"lidar", "lidar_projector"}
    losses = np.loadtxt(checkpoint / "history.csv", delimiter=",", skiprows=1)
    assert len(losses) == 3 and np.isfinite(losses).all()
    assert read_card(checkpoint)["labels"]["count"] == 0
    return index, RegionStore.open(Path("data/regions"), params.regions)


def test_written_logs(tmp_path: Path, world_runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    write_argoverse(tmp_path / "sensor")
    monkeypatch.chdir(tmp_path)
    enter(tmp_path, tmp_path / "sensor", world_runtime)
    index, store = run_label_free_stages()
    assert len(index) == 6 and len(index.split("train")) == 4
    kept = [store.manifest.column("kept")[position] for position in range(6)]
    assert min(kept) >= 4
    assert not list(Path("data/labels").glob("fraction-*.json"))


@pytest.mark.real_data
@pytest.mark.skipif(not RECORDED.is_dir(), reason=f"no Argoverse 2 logs at {RECORDED}, beside CALICO_REAL_DATA")
def test_recorded_log(tmp_path: Path, world_runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "sensor"
    root.mkdir()
    for log in RECORDED.iterdir():
        (root / log.name).symlink_to(log)
    monkeypatch.chdir(tmp_path)
    splits = [f"dataset.{name}_split=all" for name in ("pretrain", "train", "val")]
    # One frame: a step is one frame then, and three of them pass over it three times. No sweep is earlier, which a
    # training that asks for some refuses.
    enter(tmp_path, root, world_runtime, *splits, "pretrain_lidar.schedule.batch=1", "frames.sweeps=0")
    index, store = run_label_free_stages()
    assert len(index) == 1
    assert 40 < store.manifest.column("kept")[0] < 70  # measured: 56


def test_stages_that_need_more_say_so(tmp_path: Path, world_runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    write_argoverse(tmp_path / "sensor")
    monkeypatch.chdir(tmp_path)
    enter(tmp_path, tmp_path / "sensor", world_runtime)
    run_label_free_stages()
    with pytest.raises(UserError, match=r"(?s)no frame .*camera.*dvc repro pretrain_lidar"):
        distill_camera.main("rad")
    with pytest.raises(UserError, match=r"(?s)annotations of argoverse2 are not read.*dvc repro pretrain_lidar"):
        region_quality.main()
    assert not Path("data/region_quality").exists()


def test_the_documented_example_is_a_source(tmp_path: Path) -> None:
    """docs/datasets.md: the class of the third dataset, as it stands there."""
    text = (PROJECT / "docs" / "datasets.md").read_text()
    code = textwrap.dedent(text[text.index("   class Drives") : text.index("   ```", text.index("   class Drives"))])
    names: dict[str, Any] = {"Path": Path, "Iterator": Iterator, "Frame": Frame, "json": json, "np": np}
    exec(code, names)
    for drive in ("b", "a"):
        (tmp_path / drive).mkdir()
        (tmp_path / drive / "poses.json").write_text(json.dumps({str(stamp): np.eye(4).tolist() for stamp in (10, 20)}))
        for stamp in (10, 20):
            np.zeros((7, 4), np.float32).tofile(tmp_path / drive / f"{stamp}.f32")
    source: FrameSource = names["Drives"](tmp_path)
    out = tmp_path / "index"
    out.mkdir()
    written = write_frames(source.frames(), out)
    assert (written.frames, written.scenes, source.notes(), source.missing_sweeps) == (4, {"a", "b"}, [], 0)
    frames = list(source.frames())
    assert [(frame.scene, frame.timestamp, frame.points) for frame in frames[:2]] == [("a", 10, 7), ("a", 20, 7)]
    assert all((tmp_path / frame.lidar_path).is_file() for frame in frames)


def test_survey_is_for_argoverse_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((PROJECT / "params.yaml").read_text())
    result = CliRunner().invoke(app, ["survey"])
    assert "needs no survey" in str(result.exception)
