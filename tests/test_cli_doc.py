"""docs/cli.md and the help name every command and every option, and no other."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from pipeline.cli import SECTIONS, app
from tests.markdown import ROOT, Page

PAGE = Page(ROOT / "docs" / "cli.md")
PARTS = {part.split("\n")[0]: part for part in re.split(r"^### ", PAGE.text, flags=re.MULTILINE)[1:]}


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    for word, part in (inner or {}).items():
        yield from commands(part, f"{name} {word}")
    if inner is None:
        yield name, command


COMMANDS = dict(commands(typer.main.get_command(app), "calico"))
EVERY = pytest.mark.parametrize("name", COMMANDS)


def options(command: Any) -> set[str]:
    return {word for param in command.params for word in param.opts if word.startswith("--")} - {"--help"}


def test_every_command_has_its_part() -> None:
    assert len(COMMANDS) > 15
    assert [*COMMANDS] == [*PARTS]


@EVERY
def test_options_on_the_page_are_the_real_ones(name: str) -> None:
    told = set(re.findall(r"--[a-z][a-z-]*", re.sub(r"```.*?```", "", PARTS[name], flags=re.DOTALL)))
    turned_off = {f"--no-{option.removeprefix('--')}" for option in options(COMMANDS[name])}
    assert told - turned_off == options(COMMANDS[name])


@EVERY
def test_examples_parse(name: str) -> None:
    """Those of the page and those of the help, by the command's own parser."""
    help_text = inspect.cleandoc(COMMANDS[name].help)
    assert re.search(r"^Examples?:$", help_text, re.MULTILINE)
    lines = [line for block in re.findall(r"```sh\n(.*?)```", PARTS[name], re.DOTALL) for line in block.splitlines()]
    lines += [line.strip() for line in help_text.partition("Example")[2].splitlines()[1:]]
    own = [found[1] for line in lines if (found := re.search(rf"(?:^|&& ){name}\b([^#]*)", line))]
    assert len(own) >= 2  # at least one of each
    for words in own:
        COMMANDS[name].make_context(name, words.split())


@EVERY
def test_the_first_line_of_a_help_fits_into_the_list(name: str) -> None:
    first = COMMANDS[name].help.strip().splitlines()[0]
    assert COMMANDS[name].get_short_help_str(80 - 6 - len("corruptions")) == first.rstrip(".") + "." == first


def test_every_command_has_a_heading() -> None:
    headings = re.findall(r"^## (.+)$", PAGE.text, re.MULTILINE)
    assert headings[1:] == [*SECTIONS]


def test_what_the_page_says_of_json_is_so() -> None:
    """A command that prints an answer has it; the others write files."""
    silent = {name for name, command in COMMANDS.items() if "--json" not in options(command)}
    assert silent == {
        f"calico {name}" for name in ("survey", "corruptions", "lineage", "export", "regions grid")
    }  # a count, pictures, a page, a crate, a table: their answer is the file
