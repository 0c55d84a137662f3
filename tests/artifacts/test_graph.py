"""The lineage as a picture: every artifact and edge is in it, and nothing from a card can run in a browser."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.artifacts.audit import Link, audit
from pipeline.artifacts.card import write_card
from pipeline.artifacts.graph import to_html, to_mermaid
from pipeline.artifacts.publish import publish

EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Counts what a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


@pytest.fixture
def link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Link:
    """raw.txt -> first -> second, second reads raw.txt as well; the params of first try to break out."""
    monkeypatch.chdir(tmp_path)
    Path("stages").mkdir()
    Path("stages/make.py").write_text("")
    Path("raw.txt").write_text("raw")
    for name, inputs, labelled in (("first", ["raw.txt"], []), ("second", ["data/first", "raw.txt"], ["t1", "t2"])):
        with publish(Path("data", name)) as draft:
            (draft / "a.bin").write_text(name)
            write_card(
                draft, kind="toy", stage="make", params={"note": EVIL, f"{EVIL}": '"]\nend'},
                inputs=map(Path, inputs), labelled=labelled, seeds=[3],
            )  # fmt: skip
    return audit("data/second")


def test_html_is_one_page_that_asks_for_nothing(link: Link) -> None:
    text = to_html(link)
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert EVIL not in text
    sources = [value for name, value in page.attributes if name in ("src", "href")]
    assert all(value and value.startswith("#") for value in sources)
    assert "http" not in re.sub(r"\s", "", text)
    ids = {value for name, value in page.attributes if name == "id"}
    assert {value.removeprefix("#") for value in sources if value} == ids
    assert page.tags.count("rect") == len(ids) == 3
    assert page.tags.count("path") == 3
    assert "every one of 3 links fits" in text
    assert "labelled frames: 2" in text


def test_a_broken_link_is_red_and_unfolded(link: Link) -> None:
    Path("data/first/a.bin").write_text("other")
    text = to_html(audit("data/second"))
    assert "1 of 3 links do not fit" in text
    assert text.count('class="bad"') == 1
    assert "<details id" in text and " open>" in text
    assert "file changed: a.bin" in text


def test_mermaid_has_every_node_and_edge(link: Link) -> None:
    lines = to_mermaid(link).splitlines()
    assert lines[0] == "flowchart LR"
    nodes = [line for line in lines if re.fullmatch(r'  n\d\["[^"\n]*"\]:::good', line)]
    edges = [line.split() for line in lines if "-->" in line]
    assert len(nodes) == 3
    number = {path: line.split("[")[0].strip() for line in nodes for path in ("first", "second", "raw") if path in line}
    assert sorted((a, b) for a, _, b in edges) == sorted(
        [(number["raw"], number["first"]), (number["raw"], number["second"]), (number["first"], number["second"])]
    )
