"""Arms against each other by a bootstrap that is paired over scenes and seeds."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.evaluation.bootstrap import Comparison, compare, scene_weights
from pipeline.evaluation.evidence import EVIDENCE, read_evidence
from pipeline.evaluation.record import parse_cell, read_metrics
from pipeline.evaluation.resampling import METRICS, scores
from pipeline.reporting.tables.table import Table, share_text

FEWEST_SEEDS = 3
SEED = 0  # of the bootstrap: the same scenes are drawn for every task, fraction and arm

Scores = dict[str, NDArray[np.float64]]  # metric -> float64 [1 + resamples], the split as it is first


@dataclass(frozen=True)
class Row:
    """One comparison: an arm minus another, one metric, one label fraction."""

    task: str
    metric: str
    arm: str
    against: str
    fraction: float
    found: Comparison


def pairs_of(modality: Mapping[str, str], reference: str, scratch: Mapping[str, str]) -> list[tuple[str, str]]:
    """Which arms are compared: each with the reference, as the paper does, and with the scratch arm of its modality.

    Args:
        modality: arm -> L or LC, of every arm that has results.
        reference: an arm.
        scratch: modality -> arm.
    """
    wanted = [(arm, against) for arm, own in modality.items() for against in dict.fromkeys((reference, scratch[own]))]
    return [(arm, against) for arm, against in wanted if arm != against and against in modality]


def compare_arms(results: Path, pairs: Sequence[tuple[str, str]], resamples: int) -> list[Row]:
    """Paired comparisons, task by task, in the order of the metrics, fractions and pairs.

    Args:
        results: folder that holds one folder per arm.
        pairs: (arm, the arm it is compared with).
        resamples: of the bootstrap.

    Returns:
        Comparisons over the seeds that both arms have. Cells without evidence (the official test set has no truth) and
        metrics that are undefined are left out.

    Raises:
        UserError: results or evidence are missing or broken, or two cells were scored on different scenes.
    """
    found: dict[tuple[str, float], dict[str, dict[int, Scores]]] = defaultdict(lambda: defaultdict(dict))
    scenes, first = tuple[str, ...](), ""
    weights = np.zeros((0, 0), np.int64)
    for arm in dict.fromkeys(arm for pair in pairs for arm in pair):
        for cell in read_metrics(results / arm):
            path = results / arm / cell / EVIDENCE
            if not path.is_file():
                continue
            evidence = read_evidence(path)
            if not scenes:
                scenes, first = evidence.scenes, f"{arm} {cell}"
                weights = scene_weights(len(scenes), resamples, np.random.default_rng(SEED))
            if evidence.scenes != scenes:
                problem = f"the cell was scored on other scenes than {first}"
                raise UserError(problem, where=str(path), remedy="run `dvc repro` to evaluate again")
            task, fraction, seed = parse_cell(cell)
            found[task, fraction][arm][seed] = scores(evidence, weights)
    return [
        Row(task, metric, arm, against, fraction, comparison)
        for task, metrics in METRICS.items()
        for metric in metrics
        for fraction in sorted(fraction for name, fraction in found if name == task)
        for arm, against in pairs
        if (comparison := _compare(found[task, fraction], arm, against, metric, len(scenes)))
    ]


def comparison_table(rows: Sequence[Row]) -> Table | None:
    """The comparisons as one table; None without any."""
    note = (
        "Bootstrap over scenes and seeds, the same ones drawn for both arms (docs/protocol.md). 95 % interval, and "
        "two-sided p of no difference, not corrected for the number of rows."
    )
    header = ["arm", "minus", "task", "metric", "labels", "difference", "95 % interval", "p", "scenes", "seeds"]
    lines = [
        [
            row.arm, row.against, row.task, row.metric, share_text(row.fraction), f"{of.difference:+.3f}",
            f"{of.low:+.3f} to {of.high:+.3f}", f"{of.p:.3f}", str(of.scenes), str(of.seeds),
        ]
        for row in rows
        for of in [row.found]
    ]  # fmt: skip
    return Table("Paired comparison of arms", note, header, lines, "paired_comparison") if lines else None


def few_seeds(values: pd.DataFrame) -> list[str]:
    """A warning where a row of the tables stands on fewer than three seeds; `values` as `read_results` gives them."""
    cells = values[["task", "fraction", "arm", "seed"]].drop_duplicates()
    counts = cells.groupby(["task", "fraction", "arm"]).size().groupby(["task", "fraction"]).min().reset_index(name="n")
    rows = counts[counts["n"] < FEWEST_SEEDS].to_dict("records")
    few = [f"{row['task']} at {share_text(row['fraction'])}: {row['n']}" for row in rows]
    advice = f"fewer than {FEWEST_SEEDS} seeds ({', '.join(few)}): differences may be luck; add to finetune.seeds"
    return [advice] if few else []


def _compare(
    cells: Mapping[str, Mapping[int, Scores]], arm: str, against: str, metric: str, scenes: int
) -> Comparison | None:
    common = sorted(set(cells.get(arm, {})) & set(cells.get(against, {})))
    pairs = [[cells[name][seed].get(metric) for seed in common] for name in (arm, against) if common]
    known = [[one for one in own if one is not None and np.isfinite(one[0])] for own in pairs]
    if not common or any(len(own) < len(common) for own in known):
        return None
    return compare(np.stack(known[0]), np.stack(known[1]), scenes, np.random.default_rng(SEED))
