"""Why two artifacts differ: every kind of cause by itself, found where it is and not where it is only felt."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.artifacts.card import CARD, dump_json, seal, write_card
from pipeline.artifacts.difference import CHANCE, Cause, Difference, compare, pair_label
from pipeline.artifacts.publish import publish
from pipeline.artifacts.view import Target, Workspace
from pipeline.configure import configure
from pipeline.errors import UserError
from tests.tiny_project import CELL, PRC, TinyProject, run_stage


class Elsewhere(Workspace):
    """The files of another project folder."""

    name = "elsewhere"

    def is_file(self, path: str) -> bool:
        return super().is_file(f"../there/{path}")

    def files(self, folder: str) -> list[str]:
        return super().files(f"../there/{folder}")

    def open(self, path: str) -> Any:
        return super().open(f"../there/{path}")


def make(name: str, *inputs: str, text: str = "x", eps: float = 0.75, score: float = 1.0, seed: int = 0) -> None:
    with publish(Path(name)) as draft:
        (draft / "a.bin").write_text(text)
        write_card(
            draft, kind="toy", stage="make", params={"regions": {"eps": eps}}, inputs=map(Path, inputs),
            metrics={"score": score}, seeds=[seed],
        )  # fmt: skip


def make_chain(change: Callable[[], None] = lambda: None) -> None:
    """raw -> first -> second; `change` makes something again or otherwise."""
    Path("stages").mkdir(parents=True)
    Path("stages/make.py").write_text("import lib\n")
    Path("lib.py").write_text("")
    Path("raw.txt").write_text("raw")
    make("data/first", "raw.txt")
    change()
    make("data/second", "data/first", score=2.0)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def against(change: Callable[[], None], here: Path, monkeypatch: pytest.MonkeyPatch) -> Difference:
    make_chain(change)
    monkeypatch.chdir(here / "there")
    make_chain()
    monkeypatch.chdir(here / "here")
    return compare(Target("data/second", Elsewhere()), Target("data/second", Workspace()))


def edit_environment() -> None:
    card = json.loads(Path("data/first", CARD).read_bytes())
    card["environment"]["packages"]["numpy"] = "0.1"
    card["seal"] = seal(card)
    Path("data/first", CARD).write_bytes(dump_json(card))


def edit_code() -> None:
    Path("lib.py").write_text("other = 1\n")
    make("data/first", "raw.txt")


def edit_raw() -> None:
    Path("raw.txt").write_text("cooked")
    make("data/first", "raw.txt")


@pytest.mark.parametrize(
    ("change", "kind", "name"),
    [
        (lambda: make("data/first", "raw.txt", eps=0.5), "param", "regions.eps"),
        (lambda: make("data/first", "raw.txt", seed=1), "seed", "seeds"),
        (edit_environment, "environment", "packages.numpy"),
        (edit_raw, "input", "raw.txt"),
        (lambda: make("data/first", "raw.txt", text="y"), CHANCE, "a.bin"),
    ],
)
def test_one_cause_is_found_where_it_is(
    change: Callable[[], None], kind: str, name: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = against(change, here, monkeypatch)
    assert [(cause.kind, cause.name) for cause in found.causes] == [(kind, name)]
    assert list(found.causes.values()) == [["raw.txt" if kind == "input" else "data/first"]]
    assert "data/second" in found.followers
    assert ("should be identical, and they are not" in found.verdict) == (kind == CHANCE)


def test_code_is_a_cause_wherever_it_ran(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = against(edit_code, here, monkeypatch)
    assert [(cause.kind, cause.name, places) for cause, places in found.causes.items()] == [
        ("code", "lib.py", ["data/first", "data/second"])
    ]
    assert found.same_bytes == ["data/first", "data/second"]


def test_equal_ones_should_be_and_are(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = against(lambda: None, here, monkeypatch)
    assert found.verdict == "they should be identical, and they are"
    assert (found.causes, found.followers, found.equal) == ({}, [], ["data/second"])


def test_metrics_and_two_paths_of_one_view() -> None:
    make_chain()
    make("data/third", "data/first", score=5.0, eps=0.6)
    found = compare(Target("data/second", Workspace()), Target("data/third", Workspace()))
    assert found.causes == {Cause("param", "regions.eps", "0.75", "0.6"): ["data/{second | third}"]}
    assert found.metrics == {"data/{second | third}: score": (2.0, 5.0)}
    assert found.to_json()["causes"][0]["name"] == "regions.eps"


def test_labels_of_pairs() -> None:
    assert pair_label("a/b", "a/b") == "a/b"
    assert pair_label("a/b/c", "a/d/c") == "a/{b/c | d/c}"
    assert pair_label("a", "a/b") == "a/{ | b}"


def test_an_artifact_against_a_whole_revision_is_refused() -> None:
    with pytest.raises(UserError, match="cannot be compared"):
        compare(Target("data/first", Workspace()), Target("", Workspace()))


def test_what_is_on_neither_side_is_not_called_equal(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a fresh clone, where dvc.lock names outputs that nobody has made or fetched."""
    lock = "schema: '2.0'\nstages:\n  one:\n    cmd: x\n    outs:\n"
    lock += "".join(f"    - path: data/{name}\n      md5: '0'\n" for name in ("first", "lost"))
    for place in ("there", "here"):
        monkeypatch.chdir(here / place)
        Path("dvc.lock").write_text(lock)
    both = Target("", Elsewhere()), Target("", Workspace())
    with pytest.raises(UserError, match="neither side") as refused:
        compare(*both)
    assert "dvc repro" in refused.value.remedy
    for place in ("there", "here"):
        monkeypatch.chdir(here / place)
        make_chain()
    found = compare(*both)
    assert (found.equal, found.missing) == (["data/first"], ["data/lost"])
    assert found.verdict.endswith("as far as they are at hand: 1 are on neither side")


def test_a_whole_project_against_its_last_commit(tiny_project: TinyProject) -> None:
    """One param changed, two stages ran again: one cause, the rest follows; the cells are stale but untouched."""
    configure(["regions.eps=0.6"])
    run_stage("regions")
    run_stage("pretrain_lidar", "prc")
    answer = json.loads(tiny_project.calico("diff", "HEAD", "--json", good=False))
    assert [(cause["kind"], cause["name"], cause["a"], cause["b"]) for cause in answer["causes"]] == [
        ("param", "regions.eps", "0.75", "0.6")
    ]
    assert answer["followers"] == [PRC]
    assert CELL in answer["equal"]
    assert answer["metrics"]["data/regions: kept"][0] > answer["metrics"]["data/regions: kept"][1]
    screen = tiny_project.calico("diff", "HEAD", "workspace", good=False)
    assert "regions.eps" in screen and "they differ for one reason" in screen
    assert len(screen.splitlines()) < 40
    assert "should be identical, and they are" in tiny_project.calico("diff", f"{CELL}@HEAD", CELL)
