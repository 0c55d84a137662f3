"""Pre-training without labels through the real `dvc repro`: annotation tables and data/labels are gone; nobody asks.

Every file that Python opens in the three stages is noted by an audit hook, from the start of the process on.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.small_trainings import make_small

PROJECT = Path(__file__).parents[2]
STAGES = ("regions", "pretrain_lidar@prc", "distill_camera@rad")
OUTS = ("data/regions", "data/checkpoints/pretrain_lidar/prc", "data/checkpoints/distill_camera/rad")
TABLES = ("sample_annotation", "instance", "attribute", "category", "visibility", "lidarseg", "panoptic")
LABELS = re.compile(rf"data/labels|/({'|'.join(TABLES)})(/|\.json|$)")
# `import site` runs it in every Python process; only those of stages are watched.
HOOK = """
import os, sys
if any(word.startswith("stages.") for word in sys.orig_argv):
    notes = os.open({notes!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    def watch(event, arguments):
        if event == "open" and isinstance(arguments[0], (str, os.PathLike)):
            os.write(notes, (os.path.abspath(arguments[0]) + "\\n").encode())
    sys.addaudithook(watch)
"""


def dvc(tools: Path, *words: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words], capture_output=True, text=True, check=False,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(tools), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def project(world: Path, region_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project under DVC on a copy of the small world, its index and labels made and nothing else."""
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    for name in ("conf", "pipeline", "stages"):
        shutil.copytree(PROJECT / name, project / name)  # with the caches of what is compiled
    shutil.copy(PROJECT / "dvc.yaml", project)
    params = yaml.safe_load((region_template / "params.yaml").read_text())
    make_small(params)
    params["dataset"]["root"] = "raw"
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    shutil.copy(region_template / "runtime.yaml", project)
    for name in ("index", "labels"):
        shutil.copytree(region_template / "data" / name, project / "data" / name)
    (project / "raw").mkdir()
    for part in world.iterdir():
        if part.name.startswith("v1.0"):
            shutil.copytree(part, project / "raw" / part.name)
        else:
            (project / "raw" / part.name).symlink_to(part)
    monkeypatch.chdir(project)
    return project


def test_pre_training_without_annotations(project: Path, tmp_path: Path) -> None:
    tools, notes = tmp_path / "tools", tmp_path / "opened"
    tools.mkdir()
    (tools / "sitecustomize.py").write_text(HOOK.format(notes=str(notes)))
    dvc(tools, "init", "--no-scm", "--quiet")
    dvc(tools, "config", "core.analytics", "false")
    shutil.rmtree("data/labels")
    tables = next(Path("raw").glob("v1.0*"))
    gone = [path for name in TABLES for path in tables.glob(f"{name}.json")]
    assert len(gone) >= 5
    for path in gone:
        path.unlink()

    dvc(tools, "repro", "--single-item", *STAGES)

    assert all((project / out / "card.json").is_file() for out in OUTS)
    opened = set(notes.read_text().splitlines())
    assert {str(project / "data/index/index.json"), str(project / "params.yaml")} <= opened
    assert any("/samples/LIDAR_TOP/" in path for path in opened)
    assert [path for path in opened if path.startswith(str(project)) and LABELS.search(path)] == []
    assert LABELS.search(str(tables / "category.json")) and LABELS.search("data/labels/boxes")

    edges = re.findall(r'"(.+?)" -> "(.+?)";', dvc(tools, "dag", "--outs", "--dot"))
    above = {out: {source for source, target in edges if target == out} for out in OUTS}
    assert above["data/regions"] == {"data/index"}
    assert above["data/checkpoints/pretrain_lidar/prc"] == {"data/index", "data/regions"}
    assert all("data/labels" not in sources for sources in above.values())
    assert any(source == "data/labels" and "finetune" in target for source, target in edges)
