"""What a change makes stale, asked of DVC itself: the committed graph, with stand-ins for the stages.

The copy's `python` is a script that writes the outs of the command it is given and notes that it ran; a stand-in never
writes the same bytes twice, so whatever depends on a stage that ran has to run too.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo  # type: ignore[import-untyped]

PROJECT = Path(__file__).parents[2]
PRE_TRAINED = "data/checkpoints/"  # where an arm's start weights lie if they are not random
STAND_IN = """\
#!{python} -SE
import json, os, pathlib, sys, time
command = " ".join(["python", *sys.argv[1:]])
outs = json.loads(pathlib.Path({outs!r}).read_text())[command]
for out in map(pathlib.Path, outs):
    out.mkdir(parents=True, exist_ok=True)
    (out / "content").write_text(f"{{command}} {{time.time_ns()}}")
with open({ran!r}, "a") as log:
    log.write(command + "\\n")
"""


class Copy:
    """A copy of the project in which `dvc repro` costs little."""

    def __init__(self, root: Path, tools: Path) -> None:
        self.root, self.ran = root, tools / "ran"
        root.mkdir()
        for name in ("conf", "pipeline", "stages"):
            shutil.copytree(PROJECT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("dvc.yaml", "runtime.yaml"):
            shutil.copy(PROJECT / name, root)
        params = yaml.safe_load((PROJECT / "params.yaml").read_text())
        # One cell an arm, and one family: DVC's time grows with the square of the number of stages.
        for matrix in (params["finetune"], params["stress"]):
            matrix |= {name: axis[:1] for name, axis in matrix.items() if isinstance(axis, list) and name != "arms"}
        (root / "params.yaml").write_text(yaml.safe_dump(params))
        self.dvc("init", "--no-scm", "--quiet")
        settings = {"analytics": "false", "no_scm": "true", "site_cache_dir": tools}
        lines = [f"    {key} = {value}" for key, value in settings.items()]
        (root / ".dvc" / "config").write_text("\n".join(["[core]", *lines, ""]))
        tables = root / params["dataset"]["root"] / params["dataset"]["version"]
        with Repo(str(root)) as repo:
            stages = {stage.cmd: [str(out) for out in stage.outs] for stage in repo.index.stages}
        self.commands = set(stages)
        for outs in stages.values():  # where the tables lie is an out or below one
            outs += [str(tables.relative_to(root)) for out in outs if tables.is_relative_to(root / out)]
        (tools / "outs.json").write_text(json.dumps(stages))
        python = tools / "bin" / "python"
        python.parent.mkdir()
        python.write_text(STAND_IN.format(python=sys.executable, outs=str(tools / "outs.json"), ran=str(self.ran)))
        python.chmod(0o755)

    def dvc(self, *words: str) -> str:
        path = {"PATH": f"{self.ran.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *words], cwd=self.root, env=os.environ | path, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def repro(self) -> set[str]:
        """The commands that `dvc repro` ran."""
        self.ran.write_text("")
        self.dvc("repro")
        return set(self.ran.read_text().splitlines())

    def edit(self, name: str, pattern: str, replacement: str) -> None:
        """Replaces one place of a file."""
        path = self.root / name
        text, places = re.subn(pattern, replacement, path.read_text(), flags=re.MULTILINE)
        assert places == 1
        path.write_text(text)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy that is up to date."""
    made = Copy(tmp_path_factory.mktemp("stale") / "project", tmp_path_factory.mktemp("tools"))
    assert made.repro() == made.commands
    return made


def test_runtime_settings_make_nothing_stale(copy: Copy) -> None:
    copy.edit("runtime.yaml", r"^workers: \d+", "workers: 7")
    copy.edit("runtime.yaml", r"^device: \w+", "device: cuda")
    assert "up to date" in copy.dvc("status")
    assert copy.repro() == set()


def test_regions_eps_makes_regions_and_what_follows_stale(copy: Copy) -> None:
    """Every stage that pre-trains or probes, every cell of an arm that starts from it, and the report: nothing else."""
    arms = yaml.safe_load((copy.root / "params.yaml").read_text())["arms"]
    pre_trained = {name for name, arm in arms.items() if PRE_TRAINED in arm["lidar"] + arm["camera"]}
    assert pre_trained and set(arms) - pre_trained
    expected = {
        command
        for command in copy.commands
        for stage, *cell in [command.removeprefix("python -m stages.").split()]
        if stage in ("regions", "region_quality", "pretrain_lidar", "distill_camera", "report")
        or stage.startswith("probe_")
        or (cell and cell[0] in pre_trained)
    }
    fresh = {command.split()[2] for command in copy.commands - expected}
    assert fresh == {
        "stages.simulate", "stages.prepare", "stages.start", "stages.finetune", "stages.evaluate", "stages.stress"
    }  # fmt: skip
    copy.edit("params.yaml", r"^(  eps): [\d.]+", r"\1: 0.8")
    assert copy.repro() == expected
    assert "up to date" in copy.dvc("status")
