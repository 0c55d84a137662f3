"""The table of rooms in docs/architecture.md is the truth: a room imports what it may, and every room stands there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text()
ROWS: dict[str, str] = dict(re.findall(r"^\| `pipeline/(\w+)` \| .* \| (.*) \|$", TEXT, re.MULTILINE))
TOP = ("configure", "cli")  # beside the rooms, for those alone that may import everything
BESIDE = ({path.stem for path in (ROOT / "pipeline").glob("*.py")} | {"params"}) - {*TOP}


def imports(room: str) -> set[str]:
    """The other rooms and modules of `pipeline` that a room's files name, also inside functions."""
    found = set()
    for path in (ROOT / "pipeline" / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                module = node.module or ""
                found |= {f"pipeline.{name.name}" for name in node.names} if module == "pipeline" else {module}
            elif isinstance(node, ast.Import):
                found |= {name.name for name in node.names}
    parts = [name.split(".") for name in found]
    return {part[1] for part in parts if part[0] == "pipeline" and len(part) > 1} - {room}


def allowed(room: str) -> set[str]:
    """What the last column of the table lets a room import."""
    told = ROWS[room]
    if told == "everything but stages":
        return {*ROWS, *BESIDE, *TOP}
    names = set(re.findall(r"\w+", told.replace("all above", "").replace("nothing of ours", "")))
    above = list(ROWS)[: list(ROWS).index(room)] if "all above" in told else []
    return (names & {*ROWS}) | {*above} | BESIDE


def test_every_room_stands_in_the_table() -> None:
    rooms = {path.parent.name for path in (ROOT / "pipeline").glob("*/__init__.py")}
    assert rooms - {"params", "cli"} == set(ROWS)


@pytest.mark.parametrize("room", ROWS)
def test_a_room_imports_what_it_may(room: str) -> None:
    assert imports(room) - allowed(room) == set()


def test_nothing_but_stages_imports_stages() -> None:
    files = (ROOT / "pipeline").rglob("*.py")
    assert [path for path in files if re.search(r"^\s*(from|import) stages", path.read_text(), re.M)] == []


def test_networks_and_objectives_know_no_storage() -> None:
    for room in ("networks", "objectives"):
        for path in (ROOT / "pipeline" / room).rglob("*.py"):
            assert not re.search(r"^\s*(from|import) (zarr|nuscenes|dvc|pyarrow)", path.read_text(), re.M), path
