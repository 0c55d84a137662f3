"""`calico preflight` in a project with the real graph, asked of DVC itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo  # type: ignore[import-untyped]

from pipeline.errors import UserError
from pipeline.params import Params
from pipeline.preflight.jobs import Job, stale_jobs


def run(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=project, env=os.environ | {"PYTHONPATH": str(project), "COLUMNS": "120"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def graph(project: Path, tmp_path: Path) -> Path:
    """The project under DVC, which keeps its own files inside the test."""
    (project / ".dvc").mkdir()
    (project / ".dvc" / "config").write_text(f"[core]\n    no_scm = true\n    site_cache_dir = {tmp_path / 'site'}\n")
    return project


def test_a_project_that_never_ran(graph: Path) -> None:
    done = run(graph, "pipeline.cli", "preflight")
    assert done.returncode == 0, done.stdout + done.stderr
    for stage in ("prepare", "regions", "pretrain_lidar", "distill_camera", "finetune", "evaluate"):
        assert stage in done.stdout
    assert "unknown" in done.stdout
    assert "calico preflight --measure" in done.stdout
    assert "simulate" not in done.stdout  # recorded data


def test_missing_files_end_with_exit_code_1(graph: Path, own_world: Params) -> None:
    image = min(Path(own_world.dataset.root, "samples", "CAM_FRONT").iterdir())
    image.unlink()
    content = yaml.safe_load((graph / "params.yaml").read_text())
    content["dataset"]["root"] = own_world.dataset.root
    (graph / "params.yaml").write_text(yaml.safe_dump(content))
    done = run(graph, "pipeline.cli", "preflight", "--json")
    assert done.returncode == 1, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["missing"] == [f"samples/CAM_FRONT/{image.name}"]
    assert not told["fits"]


def test_stale_stages_and_what_follows(graph: Path) -> None:
    """A chain of three and one stage beside it, all fresh until a file changes."""
    chain = {
        "first": ("python -m stages.prepare", "in.txt", "one"),
        "second": ("python -m stages.regions", "one", "two"),
        "third": ("python -m stages.finetune scratch-L detection-1.0 0", "two", "three"),
        "beside": ("python -m stages.report", "other.txt", "four"),
    }
    stages = {name: {"cmd": command, "deps": [dep], "outs": [out]} for name, (command, dep, out) in chain.items()}
    (graph / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    for name in ("in.txt", "other.txt", "one", "two", "three", "four"):
        (graph / name).write_text(name)
    assert [job.name for job in stale_jobs(graph)] == ["first", "second", "third", "beside"]  # none ever ran
    with Repo(str(graph)) as repo:
        repo.commit(None, force=True)
    assert stale_jobs(graph) == []
    (graph / "in.txt").write_text("changed")
    assert stale_jobs(graph) == [
        Job("first", "prepare", ()),
        Job("second", "regions", ()),
        Job("third", "finetune", ("scratch-L", "detection-1.0", "0")),
    ]


def test_a_broken_graph_is_told(graph: Path) -> None:
    (graph / "dvc.yaml").write_text("stages: {a: {cmd: [}}\n")
    with pytest.raises(UserError, match=r"(?s)dvc\.yaml.*dvc status"):
        stale_jobs(graph)
