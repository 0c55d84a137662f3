"""The page needs nothing from outside, figures are reproducible and show what they should."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import matplotlib.image
import numpy as np
import pytest
from rich.console import Console

from pipeline.errors import UserError
from pipeline.evaluation.detection import ScoredBoxes
from pipeline.evaluation.map_segmentation import MapPictures
from pipeline.reporting.figures.bev import draw_detections, draw_maps
from pipeline.reporting.figures.picture import Picture, save_figure
from pipeline.reporting.page.html_page import LARGE, render_html
from pipeline.reporting.page.report import Block, Report, Section, print_tables, render_markdown
from pipeline.reporting.tables.sorting import sort_key
from pipeline.reporting.tables.table import Cells, Table

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
VOID = {"meta", "img", "link"}
EVIL = "<script>alert(1)</script>\" onload='x' <b>"


@pytest.fixture
def report() -> Report:
    links = Cells(links={(0, 1): "cell-scratch-L"})
    rows = [["scratch-L", "0.200 ± 0.141 (n=2)"]]
    table = Table("detection: mAP", "Mean <over> seeds.", ["arm", "10 %"], rows, "main", links)
    cells = Table("Cells of scratch-L", "", ["seed"], [["0"]], "cells_scratch-L", Cells(places={0: "cell-scratch-L"}))
    block = Block(
        "scratch-L", "arm-scratch-L", [("start", "<random>")], cells, [("dvc repro evaluate@scratch-L", "all")]
    )
    return Report(
        "CALICO & friends", "Intro of `dvc repro`.", ["calico-map 0.1-0 is empty"],
        [
            Section("Results", tables=[table]),
            Section("Maps", groups=[("Maps", [Picture("A map", "map", PNG)])]),
            Section("How to reproduce", blocks=[block]),
        ],
    )  # fmt: skip


class Checker(HTMLParser):
    """Collects every attribute and checks that tags are balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_is_self_contained(report: Report) -> None:
    page = render_html(report)
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    sources = [value or "" for name, value in checker.attributes if name in ("src", "srcset", "action", "data")]
    assert [source.partition(",")[0] for source in sources] == ["data:image/png;base64"]
    assert base64.b64decode(sources[0].split(",")[1]) == PNG
    links = {value or "" for name, value in checker.attributes if name == "href"} - {"data:,"}
    assert {link for link in links if not link.startswith("#")} == {
        "tables/main.csv", "tables/main.tex", "tables/cells_scratch-L.csv", "tables/cells_scratch-L.tex",
        "figures/map.png", "figures/map.svg",
    }  # fmt: skip
    ids = {value for name, value in checker.attributes if name == "id"}
    assert {link[1:] for link in links if link.startswith("#")} <= ids
    assert not re.search(r"https?:|url\(|@import|<iframe|<script src|unsafe-inline", page)
    assert "Mean &lt;over&gt; seeds." in page
    assert "CALICO &amp; friends" in page and "&lt;random&gt;" in page
    assert "Intro of <code>dvc repro</code>." in page
    assert "prefers-color-scheme: dark" in page


def test_nothing_that_was_read_is_markup() -> None:
    """Names and texts of artifacts may come from elsewhere."""
    links = Cells(links={(0, 0): f"x{EVIL}"}, places={0: f"p{EVIL}"})
    table = Table(EVIL, EVIL, [EVIL, "b"], [[EVIL, f"`{EVIL}`"]], f"name{EVIL}", links)
    block = Block(EVIL, f"b{EVIL}", [(EVIL, EVIL)], table, [(EVIL, EVIL)])
    pictures = [(EVIL, [Picture(EVIL, EVIL, PNG)])]
    sections = [Section(EVIL, EVIL, [table], [table], pictures, [block])]
    page = render_html(Report(EVIL, EVIL, [EVIL], sections))
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert EVIL not in page and "onload" not in {name for name, _ in checker.attributes}
    assert page.count("<script>") == 1


def test_scores_link_to_cells_and_arms_to_their_blocks(report: Report) -> None:
    page = render_html(report)
    assert '<a href="#cell-scratch-L">0.200 ± 0.141 (n=2)</a>' in page
    assert '<a href="#arm-scratch-L">scratch-L</a>' in page
    assert '<tr id="cell-scratch-L">' in page


@pytest.mark.parametrize(("count", "folded"), [(2, 0), (3, 0), (4, 2), (9, 7)])
def test_many_figures_of_one_kind_are_folded(report: Report, count: int, folded: int) -> None:
    pictures = [Picture(f"map {number}", "map", PNG) for number in range(count)]
    page = render_html(replace(report, sections=[Section("Maps", groups=[("Maps", pictures)])]))
    assert page.count("<figure>") == count
    assert (f"<details><summary>{folded} more</summary>" in page) == bool(folded)


def test_a_photograph_is_embedded_small_and_in_full_size(report: Report) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).repeat(8, axis=0).repeat(8, axis=1)
    smooth = cv2.GaussianBlur(noise.astype(np.uint8), (9, 9), 0)
    png = cv2.imencode(".png", smooth)[1].tobytes()
    assert len(png) > LARGE
    large = replace(report, sections=[Section("Maps", groups=[("Maps", [Picture("A map", "map", png)])])])
    embedded = base64.b64decode(re.findall(r"data:image/webp;base64,([^\"]+)", render_html(large))[0])
    assert len(embedded) < len(png) / 4
    shown = cv2.imdecode(np.frombuffer(embedded, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == smooth.shape
    assert np.abs(shown.astype(int) - smooth).mean() < 6


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("0.181 ± 0.011 (n=2)", 0.181), ("9/49 = 18 [10, 31]", 18), ("0.195 → 0.341", 0.341), ("+0.008", 0.008),
        ("-0.046 ± 0.011 (n=2)", -0.046), ("10 %", 10), ("1,200", 1200), ("≈0.511", 0.511), ("+0.001 to +0.020", 0.001),
        ("–", None), ("0/0", None), ("000b63a34db8ff9a", None), ("669efca82198", None), ("scratch-L", None),
        ("1.0-0", None),
    ],
)  # fmt: skip
def test_cells_are_sorted_by_the_number_they_stand_for(text: str, key: float | None) -> None:
    assert sort_key(text) == key


def test_markdown_has_tables_warnings_and_figures(report: Report) -> None:
    text = render_markdown(report)
    assert "| arm | 10 % |\n| --- | --: |\n| scratch-L | 0.200 ± 0.141 (n=2) |" in text
    assert "**Warning:** calico-map 0.1-0 is empty" in text
    assert "![A map](figures/map.png)" in text


def test_terminal_shows_every_cell(report: Report) -> None:
    console = Console(file=io.StringIO(), width=100)
    print_tables([*report.tables()], report.warnings, console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for text in ("scratch-L", "0.200 ± 0.141 (n=2)", "warning: calico-map"):
        assert text in shown


def boxes(*rows: list[float], scores: list[float]) -> ScoredBoxes:
    array = np.array(rows, np.float32).reshape(-1, 9)
    return ScoredBoxes(array, np.zeros(len(array), np.int64), np.array(scores, np.float32))


def test_detection_figure_is_reproducible_and_hides_faint_boxes(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(-40, 40, (500, 5)).astype(np.float32)
    truth = boxes([5, 10, 0, 4, 2, 1.5, 0.3, 0, 0], scores=[1])
    sure = boxes([5, 10, 0, 4, 2, 1.5, 0.3, 0, 0], scores=[0.9])
    faint = boxes([5, 10, 0, 4, 2, 1.5, 0.3, 0, 0], scores=[0.1])
    empty = boxes(scores=[])
    save_figure(draw_detections(points, truth, [("a", sure), ("b", empty)], 32.0), tmp_path / "1.png")
    save_figure(draw_detections(points, truth, [("a", sure), ("b", empty)], 32.0), tmp_path / "2.png")
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()
    for name, predicted in (("sure", sure), ("faint", faint)):
        save_figure(draw_detections(points[:0], empty, [("a", predicted)], 32.0), tmp_path / f"{name}.png")
    blue = [(coloured(tmp_path / f"{name}.png", (31, 119, 180)) > 20) for name in ("sure", "faint")]
    assert blue == [True, False]


def coloured(path: Path, colour: tuple[int, int, int]) -> int:
    pixels = matplotlib.image.imread(path)[..., :3] * 255
    return int((np.abs(pixels - colour).max(axis=-1) < 8).sum())


def test_map_figure_has_y_upwards(tmp_path: Path) -> None:
    """A walkway in the last rows, which are the largest y, is painted in the upper half."""
    truth = np.zeros((6, 20, 20), np.bool_)
    truth[2, 15:, :] = True
    save_figure(draw_maps(truth, [("arm", truth & False)], 30.0), tmp_path / "map.png")
    pixels = matplotlib.image.imread(tmp_path / "map.png")[..., :3] * 255
    rows = np.flatnonzero((np.abs(pixels - (159, 211, 168)).max(axis=-1) < 8).sum(axis=1) > 100)
    assert len(rows) > 20
    assert rows.max() < pixels.shape[0] / 2


def test_kept_maps_read_back(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    kept = MapPictures(("a", "b"), random.random((2, 6, 10, 10)) < 0.5, random.random((2, 6, 10, 10)) < 0.5)
    kept.save(tmp_path / "maps.npz")
    back = MapPictures.load(tmp_path / "maps.npz")
    assert back.tokens == kept.tokens
    assert np.array_equal(back.predicted, kept.predicted)
    assert np.array_equal(back.truth, kept.truth)
    first = (tmp_path / "maps.npz").read_bytes()
    kept.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == first
    (tmp_path / "maps.npz").write_bytes(first[: len(first) // 2])
    with pytest.raises(UserError, match="dvc repro"):
        MapPictures.load(tmp_path / "maps.npz")
