"""All that the report tells, read from the artifacts of the stages before it; `drawings` draws its figures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.artifacts.card import CARD, read_card
from pipeline.evaluation.probe_record import CURVE
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.params import Params, corruption_families
from pipeline.reporting.figures.probes import probe_table
from pipeline.reporting.lineage import artifact_table, draw_lineage, misfits, recorded_chain
from pipeline.reporting.methods import folders_of_methods
from pipeline.reporting.page.report import Block
from pipeline.reporting.reproduce import arm_blocks, strange_labels
from pipeline.reporting.tables.attacks import attack_metrics, pgd_tables, spoofing_tables
from pipeline.reporting.tables.class_tables import class_tables
from pipeline.reporting.tables.comparison import compare_arms, comparison_table, few_seeds, pairs_of
from pipeline.reporting.tables.headlines import headline_table
from pipeline.reporting.tables.label_ledger import ledger_table
from pipeline.reporting.tables.overview import Drive, overview_table
from pipeline.reporting.tables.paper import paper_table
from pipeline.reporting.tables.region_counts import region_table
from pipeline.reporting.tables.robustness import Robustness
from pipeline.reporting.tables.table import (
    BRIEF,
    Table,
    degenerate_cells,
    headline_means,
    loss_table,
    read_results,
    result_tables,
)
from pipeline.robustness.record import read_spoofing, read_stress

INDEX, LABELS, REGIONS = Path("data/index"), Path("data/labels"), Path("data/regions")
RESULTS, CHECKPOINTS, PROBES = Path("data/results"), Path("data/checkpoints"), Path("data/probes")
STRESS = Path("data/stress")


@dataclass(frozen=True)
class Findings:
    """What was found; a table that has nothing to say is None or missing from its list.

    Attributes:
        inputs: every artifact that was read, for the card.
        values: all scores, see `read_results`.
        pretrained: checkpoints of the methods that params list.
        probed: the scores of their probes.
        warnings: why a number may mean less than it seems to.
        brief: the tables for the terminal.
        metrics: means for `dvc metrics show`.
    """

    inputs: list[Path]
    values: pd.DataFrame
    pretrained: list[Path]
    probed: list[Path]
    warnings: list[str]
    brief: list[Table]
    metrics: dict[str, Any]
    robust: Robustness
    overview: Table
    headline: Table | None
    paper: Table | None
    results: list[Table]
    comparison: Table | None
    classes: list[Table]
    labels: Table | None
    robustness: list[Table]
    attacks: list[Table]
    pretraining: list[Table]
    regions: Table | None
    artifacts: Table
    lineage: str
    blocks: list[Block]


def read_findings(params: Params, root: str) -> Findings:
    """Reads all of it; the working directory is the project's root, and `root` the folder that the report goes to.

    Raises:
        UserError: an artifact is missing or broken.
    """
    arms, own, families = params.finetune.arms, params.report, params.stress.families
    pretrained, probed = folders_of_methods(params, CHECKPOINTS, CARD), folders_of_methods(params, PROBES, CURVE)
    inputs = [
        INDEX, LABELS, REGIONS, *pretrained, *probed, *(RESULTS / arm for arm in arms),
        *(STRESS / arm / family for arm in arms for family in families),
    ]  # fmt: skip
    chain, ledger = recorded_chain(inputs), Labels.open(LABELS).ledger()
    values = read_results(RESULTS, arms)
    modality = {arm: params.arms[arm].modality for arm in arms}
    compared = compare_arms(RESULTS, pairs_of(modality, own.reference_arm, own.scratch_arms), own.resamples)
    struck = read_stress(STRESS, arms, corruption_families(families))
    robust = Robustness(struck, {arm: own.scratch_arms[modality[arm]] for arm in arms}, own.reference_arm)
    spoofed = read_spoofing(STRESS, [arm for arm in arms if "spoofing" in families])
    climbed = read_stress(STRESS, arms, [family for family in families if family == "pgd"])
    pretraining = [table for table in (loss_table(pretrained), probe_table(probed)) if table]
    weak = [f"{cell}; its score means nothing" for cell in degenerate_cells(RESULTS, arms)]
    return Findings(
        inputs=inputs,
        values=values,
        pretrained=pretrained,
        probed=probed,
        warnings=[*misfits(chain), *strange_labels(arms, ledger, chain), *weak, *few_seeds(values)],
        brief=result_tables(values, own.reference_arm, BRIEF) + robust.brief() + pretraining,
        metrics=headline_means(values) | {"robustness": robust.metrics(), "attacks": attack_metrics(spoofed, climbed)},
        robust=robust,
        overview=overview_table(_drive(params), arms, RESULTS, chain),
        headline=headline_table(values),
        paper=paper_table(values, params.dataset.name),
        results=result_tables(values, own.reference_arm),
        comparison=comparison_table(compared),
        classes=class_tables(values),
        labels=ledger_table(ledger, set(values["fraction"])),
        robustness=robust.tables(),
        attacks=spoofing_tables(spoofed) + pgd_tables(climbed),
        pretraining=pretraining,
        regions=region_table(read_card(REGIONS)["metrics"]),
        artifacts=artifact_table(chain),
        lineage=draw_lineage(chain, arms, root),
        blocks=arm_blocks({arm: params.arms[arm] for arm in arms}, families, RESULTS, chain),
    )


def _drive(params: Params) -> Drive:
    index = FrameIndex.open(INDEX, Path(params.dataset.root))
    scored = index.split(params.dataset.val_split)
    cameras = sum(bool(index[position].cameras) for position in scored)
    return Drive(params.dataset.name, params.dataset.val_split, len(index), len(scored), cameras)
