"""The documents name only what exists: commands, options, params, stages, paths, links, excerpts of the code."""

import ast
import dataclasses
import importlib.util
import re
import runpy
import shutil
import subprocess
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from dvc.cli.parser import get_main_parser  # type: ignore[import-untyped]
from dvc.repo import Repo  # type: ignore[import-untyped]

from pipeline.cli import app
from pipeline.configure import compose, configure
from pipeline.params import Runtime
from pipeline.strict_yaml import read_yaml
from tests.markdown import ROOT, Page, is_written

FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
FILES += [*(ROOT / "data").glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [Page(path) for path in FILES]
EVERY = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
CURRENT = [page for page in PAGES if page.name != "CHANGELOG.md"]  # that one also names what is gone
SHELL = {"cd", "export", "git", "head", "mkdir", "open", "python3", "scontrol", "sed", "sleep", "source", "time", "["}
PROGRAMS = SHELL | {"calico", "dask", "dvc", "make", "pytest", "python", "ruff", "mypy", "srun", "torchrun"}
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
RUNTIME = {field.name for field in dataclasses.fields(Runtime)}
TOP = {path.name for path in ROOT.iterdir()} | {"reports", "data", "scratch", "live"}
MADE_HERE = (
    "scratch",
    "live",
    "reports",
    ".venv",
    ".dvc/config.local",
    "data/imported",
)  # by programs; git ignores them


def found(*program: str, inline: bool = False) -> list[tuple[str, list[str]]]:
    """(page, words) of every command that starts so, on all pages; `inline`: also of those in backticks."""
    return [
        (page.name, words)
        for page in CURRENT
        for words in [
            [word for word in w if word != "time"] for w in page.commands() + (page.inline() if inline else [])
        ]
        if words[: len(program)] == list(program)
    ]


@EVERY
def test_links_lead_to_files_and_headings(page: Page) -> None:
    for link in page.links():
        target, _, anchor = link.partition("#")
        path = (page.path.parent / target).resolve() if target else page.path
        assert path.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in Page(path).anchors(), f"{page.name}: {link}"


@pytest.mark.parametrize("page", CURRENT, ids=lambda page: page.name)
def test_paths_exist_or_are_written_by_a_stage(page: Page) -> None:
    """Whatever stands in backticks and begins with a file or folder of the project; `{a,b}` and `*` are expanded."""
    for word in page.words():
        if "/" not in word or word.split("/")[0] not in TOP or word.startswith(MADE_HERE):
            continue
        plain = re.split(r"[<…@]|::", word)[0].rstrip(".,:")
        braces = re.fullmatch(r"(.*)\{(.*)\}(.*)", plain)
        options = [f"{braces[1]}{part.strip()}{braces[3]}" for part in braces[2].split(",")] if braces else [plain]
        for option in options:
            assert list(ROOT.glob(option)) or is_written(option), f"{page.name}: {word}"


@pytest.mark.parametrize("page", CURRENT, ids=lambda page: page.name)
def test_params_in_backticks_exist(page: Page) -> None:
    """`group.key` of params.yaml; `*` stands for any name, and a value may follow as `=` or `:`."""
    for word in page.words():
        key = re.split(r"[=:]", word)[0]
        first, *rest = key.split(".")
        if not rest or first not in {*PARAMS, "*"} or not re.fullmatch(r"[\w.*+-]+", key) or key.endswith(".py"):
            continue
        values: list[Any] = list(PARAMS.values()) if first == "*" else [PARAMS[first]]
        for name in rest:
            inner = [value for value in values if isinstance(value, dict)]
            values = [value[n] for value in inner for n in (value if name == "*" else [name]) if n in value]
        assert values, f"{page.name}: {word} is no key of params.yaml"


@pytest.mark.parametrize("page", CURRENT, ids=lambda page: page.name)
def test_runtime_settings_exist(page: Page) -> None:
    named = re.findall(r"`runtime\.yaml: ([a-z_, ]+)", page.prose)
    unknown = {name.strip() for names in named for name in names.split(",")} - RUNTIME - {""}
    assert not unknown, f"{page.name}: {unknown}"


@EVERY
def test_programs_are_known(page: Page) -> None:
    assert {words[0] for words in page.commands()} <= PROGRAMS


def test_calico_commands_parse() -> None:
    """By the real parser: subcommand, options, number of arguments."""
    assert len(found("calico")) > 30
    for page, (_, *words) in found("calico", inline=True):
        if words[0] == "COMMAND":
            continue
        named = misuse([*words, "--help"]) if all(map(str.isalpha, words)) else "no mere name"
        assert not (told := misuse(words)) or not named, f"{page}: calico {' '.join(words)}: {told}"


@pytest.mark.parametrize("words", ["adit x", "audit", "audit a b", "audit x --dep", "regions verfy", "model --batch x"])
def test_a_wrong_calico_command_is_told(words: str) -> None:
    assert misuse(words.split())


def misuse(words: list[str]) -> str | None:
    """What the parser of `calico` has against these words; nothing is run."""
    command, rest = typer.main.get_command(app), words
    while (known := getattr(command, "commands", None)) and rest and not rest[0].startswith("-"):
        if rest[0] not in known:
            return f"no command {rest[0]}"
        command, rest = known[rest[0]], rest[1:]
    if rest == ["--install-completion"]:
        return None  # to parse it is to install it
    try:
        command.make_context("calico", list(rest))
    except Exception as error:  # of the click that typer brings along
        return None if type(error).__name__ == "Exit" else str(error)  # --help exits
    return None


def test_calico_configure(tmp_path: Path) -> None:
    """Each of them on the committed choice."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    config = (tmp_path / "conf" / "config.yaml").read_text()
    chosen = {tuple(words[2:]): page for page, words in found("calico", "configure") if page != "README.md"}
    assert len(chosen) > 5
    for assignments, page in chosen.items():
        (tmp_path / "conf" / "config.yaml").write_text(config)
        (tmp_path / "params.yaml").write_text("")
        assert configure(assignments, root=tmp_path), f"{page}: calico configure {' '.join(assignments)}"


@pytest.fixture(scope="module")
def graph() -> list[Any]:
    """Every stage of dvc.yaml as DVC resolves it."""
    with Repo(str(ROOT)) as repo:
        return list(repo.index.stages)


def test_the_picture_of_the_graph_is_that_of_dvc_yaml(graph: list[Any]) -> None:
    script = runpy.run_path(str(ROOT / "docs" / "figures" / "graph.py"))
    drawn = script["draw"](script["edges"](graph))
    assert (ROOT / "docs/figures/graph.svg").read_text() == drawn, "run python docs/figures/graph.py"
    names = {stage.addressing.split("@")[0] for stage in graph}
    assert names == set(script["PLACES"])


def test_dvc_commands(graph: list[Any]) -> None:
    """By DVC's own parser; stages and plots that are named exist, and -S composes."""
    assert len(found("dvc")) > 20
    parser = get_main_parser()
    stages = {name for stage in graph for name in (stage.addressing, stage.addressing.split("@")[0])}
    plots = {name for plot in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"] for name in plot}
    composed = set()
    for page, (_, *words) in found("dvc", inline=True):
        told = f"{page}: dvc {' '.join(words)}"
        try:
            given = parser.parse_args(words)
        except Exception as error:  # DVC's parser raises a class of its own
            if not all(map(str.isalpha, words)):
                pytest.fail(f"{told}: {error}")
            with pytest.raises(SystemExit, match="0"):  # the mere name of a command, in prose
                parser.parse_args([*words, "--help"])
            continue
        targets = {target for target in getattr(given, "targets", None) or [] if not target.startswith("reports/")}
        known = plots if words[0] == "plots" else stages
        assert words[0] not in ("repro", "pull", "plots", "exp") or targets <= known, told
        # Of a sweep the first value.
        settings = [value.partition(",")[0] for option, value in pairwise(words) if option == "-S"]
        if settings and tuple(settings) not in composed:
            compose(ROOT / "conf", settings)
            composed.add(tuple(settings))


def test_python_modules_exist_and_take_the_options() -> None:
    for page, words in found("python", inline=True):
        if words[1] != "-m":
            continue
        module, *rest = words[2:]
        spec = importlib.util.find_spec(module)
        assert spec is not None and spec.origin is not None, f"{page}: {module}"
        if module == "pytest":
            assert [word for word in rest if word.startswith("tests/") and not (ROOT / word).exists()] == []
        elif module.startswith("benchmarks."):
            source = Path(spec.origin).read_text()
            absent = [word for word in rest if word.startswith("--") and f'"{word}"' not in source]
            assert absent == [], f"{page}: {module} {absent}"


@pytest.mark.parametrize("target", sorted({words[1] for _, words in found("make")}))
def test_make_targets(target: str) -> None:
    done = subprocess.run(
        ["make", target, "ROOT=/nowhere", "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [page for page in PAGES if page.code("python")], ids=lambda page: page.name)
def test_python_blocks_compile_and_their_imports_resolve(page: Page) -> None:
    for block in page.code("python"):
        if block.title:
            continue  # an excerpt
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module or "")
                assert [name.name for name in node.names if not hasattr(module, name.name)] == []
            elif isinstance(node, ast.Import):
                assert all(importlib.util.find_spec(name.name) for name in node.names)


@pytest.mark.parametrize("page", [page for page in PAGES if page.code("yaml")], ids=lambda page: page.name)
def test_yaml_blocks_are_strict_and_their_keys_exist(page: Page, tmp_path: Path) -> None:
    for block in page.code("yaml"):
        (tmp_path / "block.yaml").write_text(block.text)
        content = read_yaml(tmp_path / "block.yaml")
        if "runtime.yaml" in block.text.splitlines()[0]:
            assert isinstance(content, dict) and set(content) <= RUNTIME


def test_excerpts_stand_in_the_source() -> None:
    """A block titled with a path holds lines of that file, word for word; `…` alone on a line leaves some out."""
    excerpts = [(page.name, block) for page in PAGES for block in page.code("python") if block.title]
    assert len(excerpts) >= 8
    for page, block in excerpts:
        source = (ROOT / block.title).read_text()
        dedented = re.sub(r"^ +", "", source, flags=re.MULTILINE)
        for part in re.split(r"^\s*# …\n", block.text, flags=re.MULTILINE):
            lines = re.sub(r"^ +", "", part, flags=re.MULTILINE).strip()
            assert lines and lines in dedented, f"{page}: {block.title}\n{part}"


def test_equations_are_closed() -> None:
    """Braces and environments; nobody typesets them here."""
    equations = [block.text for page in PAGES for block in page.code("math")]
    assert len(equations) >= 10
    for text in equations:
        bare = re.sub(r"\\[{}]", "", text)
        assert bare.count("{") == bare.count("}"), text
        assert re.findall(r"\\begin\{(\w+)\}", text) == re.findall(r"\\end\{(\w+)\}", text), text
        assert len(re.findall(r"\\left\b", text)) == len(re.findall(r"\\right\b", text)), text


def test_every_page_is_in_the_index() -> None:
    index = Page(ROOT / "docs" / "README.md")
    linked = {link.partition("#")[0] for link in index.links()}
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages - linked == set()


def test_no_page_names_the_machine_it_was_written_on() -> None:
    places = (f"{ROOT}/", f"{Path.home()}/", f"{tempfile.gettempdir()}/")
    assert [page.name for page in PAGES if any(place in page.text for place in places)] == []
