"""Cards: deterministic, portable, and an identity that changes with everything below it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.artifacts.card import CARD, file_digests, identity, label_ledger, read_card, write_card
from pipeline.errors import UserError


@dataclass(frozen=True)
class Group:
    eps: float
    sizes: list[int]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    (root / "stages").mkdir(parents=True)
    (root / "stages/make.py").write_text("import json\n")
    monkeypatch.chdir(root)
    return root


def make(name: str, *inputs: str, **more: Any) -> str:
    folder = Path(name)
    (folder / "deep").mkdir(parents=True, exist_ok=True)
    (folder / "a.bin").write_bytes(b"a")
    (folder / "deep" / "b.bin").write_bytes(b"b")
    params = more.pop("params", {"regions": Group(0.75, [1, 2])})
    return write_card(
        folder, kind="toy", stage="make", params=params, inputs=[Path(source) for source in inputs], **more
    )


def test_card_holds_what_it_promises(project: Path) -> None:
    make("data/first")
    own = make(
        "data/second", "data/first", seeds=[3, 1], labelled=["t2", "t1"], metrics={"map": float("nan"), "nds": 0.5}
    )
    card = read_card(Path("data/second"))
    assert list(card["files"]) == ["a.bin", "deep/b.bin"]
    assert card["inputs"] == [{"path": "data/first", "identity": identity(Path("data/first"))}]
    assert card["params"] == {"regions": {"eps": 0.75, "sizes": [1, 2]}}
    assert list(card["code"]["files"]) == ["stages/make.py"]
    assert card["seeds"] == [1, 3]
    assert card["labels"]["count"] == 2
    assert card["metrics"] == {"map": None, "nds": 0.5}
    assert "numpy" in card["environment"]["packages"]
    assert own == identity(Path("data/second"))


def test_equal_work_gives_equal_bytes_wherever_the_project_and_the_data_lie(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = []
    for place in ("here", "there"):
        data = tmp_path / place / "nuscenes" / "v1.0-mini"
        data.mkdir(parents=True)
        (data / "scene.json").write_text("[]")
        moved = tmp_path / f"project {place}"
        (moved / "stages").mkdir(parents=True)
        (moved / "stages/make.py").write_text("import json\n")
        monkeypatch.chdir(moved)
        make("data/first", str(data), params={"dataset": {"root": str(data.parent)}}, labelled=["x"])
        cards.append(Path("data/first", CARD).read_bytes())
    assert cards[0] == cards[1]
    assert str(tmp_path).encode() not in cards[0]
    assert json.loads(cards[0])["inputs"][0]["path"] == "outside:v1.0-mini"


def test_the_order_of_params_inputs_and_seeds_does_not_matter(project: Path) -> None:
    make("data/first")
    make("data/second")
    one = make("data/third", "data/first", "data/second", params={"a": {"x": 1, "y": 2}, "b": 3}, seeds=[1, 2])
    assert one == make("data/third", "data/second", "data/first", params={"b": 3, "a": {"y": 2, "x": 1}}, seeds=[2, 1])


def test_absolute_and_relative_inputs_are_the_same(project: Path) -> None:
    make("data/first")
    assert make("data/second", "data/first") == make("data/second", str(project / "data/first"))


def test_identity_changes_with_content_name_input_params_and_code(project: Path) -> None:
    make("data/first")
    seen = {make("data/second", "data/first")}
    seen.add(make("data/second", "data/first", params={"regions": Group(0.5, [1, 2])}))
    make("data/first", seeds=[9])
    seen.add(make("data/second", "data/first"))
    Path("data/second/c.bin").write_bytes(b"a")
    seen.add(make("data/second", "data/first"))
    Path("data/second/c.bin").rename("data/second/d.bin")
    seen.add(make("data/second", "data/first"))
    Path("stages/make.py").write_text("import re\n")
    seen.add(make("data/second", "data/first"))
    assert len(seen) == 6


def test_identity_of_plain_folders_and_files(project: Path) -> None:
    Path("tables").mkdir()
    Path("tables/a.json").write_text("[]")
    before = identity(Path("tables"))
    Path("tables/a.json").rename("tables/b.json")
    assert identity(Path("tables")) != before
    assert identity(Path("tables/b.json")) == file_digests(Path("tables"))["b.json"]
    with pytest.raises(UserError, match="does not exist"):
        identity(Path("none"))


def test_ledger_does_not_depend_on_order_and_is_inherited(project: Path) -> None:
    make("data/first", labelled=["a", "b"])
    make("data/second", "data/first")
    make("data/third", "data/second", labelled=["c"])
    first = read_card(Path("data/first"))["labels"]
    assert first["sha256"] == label_ledger(["b", "a", "b"], [])["sha256"]
    entry = {"count": 2, "sha256": first["sha256"]}
    assert read_card(Path("data/second"))["labels"]["inherited"] == [entry]
    make("data/runs/nested", "data/first")
    make("data/fourth", "data/runs")
    assert read_card(Path("data/fourth"))["labels"]["inherited"] == [entry]
    third = read_card(Path("data/third"))["labels"]
    assert (third["count"], third["inherited"]) == (1, [entry])


def test_missing_broken_and_edited_cards_are_refused(project: Path) -> None:
    with pytest.raises(UserError, match="no card"):
        read_card(Path("data/none"))
    make("data/first")
    path = Path("data/first", CARD)
    good = path.read_text()
    path.write_text(good.replace("0.75", "0.5"))
    with pytest.raises(UserError, match="was edited"):
        read_card(path.parent)
    for broken in (good[:-20], "[]", "{}", '{"kind": "toy"}'):
        path.write_text(broken)
        with pytest.raises(UserError, match="cannot be read|lacks a part"):
            read_card(path.parent)


def test_a_missing_input_is_refused_before_anything_is_written(project: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        make("data/first", "data/none")
    assert not Path("data/first", CARD).exists()


def test_labels_outside_the_data_set_are_named_and_inherited(project: Path) -> None:
    for name, inputs, outside in (("one", [], ["ImageNet-1k"]), ("two", ["one"], ["COCO"]), ("three", ["two"], [])):
        folder = Path("data", f"outside_{name}")
        folder.mkdir(parents=True)
        write_card(
            folder, kind="toy", stage="make", params={}, inputs=[Path("data", f"outside_{i}") for i in inputs],
            outside_labels=outside,
        )  # fmt: skip
    assert read_card(Path("data/outside_three"))["labels"]["outside"] == ["COCO", "ImageNet-1k"]
    assert "outside" not in label_ledger([], [])
