"""DVC stage: tables and figures of all results. Needs no network, so torch is never imported."""

from pathlib import Path

from rich.console import Console

from pipeline.artifacts.card import dump_json, write_card
from pipeline.artifacts.publish import publish
from pipeline.errors import user_errors
from pipeline.evaluation.record import name_cell, six_digits
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.params import Params, corruption_families, load_params
from pipeline.regions.store import RegionStore
from pipeline.reporting.attacks import attack_metrics, pgd_tables, spoofing_tables
from pipeline.reporting.class_tables import class_tables
from pipeline.reporting.comparison import Row, compare_arms, comparison_table, few_seeds, pairs_of
from pipeline.reporting.gallery import (
    Group,
    choose_frames,
    draw_detection_figures,
    draw_map_figures,
    draw_projection_figures,
    draw_region_figures,
)
from pipeline.reporting.label_ledger import ledger_table
from pipeline.reporting.page import Report, print_tables, render_html, render_markdown
from pipeline.reporting.picture import FOLDER
from pipeline.reporting.probes import draw_probes, probe_table, probed
from pipeline.reporting.robustness import Robustness
from pipeline.reporting.table import (
    BRIEF,
    degenerate_cells,
    headline_means,
    loss_table,
    pretrained,
    read_results,
    result_tables,
)
from pipeline.robustness.record import read_spoofing, read_stress

INDEX, LABELS, REGIONS = Path("data/index"), Path("data/labels"), Path("data/regions")
RESULTS, CHECKPOINTS, PROBES = Path("data/results"), Path("data/checkpoints"), Path("data/probes")
STRESS = Path("data/stress")
INTRODUCTION = "Scores on the validation split. Every number is read from data/results, which `dvc repro` made."


def main() -> None:
    """Publishes reports/: results.md, index.html, metrics.json and every figure as PNG and SVG; prints the tables."""
    params = load_params()
    arms = params.finetune.arms
    values = read_results(RESULTS, arms)
    weak = degenerate_cells(RESULTS, arms)
    warnings = [f"{cell}; its score means nothing" for cell in weak] + few_seeds(values)
    comparison = result_tables(values, params.report.reference_arm)
    brief = result_tables(values, params.report.reference_arm, BRIEF)
    labels = ledger_table(Labels.open(LABELS).ledger(), set(values["fraction"]))
    protocol = [table for table in (comparison_table(read_comparisons(params)), labels) if table]
    robustness = read_robustness(params)
    spoofed = read_spoofing(STRESS, [arm for arm in arms if "spoofing" in params.stress.families])
    climbed = read_stress(STRESS, arms, [family for family in params.stress.families if family == "pgd"])
    attacks = spoofing_tables(spoofed) + pgd_tables(climbed)
    pretraining = [table for table in [loss_table(CHECKPOINTS), probe_table(PROBES)] if table]
    with publish(Path("reports")) as draft:
        title = f"CALICO on {params.dataset.name}"
        tables = comparison + protocol + robustness.tables() + attacks + pretraining + class_tables(values)
        bars = robustness.draw(draft / FOLDER)
        figures = draw_figures(params, draft / FOLDER) + [("Robustness", bars)] * bool(bars)
        report = Report(title, INTRODUCTION, warnings, tables, figures)
        (draft / "results.md").write_text(render_markdown(report), encoding="utf-8")
        (draft / "index.html").write_text(render_html(report), encoding="utf-8")
        headlines = headline_means(values) | {
            "robustness": robustness.metrics(),
            "attacks": attack_metrics(spoofed, climbed),
        }
        (draft / "metrics.json").write_bytes(dump_json(six_digits(headlines)))
        robustness.write(draft)
        write_card(
            draft,
            kind="report",
            stage="report",
            params={"report": params.report, "finetune": params.finetune, "stress.families": params.stress.families},
            inputs=[
                INDEX,
                LABELS,
                REGIONS,
                *pretrained(CHECKPOINTS),
                *probed(PROBES),
                *(RESULTS / arm for arm in arms),
                *(STRESS / arm / family for arm in arms for family in params.stress.families),
            ],
        )
    print_tables(brief + robustness.brief() + pretraining, warnings, Console())


def read_comparisons(params: Params) -> list[Row]:
    """Every arm against the reference and against the scratch arm of its modality."""
    modality = {arm: params.arms[arm].modality for arm in params.finetune.arms}
    own = params.report
    return compare_arms(RESULTS, pairs_of(modality, own.reference_arm, own.scratch_arms), own.resamples)


def read_robustness(params: Params) -> Robustness:
    """What corruptions cost every arm; nothing where none was tried."""
    arms, own = params.finetune.arms, params.report
    scratch = {arm: own.scratch_arms[params.arms[arm].modality] for arm in arms}
    return Robustness(
        read_stress(STRESS, arms, corruption_families(params.stress.families)), scratch, own.reference_arm
    )


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
