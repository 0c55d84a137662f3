"""DVC stage: tables and figures of all results."""

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
from pipeline.reporting.arm_styles import arm_styles
from pipeline.reporting.contents import arrange
from pipeline.reporting.embedding import listed_checkpoints
from pipeline.reporting.export import write_tables
from pipeline.reporting.findings import CHECKPOINTS, INDEX, LABELS, PROBES, REGIONS, RESULTS, Findings, read_findings
from pipeline.reporting.gallery import (
    choose_camera_arm,
    choose_frames,
    draw_detection_figures,
    draw_embedding_figures,
    draw_map_figures,
    draw_overlay_figures,
    draw_projection_figures,
    draw_region_figures,
)
from pipeline.reporting.html_page import render_html
from pipeline.reporting.low_label import draw_low_label, low_label_scores, write_low_label
from pipeline.reporting.page import Group, Report, print_tables, render_markdown
from pipeline.reporting.picture import FOLDER
from pipeline.reporting.probes import draw_probes
from pipeline.reporting.table import pretrained
from pipeline.reporting.training_curves import draw_finetunings, draw_pretrainings

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
                "report": params.report,
                "finetune": params.finetune,
                "stress.families": params.stress.families,
                "arms": params.arms,
            },
            inputs=[*found.inputs, *(cell for arms in tuned.values() for seeds in arms.values() for cell in seeds)],
        )
    print_tables(found.brief, found.warnings, Console())


def fine_tuned(params: Params) -> dict[str, dict[str, list[Path]]]:
    """Trial -> arm -> the fine-tuned checkpoints of all seeds."""
    own, root = params.finetune, CHECKPOINTS / "finetune"
    return {
        trial: {arm: [root / arm / f"{trial}-{seed}" for seed in own.seeds] for arm in own.arms} for trial in own.trials
    }


def draw_figures(params: Params, found: Findings, out: Path) -> list[Group]:
    """All figures; of frames, a few of validation, by the models of the largest label fraction and the first seed."""
    index = FrameIndex.open(INDEX, Path(params.dataset.root))
    positions = choose_frames(index, params.dataset.val_split, params.report.figures)
    own, starts, tuned = params.finetune, pretrained(CHECKPOINTS), fine_tuned(params)
    styles = arm_styles(own.arms)
    cells = {
        task: {arm: RESULTS / arm / name_cell(task, max(fractions), own.seeds[0]) for arm in own.arms}
        for task in ("detection", "map")
        if (fractions := own.fractions(task))
    }
    labels, reach = Labels.open(LABELS), params.networks.grid.reach
    groups = [
        ("Low-label curves", draw_low_label(found.values, styles, out)),
        ("Robustness", found.robust.draw(styles, out)),
        ("Training curves", draw_pretrainings(CHECKPOINTS, starts, out) + draw_finetunings(tuned, styles, out)),
        ("Probes", draw_probes(PROBES, out)),
        draw_embedding_figures(params, index, positions[:1], labels, listed_checkpoints(params, CHECKPOINTS), out),
        draw_projection_figures(index, positions, labels, out),
        draw_region_figures(index, positions, RegionStore.open(REGIONS, params.regions), params.regions, out),
    ]
    if "detection" in cells:
        groups.append(draw_detection_figures(index, positions, labels, cells["detection"], reach, out))
        if arm := choose_camera_arm(found.values, [arm for arm in own.arms if "C" in params.arms[arm].modality]):
            groups.append(draw_overlay_figures(index, positions, labels, arm, cells["detection"][arm], out))
    if "map" in cells:
        groups.append(draw_map_figures(index, positions, cells["map"], params.networks.heads.map_reach, out))
    return [(title, pictures) for title, pictures in groups if pictures]


if __name__ == "__main__":
    with user_errors():
        main()
