"""The report of a small project with real cards: what is linked, recorded, compared, commanded and exported."""

import csv
import re
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.main import get_command

from pipeline.artifacts.card import identity, read_card
from pipeline.artifacts.diagram import Box, draw, without_detours
from pipeline.cli import app
from pipeline.evaluation.record import write_metrics
from pipeline.params import load_params
from pipeline.reporting.findings import Findings
from pipeline.reporting.lineage import artifact_table, recorded_chain
from pipeline.reporting.page.html_page import render_html
from pipeline.reporting.page.report import Report, render_markdown
from pipeline.reporting.reproduce import arm_blocks
from pipeline.reporting.tables.export import to_latex, write_tables
from pipeline.reporting.tables.paper import PAPER, paper_table
from pipeline.reporting.tables.table import KEYS, Cells, Table
from tests.reporting.small_report import ARMS, PRC, RAD, small_report, swap

ROOT = Path(__file__).parents[2]
CELL = "data/checkpoints/finetune/calico/detection-1.0-1"


def test_every_row_has_its_single_seeds_digests_and_commands(report_project: Path) -> None:
    found, _ = small_report()
    assert [block.title for block in found.blocks] == list(ARMS)
    block = found.blocks[2]
    assert dict(block.facts)["camera branch starts from"] == RAD
    assert dict(block.facts)["identity of data/results/calico"] == identity(Path("data/results/calico"))
    rows = [dict(zip(block.table.header, row, strict=True)) for row in block.table.rows]
    assert [(row["task"], row["labels"], row["seed"]) for row in rows[:2]] == [
        ("detection", "100 %", "0"), ("detection", "100 %", "1")
    ]  # fmt: skip
    assert (rows[1]["mAP_present"], rows[1]["NDS"], rows[1]["mIoU_best"]) == ("0.240", "0.080", "–")
    card = read_card(Path(CELL))
    assert rows[1]["checkpoint"] == identity(Path(CELL))[:16]
    assert (rows[1]["labelled frames"], rows[1]["token list"]) == ("6", card["labels"]["sha256"][:16])
    assert found.labels and found.labels.rows[0][2:] == ["6", card["labels"]["sha256"][:16]]


def test_nothing_to_warn_of_but_few_seeds(small: tuple[Findings, Report]) -> None:
    found, _ = small
    assert len(found.warnings) == 1 and "fewer than 3 seeds" in found.warnings[0]
    facts = dict(found.overview.rows)
    assert facts["cells"] == "12 fine-tuned models; seeds 0, 1"
    assert facts["scored on"] == "embedded_val, 3 frames, 3 of them with cameras"
    assert facts["cards"].endswith("every one fits those that name it")


@pytest.mark.parametrize(
    ("path", "told"), [(PRC, ("start/prc-L", "start/calico", "distill_camera/rad")), (CELL, ("results/calico",))]
)
def test_an_artifact_that_was_swapped_is_told(report_project: Path, path: str, told: tuple[str, ...]) -> None:
    swap(path)
    found, _ = small_report()
    assert any(warning.startswith(f"{path}: not the one that was read") for warning in found.warnings)
    assert dict(found.overview.rows)["cards"].endswith("1 do not fit")
    assert 'class="bad"' in found.lineage
    assert all(name in found.lineage for name in told)


def test_what_was_imported_is_not_followed_into_this_workspace(report_project: Path) -> None:
    """`dvc import` leaves a .dvc file beside it; its inputs are those of another commit."""
    Path(f"{PRC}.dvc").write_text("")
    chain = recorded_chain([Path("data/checkpoints/start/prc-L")])
    assert list(chain) == [PRC, "data/checkpoints/start/prc-L"]
    assert artifact_table(chain).rows[0][-1] == f"{PRC}.dvc"
    assert chain[PRC].inputs == () and chain[PRC].identity == identity(Path(PRC))


def test_without_scores_maps_cameras_and_stress_the_page_says_so(report_project: Path) -> None:
    """The official test set has no truth: its cells hold no numbers."""
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["finetune"] |= {"arms": ["scratch-L"], "trials": ["detection-1.0"]}
    content["stress"] |= {"families": []}
    Path("params.yaml").write_text(yaml.safe_dump(content))
    write_metrics(Path("data/results/scratch-L"), {"detection-1.0-0": {"NDS": None, "mAP": None}})
    found, report = small_report()
    titles = [section.title for section in report.sections]
    assert titles == [
        "Overview", "Results", "Pre-training", "Regions", "Maps", "Lineage", "How to reproduce each row"
    ]  # fmt: skip
    results = next(section for section in report.sections if section.title == "Results")
    assert "has no labels" in results.text and not results.tables and not results.more
    assert [row[:3] for row in found.blocks[0].table.rows] == [["detection", "100 %", "0"]]
    assert dict(found.overview.rows)["under disturbances"] == "not tried"
    assert "has no labels" in render_html(report) and "How to reproduce" not in render_markdown(report)


def test_models_of_other_labels_are_told(report_project: Path) -> None:
    """A swapped cell names no labelled frames at all."""
    swap(CELL)
    found, _ = small_report()
    assert f"{CELL}: its labelled frames are not those of the list of 100 %" in found.warnings


def test_lineage_holds_all_arms_and_no_arrow_that_others_imply(small: tuple[Findings, Report]) -> None:
    found, _ = small
    drawn = re.findall(r'<a href="#([^"]+)" class="(\w+)">(.*?)</a>', found.lineage, re.DOTALL)
    texts = [re.findall(r"<text[^>]*>([^<]+)<", inner) for *_, inner in drawn]
    boxes = {"/".join(lines[:-2]): one[:2] for one, lines in zip(drawn, texts, strict=True)}
    assert {f"{kind}/{arm}" for kind in ("start", "finetune", "results", "stress") for arm in ARMS} < boxes.keys()
    assert {boxes[name][1] for name in ("index", "regions", "pretrain_lidar/prc", "start/calico")} == {"free"}
    assert {boxes[name][1] for name in ("labels", "finetune/calico", "stress/prc-L")} == {"used"}
    assert boxes["results/calico"][0] == "arm-calico"
    places = [row[0] for row in found.artifacts.rows]
    assert {"data/index", PRC, RAD} < set(places) and CELL not in places
    # Of a cell's start, index and labels only two arrows are left: start and labels were made from the index.
    assert 20 < found.lineage.count("<path") < 32


def test_arrows_that_a_longer_way_implies_are_left_out() -> None:
    boxes = [Box("c", ["c"], ["b", "a"], "#c"), Box("a", ["a"], [], "#a"), Box("b", ["b"], ["a", "away"], "#b")]
    assert [[*box.inputs] for box in without_detours(boxes)] == [["b"], [], ["a", "away"]]
    rows = re.findall(r'<rect x="(\d+)" y="(\d+)"', draw(boxes, 100, (10, 10), downwards=True))
    assert sorted(rows, key=lambda place: int(place[1])) == [rows[1], rows[2], rows[0]]
    columns = re.findall(r'<rect x="(\d+)" y="(\d+)"', draw(boxes, 100, (10, 10)))
    assert [int(x) for x, _ in columns] == [221, 1, 111]


def test_commands_are_those_of_dvc_and_calico(report_project: Path) -> None:
    """For the committed params: every stage that a block names stands in dvc.lock, every option in the program."""
    params = load_params(ROOT / "params.yaml")
    arms = {arm: params.arms[arm] for arm in ARMS}
    blocks = arm_blocks(
        arms, params.stress.families, Path("data/results"), recorded_chain([Path("data/results/calico")])
    )
    written = [line for block in blocks for line, _ in block.commands] + [r[-1] for b in blocks for r in b.table.rows]
    stages = {line.split()[2] for line in written if line.startswith("dvc repro ")}
    assert len(stages) == 3 * (1 + len(params.stress.families) + 4)
    assert stages <= yaml.load((ROOT / "dvc.lock").read_text(), yaml.CSafeLoader)["stages"].keys()
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for line in [line for line in written if line.startswith("calico ")]:
        _, verb, *words = line.split()
        options = {name for own in commands[verb].params for name in own.opts}
        assert {word for word in words if word.startswith("--")} <= options


def test_paper_stands_beside_equal_shares_of_the_same_data_only() -> None:
    varied = product(("NDS", "mAP"), ("scratch-L", "prc-L", "mine"), (0.05, 1.0), (0, 1))
    rows = [("detection", *cell, 0.3) for cell in varied]
    values = pd.DataFrame(rows, columns=[*KEYS, "seed", "value"])
    other = paper_table(values, "embedded")
    assert other and "not comparable" in other.title
    own = len([name for name in other.header[1:] if "nuScenes" not in name and name.endswith("NDS")])
    assert other.header[1 : 1 + own] == ["5 %: NDS", "100 %: NDS"]
    assert [name for name in other.header if "nuScenes" in name] == [
        "nuScenes 5 %: NDS", "nuScenes 10 %: NDS", "nuScenes 50 %: NDS", "nuScenes 5 %: mAP",
    ]  # fmt: skip
    assert other.rows[0][0] == "scratch-L" and "0.374" in other.rows[0] and len(other.rows) == 2
    same = paper_table(values, "nuscenes")
    assert same and "same data set" in same.title
    assert same.header[1:3] == ["5 %: NDS", "paper 5 %: NDS"]
    assert same.rows[1][1:3] == ["0.300 ± 0.000", "0.460"]
    assert paper_table(values[values["arm"] == "mine"], "nuscenes") is None
    assert all(0.3 < float(text.removeprefix("≈")) < 0.7 for stated in PAPER for text in [stated.text("NDS")])


def test_every_table_is_written_as_csv_and_latex(small: tuple[Findings, Report], tmp_path: Path) -> None:
    found, report = small
    write_tables(report.tables(), found.values, tmp_path / "tables")
    names = {path.name for path in (tmp_path / "tables").iterdir()}
    tables = [*report.tables()]
    assert all(table.name for table in tables)
    assert names == {f"{t.name}.{end}" for t in tables for end in ("csv", "tex")} | {"scores.csv", "scores_summary.csv"}
    assert {"main_results.csv", "cells_calico.tex", "label_ledger.csv", "robustness_detection-1.0_NDS.tex"} < names
    for table in tables:
        with (tmp_path / "tables" / f"{table.name}.csv").open(newline="") as file:
            assert [*csv.reader(file)] == [table.header, *table.rows]
        text = (tmp_path / "tables" / f"{table.name}.tex").read_text()
        body = [line for line in text.splitlines() if line.endswith(r"\\")]
        assert {len(re.split(r"(?<!\\)&", line)) for line in body} == {len(table.header)}
        assert not re.search(r"(?<!\\)[_#%^~]", "\n".join(body))
        assert text.isascii()
    scores = pd.read_csv(tmp_path / "tables" / "scores.csv")
    mean = scores[(scores["arm"] == "calico") & (scores["metric"] == "NDS")]["value"].mean()
    assert mean == pytest.approx((0.22 + 0.24) / 6)


def test_latex_escapes_what_latex_would_read() -> None:
    rows = [["a_b & c", "-0.1 ± 0.2", "9/49 = 18 [10, 31]"], ["[x]\\{}", "–", "≈1 → 2"]]
    text = to_latex(Table("50 % of #1", "", ["arm", "x^2", "$"], rows, "name", Cells(rules={1})))
    assert text.splitlines() == [
        r"% 50 \% of \#1", r"\begin{tabular}{lrr}", r"\toprule", r"arm & x\textasciicircum{}2 & \$ \\", r"\midrule",
        r"a\_b \& c & $-$0.1 $\pm$ 0.2 & 9/49 = 18 {[}10, 31] \\", r"\midrule",
        r"{[}x]\textbackslash{}\{\} & -- & $\approx$1 $\rightarrow$ 2 \\", r"\bottomrule", r"\end{tabular}",
    ]  # fmt: skip
