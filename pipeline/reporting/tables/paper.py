"""What the paper states, as data, and beside it what was measured here.

Sun et al., CALICO: Self-Supervised Camera-LiDAR Contrastive Pre-training for BEV Perception, ICLR 2024 (arXiv
2306.00349), on the validation split of nuScenes. Second-hand: taken from notes on the paper, not from its tables.
"""

from typing import NamedTuple

import pandas as pd

from pipeline.reporting.tables.anchors import arm_anchor, trial_anchor
from pipeline.reporting.tables.table import Cells, Table, mean_text, share_text, summarise

SOURCE = "Sun et al., CALICO, ICLR 2024 (arXiv 2306.00349), nuScenes validation; second-hand, ≈: read off a figure"
DATASET = "nuscenes"  # the one data set on which numbers of the paper and of this page answer the same question


class Stated(NamedTuple):
    """Scores of one row of the paper at one share of the labelled scenes, in percent."""

    arm: str  # as it is called here
    fraction: float
    nds: float
    mean_ap: float | None = None
    read_off: bool = False

    def text(self, metric: str) -> str:
        """NDS or mAP as a share of 1, as elsewhere on the page; "" where the paper gives none."""
        percent = {"NDS": self.nds, "mAP": self.mean_ap}[metric]
        return "" if percent is None else f"{'≈' if self.read_off else ''}{percent / 100:.3f}"


PAPER = (
    Stated("scratch-L", 0.05, 37.4, 33.1),
    Stated("proposal_contrast-L", 0.05, 43.1),
    Stated("proposal_contrast-L", 0.1, 51.1, read_off=True),
    Stated("proposal_contrast-L", 0.5, 61.0, read_off=True),
    Stated("prc-L", 0.05, 46.0),
    Stated("prc-L", 0.1, 53.1),
    Stated("prc-L", 0.5, 62.1),
    Stated("simipu-LC", 0.05, 45.8),
    Stated("prc-LC", 0.05, 46.1, 40.2),
    Stated("bev_distill-LC", 0.05, 47.5, 41.0),
    Stated("bev_distill-LC", 0.2, 59.2),
    Stated("bev_distill-LC", 0.5, 62.3),
    Stated("calico", 0.05, 47.9, 41.7),
    Stated("calico", 0.2, 59.5),
    Stated("calico", 0.5, 62.7),
)
ROBUSTNESS = (
    "The paper (nuScenes, models of 10 % of the labels, its own list of corruptions): mCE of CALICO 78.2, where a "
    "random start is 100; spoofing with 60, 100 and 200 points succeeds 45.3 % less often on average (models of 50 %)."
)


def paper_table(values: pd.DataFrame, dataset: str) -> Table | None:
    """Detection scores of the paper beside those of this page, a row per arm; None where no arm occurs in both.

    Args:
        values: as `read_results` gives them.
        dataset: name of the data set of `values`.
    """
    same, told = dataset == DATASET, "paper" if dataset == DATASET else "nuScenes"
    own = summarise(values[values["task"] == "detection"])
    found = {(row["arm"], row["metric"], row["fraction"]): row for row in own.to_dict("records")}
    arms = [arm for arm in dict.fromkeys(own["arm"]) if any(stated.arm == arm for stated in PAPER)]
    rows: list[list[str]] = [[arm] for arm in arms]
    header, cells = ["arm"], Cells({(number, 0): arm_anchor(arm) for number, arm in enumerate(arms)})
    for metric in ("NDS", "mAP"):
        here = sorted({fraction for _, name, fraction in found if name == metric})
        there = {(stated.arm, stated.fraction): text for stated in PAPER if (text := stated.text(metric))}
        stated = sorted({fraction for arm, fraction in there if arm in arms})
        if not here:
            continue
        # Equal shares of the same data set stand side by side; of others they must not look as if they belonged so.
        columns = [(fraction, False) for fraction in here] + [(fraction, True) for fraction in stated]
        for fraction, theirs in sorted(columns) if same else columns:
            header.append(f"{f'{told} ' if theirs else ''}{share_text(fraction)}: {metric}")
            for number, arm in enumerate(arms):
                row = None if theirs else found.get((arm, metric, fraction))
                if row:
                    cells.links[number, len(rows[number])] = trial_anchor(arm, "detection", fraction)
                rows[number].append(there.get((arm, fraction), "–") if theirs else mean_text(row) if row else "–")
    if same:
        title = "Beside the paper: the same data set"
        note = "Comparable at equal shares of the labels, where the networks are the paper's (scale=paper)."
    else:
        title = "Beside the paper: another data set and size, not comparable"
        note = (
            f"Columns without a name: {dataset}, this page. nuScenes: the paper. Compare the order of arms, no numbers."
        )
    return Table(title, f"{note} {SOURCE}.", header, rows, "beside_paper", cells) if len(header) > 1 and rows else None
