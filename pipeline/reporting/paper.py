"""What the paper states, as data, and beside it what was measured here.

Sun et al., CALICO: Self-Supervised Camera-LiDAR Contrastive Pre-training for BEV Perception, ICLR 2024 (arXiv
2306.00349), on the validation split of nuScenes. Second-hand: taken from notes on the paper, not from its tables.
"""

from math import log
from typing import NamedTuple

import pandas as pd

from pipeline.reporting.anchors import arm_anchor, trial_anchor
from pipeline.reporting.table import Cells, Table, mean_text, share_text, summarise

SOURCE = "Sun et al., CALICO, ICLR 2024 (arXiv 2306.00349), nuScenes validation; second-hand, ≈: read off a figure"
DATASET = "nuscenes"  # the one data set on which numbers of the paper and of this page answer the same question


class Stated(NamedTuple):
    """Scores of one row of the paper at one share of the labelled scenes, in percent."""

    arm: str  # as it is called here
    fraction: float
    nds: float
    mean_ap: float | None = None
    read_off: bool = False


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
    "The paper (nuScenes, models of 10 % of the labels, its own list of corruptions): mCE of CALICO 78.2, where a random "
    "start is 100; success of spoofing with 60, 100 and 200 points lower by 45.3 % on average (models of 50 %)."
)


def paper_table(values: pd.DataFrame, dataset: str) -> Table | None:
    """Detection scores of the paper beside those of this page; None where no arm occurs in both.

    On nuScenes only equal shares of the labels stand side by side. Elsewhere every row shows the nearest share that the
    paper states for that arm, under a title that says so.

    Args:
        values: as `read_results` gives them.
        dataset: name of the data set of `values`.
    """
    same = dataset == DATASET
    own = summarise(values[(values["task"] == "detection") & values["metric"].isin(["NDS", "mAP"])])
    found = {(row["arm"], row["fraction"], row["metric"]): row for row in own.to_dict("records")}
    rows, cells = [], Cells()
    for arm, fraction in dict.fromkeys((arm, fraction) for arm, fraction, _ in found):
        stated = _nearest(arm, fraction, same)
        if stated is None:
            continue
        place = trial_anchor(arm, "detection", fraction)
        cells.links |= {(len(rows), 0): arm_anchor(arm), (len(rows), 2): place, (len(rows), 3): place}
        here = [found.get((arm, fraction, metric)) for metric in ("NDS", "mAP")]
        texts = ["–" if row is None else mean_text(row) for row in here]
        paper = [share_text(stated.fraction), *(_stated_text(x, stated.read_off) for x in (stated.nds, stated.mean_ap))]
        rows.append([arm, share_text(fraction), *texts, *paper])
    if same:
        title = "Beside the paper: the same data set and share of labels"
        note = "Comparable where the networks are the paper's, too (scale=paper or scale=paper_voxels)."
        told = "paper"
    else:
        title = "Beside the paper: another data set, another size, not comparable"
        note = (
            f"Left {dataset}; right nuScenes, at the share of its labelled scenes nearest to ours for which the paper "
            "gives a number. Compare the order of the rows, never the numbers."
        )
        told = "nuScenes"
    header = ["arm", "labels", "NDS", "mAP", f"{told}: labels", f"{told}: NDS", f"{told}: mAP"]
    return Table(title, f"{note} {SOURCE}.", header, rows, "beside_paper", cells) if rows else None


def _nearest(arm: str, fraction: float, same: bool) -> Stated | None:
    own = [stated for stated in PAPER if stated.arm == arm and (not same or stated.fraction == fraction)]
    return min(own, key=lambda stated: abs(log(stated.fraction / fraction)), default=None)


def _stated_text(percent: float | None, read_off: bool) -> str:
    return "–" if percent is None else f"{'≈' if read_off else ''}{percent / 100:.3f}"
