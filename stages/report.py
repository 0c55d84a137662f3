"""DVC stage: tables and figures of all results."""

from pathlib import Path

from rich.console import Console

from pipeline.artifacts.card import dump_json, write_card
from pipeline.artifacts.publish import publish
from pipeline.errors import user_errors
from pipeline.evaluation.record import six_digits
from pipeline.params import load_params
from pipeline.reporting.contents import arrange
from pipeline.reporting.drawings import draw_figures, fine_tuned
from pipeline.reporting.figures.low_label import low_label_scores, write_low_label
from pipeline.reporting.figures.picture import FOLDER
from pipeline.reporting.findings import read_findings
from pipeline.reporting.page.html_page import render_html
from pipeline.reporting.page.report import Report, print_tables, render_markdown
from pipeline.reporting.tables.export import write_tables

REPORTS = Path("reports")
INTRODUCTION = (
    "What was run, whether it can be trusted, and what it shows. Every number was read from the artifacts that "
    "`dvc repro` made, and links to how it was made."
)


def main() -> None:
    """Publishes reports/: index.html, results.md, metrics.json, tables/, figures/; prints the most important tables."""
    params = load_params()
    found, tuned = read_findings(params, REPORTS.as_posix()), fine_tuned(params)
    with publish(REPORTS) as draft:
        figures = draw_figures(params, found, draft / FOLDER)
        report = Report(f"CALICO on {params.dataset.name}", INTRODUCTION, found.warnings, arrange(found, figures))
        (draft / "results.md").write_text(render_markdown(report), encoding="utf-8")
        (draft / "index.html").write_text(render_html(report), encoding="utf-8")
        (draft / "metrics.json").write_bytes(dump_json(six_digits(found.metrics)))
        write_tables(report.tables(), found.values, draft / "tables")
        found.robust.write(draft)
        write_low_label(low_label_scores(found.values), draft)
        write_card(
            draft,
            kind="report",
            stage="report",
            params={
                "arms": params.arms,
                "dataset.name": params.dataset.name,
                "dataset.val_split": params.dataset.val_split,
                "distill_camera.methods": params.distill_camera.methods,
                "distill_camera.teacher": params.distill_camera.teacher,
                "finetune": params.finetune,
                "frames": params.frames,
                "networks": params.networks,
                "pretrain_lidar.methods": params.pretrain_lidar.methods,
                "regions": params.regions,
                "report": params.report,
                "stress.families": params.stress.families,
            },
            inputs=[*found.inputs, *(cell for arms in tuned.values() for seeds in arms.values() for cell in seeds)],
        )
    print_tables(found.brief, found.warnings, Console())


if __name__ == "__main__":
    with user_errors():
        main()
