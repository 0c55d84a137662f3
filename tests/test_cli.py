"""The `calico` command as a process: help, exit codes, and errors on one screen."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.artifacts.card import write_card
from pipeline.artifacts.publish import publish
from pipeline.frames.index_building import build_index
from pipeline.params import load_params

ROOT = Path(__file__).parents[1]


def calico(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.cli", *words]
    path = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=path, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "make.py").write_text("import json\n")
    monkeypatch.chdir(tmp_path)
    with publish(Path("data/one")) as draft:
        (draft / "a.txt").write_text("a")
        write_card(draft, kind="toy", stage="make", params={}, inputs=[Path("conf/weights/random.yaml")])
    return tmp_path


def test_help_is_instant_and_lists_the_commands() -> None:
    def seconds() -> float:
        started = time.perf_counter()
        done = calico("--help")
        assert done.returncode == 0
        assert "audit" in done.stdout
        assert "configure" in done.stdout
        return time.perf_counter() - started

    assert min(seconds() for _ in range(5)) < 0.5


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, pipeline.cli; print([m for m in ('torch', 'numpy', 'hydra', 'dvc', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_audit_prints_a_tree_and_fails_on_a_changed_file(project: Path) -> None:
    good = calico("audit", "data/one", cwd=project)
    assert good.returncode == 0
    assert "every link fits" in good.stdout
    assert "conf/weights/random.yaml" in good.stdout
    (project / "data/one/a.txt").write_text("b")
    bad = calico("audit", "data/one", cwd=project)
    assert bad.returncode == 1
    assert "file changed: a.txt" in bad.stdout


def test_audit_as_json(project: Path) -> None:
    link = json.loads(calico("audit", "data/one", "--json", cwd=project).stdout)
    assert (link["path"], link["kind"], link["problems"]) == ("data/one", "toy", [])
    assert link["inputs"][0]["path"] == "conf/weights/random.yaml"


def test_configure_rewrites_both_files_and_says_so(project: Path) -> None:
    done = calico("configure", "regions.eps=0.5", cwd=project)
    assert done.returncode == 0
    assert "conf/config.yaml and params.yaml" in done.stdout
    assert "eps: 0.5" in (project / "params.yaml").read_text()
    assert "nothing to change" in calico("configure", cwd=project).stdout


def test_check_compares_files_with_the_manifest(project: Path, world: Path) -> None:
    (project / "raw").symlink_to(world)
    dataset = ("dataset.root=raw", "dataset.simulated=[]")
    assert calico("configure", *dataset, cwd=project).returncode == 0
    index = project / "data" / "index"
    index.mkdir()
    build_index(load_params(project / "params.yaml").dataset, index)
    good = calico("check", "--deep", "--workers", "2", cwd=project)
    assert good.returncode == 0, good.stderr
    assert "files sound" in good.stdout
    (project / "raw").unlink()
    (project / "raw").mkdir()
    bad = calico("check", "--json", cwd=project)
    assert bad.returncode == 1
    told = json.loads(bad.stdout)
    assert {fault["problem"] for fault in told["faults"]} == {"missing"}
    assert len(told["faults"]) == told["files"] > 9 * 7
    assert "copy these files again" in told["remedy"]


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (("check",), "dvc repro prepare"),
        (("audit", "data/none"), "name a folder below it"),
        (("audit", "/"), "name a folder below it"),
        (("configure", "dataset=nuscenes"), "calico configure dataset.root="),
        (("configure", "regions.epz=1"), "did you mean regions.eps?"),
    ],
)
def test_bad_input_ends_with_one_screen_and_code_2(words: tuple[str, ...], advice: str, project: Path) -> None:
    done = calico(*words, cwd=project)
    assert done.returncode == 2
    assert done.stdout == ""
    assert advice in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 24
