"""The `calico` command as a process: help, exit codes, and errors on one screen."""

import contextlib
import json
import os
import pty
import re
import resource
import shutil
import subprocess
import sys
from importlib import metadata
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


def test_help_is_instant_and_lists_the_commands_by_purpose() -> None:
    """Seconds of CPU, so that a busy machine does not count."""

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = calico("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0
        places = [
            done.stdout.index(word) for word in ("Prepare and run:", "configure", "Audit:", "diff", "Exit codes:")
        ]
        assert places == sorted(places)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 0.5


@pytest.mark.parametrize("module", ["pipeline.cli", "pipeline.cli.view", "pipeline.cli.completion"])
def test_nothing_heavy_is_imported(module: str) -> None:
    heavy = ("torch", "numpy", "pandas", "matplotlib", "hydra", "dvc", "yaml", "rich", "rerun", "zarr", "numba")
    program = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_version() -> None:
    assert calico("--version").stdout == f"calico {metadata.version('calico')}\n"


def test_no_colours_but_in_a_terminal(project: Path) -> None:
    """The same command through a pipe and on a pseudo-terminal."""
    assert "\x1b" not in calico("audit", "data/one", cwd=project).stdout
    assert "\x1b[32m" in on_terminal("audit", "data/one", cwd=project)
    colour = re.compile(r"\x1b\[[0-9;]*(?:3[0-9]|9[0-7])m")
    assert not colour.search(on_terminal("audit", "data/one", cwd=project, NO_COLOR="1"))


def on_terminal(*words: str, cwd: Path, **variables: str) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    environment |= {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color"} | variables
    subprocess.run([sys.executable, "-m", "pipeline.cli", *words], cwd=cwd, env=environment, stdout=theirs, check=True)
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # how Linux ends a terminal that nobody writes to
        while piece := os.read(ours, 4096):
            said += piece
    os.close(ours)
    return said.decode()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("calico view --arm prc", ["prc-L"]),
        ("calico audit data/o", ["data/one"]),
        ("calico view --corruption calibration_drift:", [f"calibration_drift:{level}" for level in (1, 2, 3)]),
        ("calico regions re", ["repair"]),
        ("calico preflight --m", ["--measure"]),
    ],
)
def test_completion(line: str, offered: list[str], project: Path) -> None:
    """As bash asks for it."""
    program = "import sys; sys.argv[0] = 'calico'; from pipeline.cli import main; main()"
    asked = {"_CALICO_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    environment = os.environ | asked | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == offered, done.stderr


def test_ctrl_c_ends_with_code_130(project: Path) -> None:
    """The signal comes while the command works: it is sent where it would read the store."""
    program = (
        "import os, signal, pathlib; from pipeline import cli; import pipeline.regions.verification as there\n"
        "there.verify_store = lambda path: os.kill(os.getpid(), signal.SIGINT)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored where the tests run in the background
        "import sys; sys.argv = ['calico', 'regions', 'verify']; cli.main()"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert "Traceback" not in done.stderr


def test_audit_prints_a_tree_and_fails_on_a_changed_file(project: Path) -> None:
    good = calico("audit", "data/one", cwd=project)
    assert good.returncode == 0
    assert "every link fits" in good.stdout
    assert "conf/weights/random.yaml" in good.stdout
    (project / "data/one/a.txt").write_text("b")
    bad = calico("audit", "data/one", cwd=project)
    assert bad.returncode == 1
    assert "file changed: a.txt" in bad.stdout


def test_a_project_that_never_ran_is_told_what_to_do(project: Path) -> None:
    lost = calico("audit", "data/results/calico", cwd=project)
    assert lost.returncode == 2
    assert "`dvc repro` makes it" in lost.stderr
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    assert "no checkpoint yet: `dvc repro`" in calico("ls", cwd=project).stdout


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
    assert json.loads(calico("configure", "regions.eps=0.5", "--json", cwd=project).stdout) == {"changed": []}


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
