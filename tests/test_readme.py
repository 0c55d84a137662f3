"""The README names only what exists, and its commands are real ones."""

import os
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.configure import compose
from tests.markdown import ROOT, Page, is_written

PAGE = Page(ROOT / "README.md")
COMMANDS = [shlex.join(words) for words in PAGE.commands()]


def of(program: str) -> list[str]:
    """The README's commands that start so."""
    found = [command for command in COMMANDS if command.startswith(f"{program} ")]
    assert found
    return found


def run(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    path = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(words, cwd=cwd, env=path, capture_output=True, text=True, check=False)


def test_every_program_is_checked_below() -> None:
    assert {command.split()[0] for command in COMMANDS} == {"make", "calico", "dvc", "source", "git"}


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
    assert f"dataset={name}" in PAGE.text
    compose(ROOT / "conf", [f"dataset={name}", f"scale={scale}", "dataset.root=/path/to/nuscenes"])


def test_ci_runs_the_command_that_is_named_for_tests() -> None:
    last = (ROOT / ".ci" / "run").read_text().strip().splitlines()[-1]
    assert last == "exec make test"
    assert {"make test", "make repro"} <= set(COMMANDS)


def test_there_is_a_place_for_the_results() -> None:
    assert PAGE.text.index("<!-- results:begin -->") < PAGE.text.index("<!-- results:end -->")
