"""What the pre-trainings of a study of `benchmarks.label_saving` have learned, beside the untrained networks.

    python -m benchmarks.label_saving_probes FOLDER --csv docs/results/probes.csv

Scores are those of the stage `probe_lidar`: frozen BEV features, probes fitted to training scenes, scored on validation
scenes. Differences are paired by seed, p is that of a two-sided paired t-test.
"""

import argparse
from pathlib import Path

import pandas as pd
import torch
from scipy.stats import ttest_rel

from benchmarks.fill_tables import markdown
from benchmarks.label_saving import RUNTIME, SCRATCH
from pipeline.artifacts.checkpoint import load_weights
from pipeline.evaluation.probe_frames import ProbeSource
from pipeline.evaluation.probe_lidar import probe_geometry, probe_lidar
from pipeline.frames.index import FrameIndex
from pipeline.params import load_params
from pipeline.regions.store import RegionStore
from pipeline.training.device import place
from pipeline.training.pretrain_lidar import LidarEmbedding

SCORES = ("object_linear", "object_knn", "region_knn")


def measure(folder: Path) -> pd.DataFrame:
    """A row per pre-training and seed, with the untrained networks and the plain statistics of a cell."""
    params = load_params()
    index = FrameIndex.open(Path("data/index"), Path(params.dataset.root))
    regions = RegionStore.open(Path("data/regions").absolute(), params.regions)
    source = ProbeSource.open(index, regions, params)
    device = place(RUNTIME, 0)
    weights = {}
    for path in sorted(folder.glob("pretrained-*-*/")):
        start, _, number = path.name.removeprefix("pretrained-").rpartition("-")
        weights[start, int(number)] = load_weights(path)
    for seed in sorted({seed for _, seed in weights}):
        torch.manual_seed(seed)
        weights[SCRATCH, seed] = LidarEmbedding(params.networks).state_dict()
    found = probe_lidar(weights, source, params.networks, params.pretrain_lidar, device)
    rows = [{"start": start, "seed": seed, **scores} for (start, seed), scores in found.items()]
    return pd.DataFrame([*rows, {"start": "cell statistics", **probe_geometry(source, params.networks, device)}])


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and deviation over seeds; the paired difference to the untrained network of the same seed."""
    base = rows[rows.start == SCRATCH].set_index("seed")
    table = []
    for start, own in rows.groupby("start"):
        row = {"start": start, "n": len(own)}
        for score in SCORES:
            row[score] = f"{own[score].mean():.3f}" + (f" ± {own[score].std():.3f}" if len(own) > 1 else "")
        if len(own) > 1 and start != SCRATCH:
            both = own.set_index("seed")["object_linear"], base.loc[own.seed, "object_linear"]
            row |= {"gain": f"{(both[0] - both[1]).mean():+.3f}", "p": f"{ttest_rel(*both).pvalue:.2g}"}
        table.append(row)
    return pd.DataFrame(table).fillna("")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the study's results")
    parser.add_argument("--csv", type=Path, required=True, help="where the scores go")
    parsed = parser.parse_args()
    rows = measure(parsed.folder)
    rows.round(4).to_csv(parsed.csv, index=False)
    print(markdown(summary(rows)))


if __name__ == "__main__":
    main()
