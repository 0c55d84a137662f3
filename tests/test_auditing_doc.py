"""docs/auditing.md says the truth: its commands run, in order, on a whole project."""

import re
import shlex
from pathlib import Path

import pytest

from tests.tiny_project import ROOT, TinyProject

DOC = (ROOT / "docs" / "auditing.md").read_text()
LINES = [line for block in re.findall(r"```sh\n(.*?)```", DOC, flags=re.DOTALL) for line in block.splitlines()]
COMMANDS = [command for line in LINES for command in re.split(r" && ", line.partition(" #")[0].strip())]
CALICO = [command for command in COMMANDS if command.startswith("calico ")]
NOT_MADE = ("reports/", "narrow")  # the project has no report; experiments run in tests/contracts/test_dvc_hygiene.py


def test_calico_commands_run(tiny_project: TinyProject) -> None:
    runnable = [command for command in CALICO if not any(name in command for name in NOT_MADE)]
    assert len(runnable) >= 8
    for command in runnable:
        tiny_project.calico(*shlex.split(command)[1:])
    assert Path("lineage.html").stat().st_size > 1000
    assert Path("crate/ro-crate-metadata.json").is_file()
    assert Path("crate-with-data/data/index/frames.feather").is_file()


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("dvc ")])
def test_dvc_commands_exist_with_their_options(command: str) -> None:
    words = shlex.split(command)[1:]
    from dvc.cli.parser import get_main_parser  # type: ignore[import-untyped]

    get_main_parser().parse_args(words)


def test_messages_are_those_of_the_code() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "pipeline" / "artifacts").glob("*.py"))
    for told in ("changed since: ", "the card was edited: its seal does not fit", "not the one that was read: "):
        assert told in DOC and told in sources
