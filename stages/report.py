"""DVC stage: tables and figures of all results. Needs no network, so torch is never imported."""

from pathlib import Path

from rich.console import Console

from pipeline.artifacts.card import dump_json, write_card
from pipeline.artifacts.publish import publish
from pipeline.errors import user_errors
from pipeline.evaluation.record import name_cell, six_digits
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.params import Params, load_params
from pipeline.regions.store import RegionStore
from pipeline.reporting.contents import arrange
from pipeline.reporting.export import write_tables
from pipeline.reporting.findings import INDEX, LABELS, PROBES, REGIONS, RESULTS, read_findings
from pipeline.reporting.gallery import (
    choose_frames,
    draw_detection_figures,
    draw_map_figures,
    draw_projection_figures,
    draw_region_figures,
)
from pipeline.reporting.html_page import render_html
from pipeline.reporting.page import Group, Report, print_tables, render_markdown
from pipeline.reporting.picture import FOLDER
from pipeline.reporting.probes import draw_probes

REPORTS = Path("reports")
INTRODUCTION = (
    "What was run, whether it can be trusted, and what it shows. Every number was read from the artifacts that "
    "`dvc repro` made, and links to how it was made."
)


def main() -> None:
    """Publishes reports/: index.html, results.md, metrics.json, tables/, figures/; prints the most important tables."""
    params = load_params()
    found = read_findings(params, REPORTS.as_posix())
    with publish(REPORTS) as draft:
        bars = found.robust.draw(draft / FOLDER)
        figures = draw_figures(params, draft / FOLDER) + [("Robustness", bars)] * bool(bars)
        report = Report(f"CALICO on {params.dataset.name}", INTRODUCTION, found.warnings, arrange(found, figures))
        (draft / "results.md").write_text(render_markdown(report), encoding="utf-8")
        (draft / "index.html").write_text(render_html(report), encoding="utf-8")
        (draft / "metrics.json").write_bytes(dump_json(six_digits(found.metrics)))
        write_tables(report.tables(), found.values, draft / "tables")
        found.robust.write(draft)
        write_card(
            draft,
            kind="report",
            stage="report",
            params={
                "report": params.report,
                "finetune": params.finetune,
                "stress.families": params.stress.families,
                "arms": params.arms,
            },
            inputs=found.inputs,
        )
    print_tables(found.brief, found.warnings, Console())


def draw_figures(params: Params, out: Path) -> list[Group]:
    """Figures of a few validation frames; the models are those of the largest label fraction and the first seed."""
    index = FrameIndex.open(INDEX, Path(params.dataset.root))
    positions = choose_frames(index, params.dataset.val_split, params.report.figures)
    own = params.finetune
    cells = {
        task: {arm: RESULTS / arm / name_cell(task, max(fractions), own.seeds[0]) for arm in own.arms}
        for task in ("detection", "map")
        if (fractions := own.fractions(task))
    }
    labels, reach = Labels.open(LABELS), params.networks.grid.reach
    projections = draw_projection_figures(index, positions, labels, out)
    groups = [(title, pictures) for title, pictures in [("Probes", draw_probes(PROBES, out)), projections] if pictures]
    groups.append(draw_region_figures(index, positions, RegionStore.open(REGIONS, params.regions), out))
    if "detection" in cells:
        groups.append(draw_detection_figures(index, positions, labels, cells["detection"], reach, out))
    if "map" in cells:
        groups.append(draw_map_figures(index, positions, cells["map"], params.networks.heads.map_reach, out))
    return groups


if __name__ == "__main__":
    with user_errors():
        main()
