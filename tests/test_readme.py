"""The README names only what exists, and its commands are real ones."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from pipeline.configure import compose

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
COMMANDS = [line.split(" #")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
PROSE = re.sub(r"^```.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE)


def of(program: str) -> list[str]:
    """The README's commands that start so."""
    found = [command for command in COMMANDS if command.startswith(f"{program} ")]
    assert found
    return found


def run(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    path = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(words, cwd=cwd, env=path, capture_output=True, text=True, check=False)


def outs() -> list[str]:
    """What the stages write, up to the first place that is filled in."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return [out.split("$")[0] for stage in stages.values() for out in stage.get("do", stage)["outs"]]


def is_written(path: str) -> bool:
    """Whether a stage writes this path, something below it or above it."""
    return any(path.startswith(out) or out.startswith(path) for out in outs())


def test_links_lead_to_files() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert len(links) > 5
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_paths_exist_or_are_written_by_a_stage() -> None:
    """Whatever stands in backticks and looks like a path of the project."""
    named = [word for word in re.findall(r"`([^`\s]+)`", PROSE) if "/" in word or re.search(r"\.\w{2,4}$", word)]
    project = [word for word in named if word.split("/")[0] in {p.name for p in ROOT.iterdir()} | {"reports", "data"}]
    assert len(project) > 10
    plain = [re.split(r"[<…]", word)[0] for word in project]
    assert [word for word in plain if not (ROOT / word).exists() and not is_written(word)] == []


def test_every_program_is_checked_below() -> None:
    assert {command.split()[0] for command in COMMANDS} == {"make", "calico", "dvc", "source"}


@pytest.mark.parametrize("command", of("make"))
def test_make_targets(command: str) -> None:
    done = run(*shlex.split(command), "--dry-run")
    assert done.returncode == 0, done.stderr


def test_calico_configure(tmp_path: Path) -> None:
    """All of them one after the other, in a copy."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    for command in of("calico configure"):
        done = run(sys.executable, "-m", "pipeline.cli", *shlex.split(command)[1:], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "now run dvc repro" in done.stdout


@pytest.mark.parametrize("command", [*of("calico check"), *of("calico preflight")])
def test_calico_options(command: str) -> None:
    _, name, *options = command.split()
    help_text = run(sys.executable, "-m", "pipeline.cli", name, "--help").stdout
    assert name in help_text
    assert [option for option in options if option not in help_text] == []


@pytest.mark.parametrize("command", of("calico audit"))
def test_calico_audit(command: str, tmp_path: Path) -> None:
    """Before the artifact is made, it says so; anything else wrong with the command reads otherwise."""
    assert is_written(shlex.split(command)[-1])
    done = run(sys.executable, "-m", "pipeline.cli", *shlex.split(command)[1:], cwd=tmp_path)
    assert done.returncode == 2
    assert "there is no such artifact" in done.stderr


@pytest.mark.parametrize("command", of("dvc"))
def test_dvc_commands(command: str) -> None:
    words = shlex.split(command)[1:]
    done = run(sys.executable, "-m", "dvc", *words, "--help")
    assert done.returncode == 0, done.stderr
    settings = [value for option, value in pairwise(words) if option == "-S"]
    assert words[:2] != ["exp", "run"] or settings
    compose(ROOT / "conf", settings)


@pytest.mark.parametrize("name", ["nuscenes", "nuscenes_mini", "nuscenes_sample"])
@pytest.mark.parametrize("scale", ["embedded", "paper"])
def test_data_sets_compose_with_both_scales(name: str, scale: str) -> None:
    assert f"dataset={name}" in README
    compose(ROOT / "conf", [f"dataset={name}", f"scale={scale}", "dataset.root=/path/to/nuscenes"])


def test_ci_runs_the_command_that_is_named_for_tests() -> None:
    last = (ROOT / ".ci" / "run").read_text().strip().splitlines()[-1]
    assert last == "exec make test"
    assert "make test" in COMMANDS
    assert "make repro" in COMMANDS


def test_there_is_a_place_for_the_results() -> None:
    assert README.index("<!-- results:begin -->") < README.index("<!-- results:end -->")
