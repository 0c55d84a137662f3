"""`calico doctor` in a project where something is really broken."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.doctor.dataset import check_dataset
from pipeline.doctor.device import check_cores, check_torch
from pipeline.doctor.diagnosis import guard
from pipeline.doctor.finding import Finding
from pipeline.doctor.installation import check_packages
from pipeline.doctor.probe import ImportProbe
from pipeline.doctor.repository import DVC, check_dvc, check_lock, file_system
from pipeline.params import Runtime, load_params

ROOT = Path(__file__).parents[2]


def git(*words: str) -> None:
    named = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *named, *words], check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Under git and DVC, committed; nothing made yet."""
    root = tmp_path / "project"
    shutil.copytree(ROOT / "conf", root / "conf")
    for name in ("params.yaml", "runtime.yaml", "dvc.yaml", "dvc.lock", "requirements.lock"):
        shutil.copy(ROOT / name, root)
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text(
        f"[core]\n    analytics = false\n    site_cache_dir = {tmp_path / 'site'}\n[cache]\n    type = hardlink\n"
    )
    (root / ".gitignore").write_text("/.dvc/cache\n/.dvc/tmp\n")
    monkeypatch.chdir(root)
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "one")
    return root


def doctor(cwd: Path) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "pipeline.cli", "doctor", "--json"]
    path = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=cwd, env=path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    told: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, told


def one(findings: list[Finding], subject: str) -> Finding:
    [found] = [finding for finding in findings if finding.subject == subject]
    return found


def test_a_sound_project(project: Path) -> None:
    (project / ".dvc" / "cache" / "files" / "md5").mkdir(parents=True)
    code, told = doctor(project)
    assert (code, told["healthy"]) == (0, True)
    said = {finding["subject"]: finding for finding in told["findings"]}
    assert {"python", "packages", "params", "dataset", "cores", "dvc.lock", "dvc", "cache", "disk", "torch"} <= set(
        said
    )
    assert "linked by hardlink" in said["cache"]["said"]
    assert metadata.version("torch") in said["torch"]["said"]
    assert "not made yet" in said["dataset"]["said"]
    assert [one for one in told["findings"] if one["status"] == "problem"] == []


def test_a_folder_with_broken_params_and_nothing_else(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("\n  eps:", "\n  epz:", 1))
    code, told = doctor(tmp_path)
    assert (code, told["healthy"]) == (1, False)
    problems = {finding["subject"]: finding for finding in told["findings"] if finding["status"] == "problem"}
    assert {"packages", "params", "git", "dvc"} <= set(problems)
    assert "did you mean regions.eps?" in problems["params"]["remedy"]
    assert all(finding["remedy"] for finding in told["findings"] if finding["status"] != "ok")


def test_a_check_that_fails_is_a_problem_itself() -> None:
    def check() -> list[Finding]:
        raise OSError("stale file handle")

    [found] = guard("disk", check)
    assert (found.status, found.subject) == ("problem", "disk")
    assert "stale file handle" in found.said


def test_other_and_missing_packages(project: Path) -> None:
    assert one(check_packages(), "packages").status == "ok"
    lock = project / "requirements.lock"
    text = lock.read_text()
    lock.write_text(text.replace(f"numpy=={metadata.version('numpy')}", "numpy==9.9.9"))
    found = one(check_packages(), "packages")
    assert found.status == "warning"
    assert f"numpy {metadata.version('numpy')} instead of 9.9.9" in found.said
    lock.write_text(f"{text}\nno-such-package==1.0\nnot-for-us==1.0 ; sys_platform == 'win32'\n")
    found = one(check_packages(), "packages")
    assert (found.status, found.said) == ("problem", "not installed: no-such-package")


def test_a_dataset_that_is_not_there(project: Path, tmp_path: Path, world: Path) -> None:
    params, root = load_params(), tmp_path / "nuscenes"

    def check(**changes: Any) -> list[Finding]:
        dataset = replace(params.dataset, **{"root": str(root), "simulated": [], **changes})
        return check_dataset(replace(params, dataset=dataset))

    assert "is no folder" in one(check(), "dataset").said
    root.mkdir()
    assert "has no folder v1.0-embedded" in one(check(), "dataset").said
    assert one(check(simulated=["embedded"]), "dataset").status == "ok"
    shutil.copytree(world / "v1.0-embedded", root / "v1.0-embedded")
    assert one(check(), "dataset").status == "ok"
    assert one(check(), "maps").status == "problem"
    shutil.copytree(world / "maps" / "expansion", root / "maps" / "expansion")
    assert one(check(), "maps").status == "ok"
    (root / "v1.0-embedded" / "sample_data.json").unlink()
    assert "lacks sample_data.json" in one(check(), "dataset").said
    assert one(check(format="argoverse2", version="survey"), "dataset").remedy == "run `calico survey`"


def test_what_git_holds(project: Path) -> None:
    assert one(check_lock(), "dvc.lock").status == "ok"
    (project / "dvc.lock").write_text("schema: '2.0'\n")
    (project / "conf" / "config.yaml").write_text("{}")
    (project / "notes.txt").write_text("of no weight")
    assert one(check_lock(), "dvc.lock").said == "not committed: conf/config.yaml, dvc.lock"
    (project / "dvc.lock").unlink()
    assert one(check_lock(), "dvc.lock").status == "warning"


def test_not_a_dvc_repository(project: Path) -> None:
    shutil.rmtree(project / ".dvc")
    found = one(check_dvc(ImportProbe(DVC).answer()), "dvc")
    assert found.status == "problem"
    assert "dvc init" in found.remedy


def test_a_cache_that_copies(project: Path) -> None:
    answer = {"version": "3", "root": "/", "cache": str(project), "made": True, "links": ["copy"]}
    found = one(check_dvc(answer), "cache")
    assert found.status == "warning"
    assert "twice" in found.said


def test_a_torch_that_cannot_be_imported(project: Path) -> None:
    """The process that tries it dies; what it said last is the problem."""
    runtime = Runtime(**yaml.safe_load((ROOT / "runtime.yaml").read_text()))
    answer = ImportProbe("raise ImportError('libcudart.so.13: cannot open shared object file')").answer()
    found = one(check_torch(answer, runtime), "torch")
    assert found.status == "problem"
    assert "libcudart.so.13" in found.said
    killed = ImportProbe("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)").answer()
    assert killed == "the process ended with code -11"


@pytest.mark.parametrize(
    ("device", "devices", "have", "status", "said"),
    [
        ("cpu", 1, [], "ok", "not used"),
        ("auto", 1, ["H100"], "ok", "1 x H100"),
        ("cuda", 2, ["H100"], "problem", "asks for 2"),
    ],
)
def test_devices(device: str, devices: int, have: list[str], status: str, said: str) -> None:
    settings = yaml.safe_load((ROOT / "runtime.yaml").read_text()) | {"device": device, "devices": devices}
    found = one(check_torch({"version": "2", "cuda": None, "devices": have}, Runtime(**settings)), "gpu")
    assert found.status == status
    assert said in found.said


def test_more_threads_than_cores() -> None:
    settings = yaml.safe_load((ROOT / "runtime.yaml").read_text())
    assert one(check_cores(Runtime(**settings | {"threads": 1, "workers": 1})), "cores").status == "ok"
    assert one(check_cores(Runtime(**settings | {"threads": 9999})), "cores").status == "warning"


def test_file_systems() -> None:
    assert file_system(Path("/proc/self")) == "proc"
    assert file_system(Path("/proc/none/such")) == "proc"
