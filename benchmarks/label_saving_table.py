"""Tables of a study of `benchmarks.label_saving`: settings chosen on the tuning scenes, results on the others.

    python -m benchmarks.label_saving_table CELLS.csv
    python -m benchmarks.label_saving_table CELLS.csv --collect FOLDER    # gathers the finished cells first

For every start, number of labelled scenes and number of steps, the learning rate (and the factor on the rate of
pre-trained tensors) is the one with the best mean over seeds on the tuning scenes; among settings only those that ran
with as many seeds as the most frequent one take part. Differences against scratch are paired by seed, which gives both
the same labelled scenes and the same initial head; p is that of a two-sided paired t-test.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t, ttest_rel

from benchmarks.fill_tables import markdown

SETTING = ["lr", "factor"]
COLUMNS = ["start", "scenes", "steps", *SETTING, "seed", "tune_mAP", "test_mAP", "tune_NDS", "test_NDS"]


def collect(folder: Path) -> pd.DataFrame:
    """One row per finished cell."""
    rows = []
    for path in sorted(folder.glob("*.json")):
        cell = json.loads(path.read_bytes())
        scores = {f"{split}_{name}": cell[split][name] for split in ("tune", "test") for name in ("mAP", "NDS")}
        classes = {f"test_AP_{name}": value for name, value in cell["test"]["AP"].items()}
        rows.append({**{name: cell[name] for name in COLUMNS if name in cell}, **scores, **classes})
    return pd.DataFrame(rows).sort_values(COLUMNS[:6]).round(4)


def choose(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells of the setting that the tuning scenes prefer, among cells of one start, scenes and steps."""
    seeds = cells.groupby(SETTING)["seed"].count()
    means = cells.groupby(SETTING)["tune_mAP"].mean()[seeds == seeds.max()].reset_index()
    best = means.nlargest(1, "tune_mAP")[SETTING]
    return cells.merge(best, on=SETTING).sort_values("seed")


def compare(cells: pd.DataFrame, keys: list[str], reference: str = "random") -> pd.DataFrame:
    """A row per start and value of `keys`: chosen setting, mean test mAP, and the paired difference to scratch."""
    rows = []
    for key, group in cells.groupby(keys):
        chosen = {start: choose(part) for start, part in group.groupby("start")}
        base = chosen.get(reference)
        for start, part in chosen.items():
            first = part.iloc[0]
            row = dict(zip(keys, key, strict=True)) | {
                "start": start, "lr": f"{first.lr:g}", "factor": f"{first.factor:g}", "n": len(part),
                "test mAP": f"{100 * part.test_mAP.mean():.1f} ± {100 * part.test_mAP.std():.1f}",
            }  # fmt: skip
            if base is not None and start != reference:
                row |= difference(part, base)
            rows.append(row)
    return pd.DataFrame(rows).fillna("")


def difference(part: pd.DataFrame, base: pd.DataFrame, score: str = "test_mAP") -> dict[str, str]:
    """Mean paired difference of a score in percent points with its 95 % interval, and the p of the t-test."""
    both = part.merge(base, on="seed", suffixes=("", "_base"))
    own, other = both[score], both[f"{score}_base"]
    gains = 100 * (own - other).to_numpy()
    if len(gains) < 2:
        return {"gain": f"{gains.mean():+.1f} (n={len(gains)})" if len(gains) else ""}
    half = t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / np.sqrt(len(gains))
    p = ttest_rel(own, other).pvalue
    return {"gain": f"{gains.mean():+.1f} ± {half:.1f} (n={len(gains)})", "p": f"{p:.3g}"}


def by_class(cells: pd.DataFrame, start: str, reference: str = "random") -> pd.DataFrame:
    """Difference of AP by class to scratch, points, at equal settings: the mean over seeds."""
    keys = ["scenes", "steps", *SETTING]
    names = [name for name in map(str, cells) if name.startswith("test_AP_")]
    own, base = (cells[cells.start == one].set_index([*keys, "seed"])[names] for one in (start, reference))
    apart = (100 * (own - base)).dropna()
    table = apart.groupby(level=keys).mean().round(1)
    table.insert(0, "n", apart.groupby(level=keys).size())
    return table[table.n > 1].rename(columns=lambda name: name.removeprefix("test_AP_")).reset_index()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path)
    parser.add_argument("--collect", type=Path, help="folder of finished cells")
    parser.add_argument(
        "--classes-of", default="prc-1600", help="the start that is compared with scratch class by class"
    )
    parsed = parser.parse_args()
    if parsed.collect:
        collect(parsed.collect).to_csv(parsed.csv, index=False)
    cells = pd.read_csv(parsed.csv)
    print(markdown(compare(cells, ["scenes", "steps"])), end="\n\n")
    print(markdown(by_class(cells, parsed.classes_of)))


if __name__ == "__main__":
    main()
