"""Tables of the recipes of conf/experiment from the DVC experiments that ran them.

    python -m benchmarks.experiment_table CELLS.csv
    python -m benchmarks.experiment_table CELLS.csv --collect REPOSITORY    # gathers the experiments first
    python -m benchmarks.experiment_table CELLS.csv --into docs/results.md  # writes them between the page's marks

An experiment belongs to the recipe that its name begins with: `dvc exp run -n alpha -S experiment=alpha …` gives
alpha-1, alpha-2, …. A row of CELLS.csv is one fine-tuned and scored cell, read from git and DVC's cache, with what was
varied: the params that differ from those of the recipe. Gathering replaces the rows of the recipes that it finds and
keeps the others. `gain` compares an arm with the reference of its modality, `change` with the same arm where nothing
was varied; both are paired by seed: mean difference in points of mAP or of the best mIoU ± half of the 95 % interval
of the t-test, and its two-sided p. `region_quality` scores regions without any training.
"""

import argparse
import json
from contextlib import chdir
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.fill_tables import fill, markdown
from benchmarks.label_saving_table import difference
from pipeline.artifacts.listing import experiments
from pipeline.artifacts.lock import at_key, flatten, parse_yaml
from pipeline.artifacts.view import Revision, git
from pipeline.configure import compose
from pipeline.evaluation.record import parse_cell

CONF = Path(__file__).parents[1] / "conf"
ALONE = ("finetune.trials", "finetune.seeds", "finetune.arms")  # how much was run, not what was varied
REGIONS = {"recall": "recall", "purity": "purity", "regions_a_frame": "regions a frame"}
CELL = ["recipe", "setting", "arm", "modality", "reference", "task", "fraction", "seed"]
SCORES = {"detection": ("mAP", "NDS"), "map": ("mIoU_best", "mIoU_calibrated")}  # gains are those of the first
CLASSES = {"detection": "AP", "map": "iou_best"}


def collect() -> pd.DataFrame:
    """One row per cell of every finished experiment of a recipe; the working directory is the repository."""
    recipes = sorted((path.stem for path in (CONF / "experiment").glob("*.yaml")), key=len, reverse=True)
    rows: list[dict[str, Any]] = []
    for name, commit in experiments():
        recipe = next((one for one in recipes if name.startswith(one)), None)
        if recipe:
            base = (git("rev-parse", "--short", f"{commit}^") or b"").decode().strip()
            rows += [{"recipe": recipe, "experiment": name, "base": base} | row for row in _cells(commit, recipe)]
    return pd.DataFrame(rows).sort_values([*CELL, "experiment"]).drop_duplicates(CELL)


def _cells(commit: str, recipe: str) -> list[dict[str, Any]]:
    view = Revision(commit)
    params = parse_yaml(view.open("params.yaml").read())
    quality = "data/region_quality/metrics.json"
    regions = json.loads(view.open(quality).read())["headline"] if view.is_file(quality) else {}
    arms, rows = params["arms"], []
    for arm in params["finetune"]["arms"]:
        results = f"data/results/{arm}/metrics.json"
        for cell, metrics in json.loads(view.open(results).read()).items() if view.is_file(results) else ():
            task, fraction, seed = parse_cell(cell)
            modality, classes = arms[arm]["modality"], CLASSES[task]
            rows.append(
                {
                    "setting": setting(params, recipe), "arm": arm, "modality": modality,
                    "reference": _reference(params, modality), "task": task, "fraction": fraction, "seed": seed,
                    **{name: metrics[name] for name in SCORES[task]},
                    **{f"{classes}_{name}": value for name, value in metrics[classes].items()},
                    **{column: regions.get(name) for name, column in REGIONS.items()},
                }
            )  # fmt: skip
    return rows


def _reference(params: dict[str, Any], modality: str) -> str:
    own = str(params["report"]["reference_arm"])
    return own if params["arms"][own]["modality"] == modality else f"scratch-{modality}"


def setting(params: dict[str, Any], recipe: str) -> str:
    """What an experiment varied: the preset of regions, and keys that differ from those of the recipe under it."""
    here, found = dict(flatten(params)), dict[str, list[str]]()
    for preset in sorted(path.stem for path in (CONF / "regions").glob("*.yaml")):
        composed = parse_yaml(compose(CONF, [f"experiment={recipe}", f"regions={preset}"]).encode())
        found[preset] = [
            f"{key}={here[key]}"
            for key, value in flatten(composed)
            if key in here and here[key] != value and not key.startswith(ALONE)
        ]
    preset = min(found, key=lambda name: len(found[name]))
    default = at_key(parse_yaml((CONF / "config.yaml").read_bytes()), "defaults")
    named = [] if {"regions": preset} in default else [f"regions={preset}"]
    return " ".join(named + found[preset])


def table(cells: pd.DataFrame, recipe: str, task: str) -> pd.DataFrame:
    """A row per fraction, setting and arm of a recipe: mean scores over seeds, and both paired differences."""
    cells = cells[cells.task == task]
    own, score = cells[cells.recipe == recipe], SCORES[task][0]
    plain = cells[cells.setting == ""].drop_duplicates(["arm", "fraction", "seed"])
    rows = []
    for _, part in own.groupby(["fraction", "setting", "arm"], sort=True):
        fraction, varied, arm, reference = part[["fraction", "setting", "arm", "reference"]].iloc[0]
        row = {"labels": f"{100 * fraction:.0f} %", "setting": varied or "as committed", "arm": arm, "n": len(part)}
        row |= {name: _spread(part[name]) for name in SCORES[task]}
        base = own[(own.arm == reference) & (own.fraction == fraction) & (own.setting == varied)]
        if arm != reference and len(base):
            row |= {"over": reference, **_paired(part, base, score, "gain")}
        before = plain[(plain.arm == arm) & (plain.fraction == fraction)]
        if varied and not arm.startswith("scratch") and len(before):
            row |= _paired(part, before, score, "change")
        rows.append(row)
    return pd.DataFrame(rows).fillna("")


def overview(cells: pd.DataFrame, recipe: str) -> pd.DataFrame:
    """A row per arm of a recipe as committed, a column per task, score and fraction: mean and deviation over seeds."""
    own = cells[(cells.recipe == recipe) & (cells.setting == "")]
    arms = parse_yaml((CONF / "experiment" / f"{recipe}.yaml").read_bytes())["finetune"]["arms"]
    columns = [
        (task, name, fraction)
        for task, names in SCORES.items()
        for name in names
        for fraction in sorted(own[own.task == task].fraction.unique())
    ]
    return pd.DataFrame(
        {
            "arm": arm,
            **{
                f"{name}, {100 * fraction:.0f} %": _spread(
                    part[(part.task == task) & (part.fraction == fraction)][name]
                )
                for task, name, fraction in columns
            },
        }
        for arm in arms
        if len(part := own[own.arm == arm])
    )


def regions_table(cells: pd.DataFrame) -> pd.DataFrame:
    """A row per setting of the regions that were scored."""
    settings = cells.setting.map(lambda text: text == "" or text.startswith("regions"))
    scored = cells[settings].dropna(subset=list(REGIONS.values())[:1]).drop_duplicates("setting")
    return pd.DataFrame(
        {"setting": [text or "as committed" for text in scored.setting]}
        | {column: [f"{value:.3f}" for value in scored[column]] for column in REGIONS.values()}
    )


def tables_of(path: Path) -> dict[str, str]:
    """Every table of a CELLS.csv in Markdown, by its name between the marks of a page."""
    cells = pd.read_csv(path).fillna({"setting": ""})
    kinds = cells[["recipe", "task"]].drop_duplicates().itertuples(index=False)
    tables = {f"{recipe}_{task}": markdown(table(cells, recipe, task)) for recipe, task in kinds}
    tables |= {f"{recipe}_overview": markdown(overview(cells, recipe)) for recipe in cells.recipe.unique()}
    return tables | {"regions": markdown(regions_table(cells))}


def _paired(part: pd.DataFrame, base: pd.DataFrame, score: str, name: str) -> dict[str, str]:
    """Of `benchmarks.label_saving_table.difference`, under a name."""
    told = difference(part[["seed", score]], base[["seed", score]], score)
    return {name: told["gain"], f"p of {name}": told.get("p", "")}


def _spread(values: pd.Series) -> str:
    return f"{100 * values.mean():.1f}" + (f" ± {100 * values.std():.1f}" if len(values) > 1 else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path)
    parser.add_argument("--collect", type=Path, metavar="REPOSITORY", help="where the experiments were run")
    parser.add_argument("--into", type=Path, metavar="PAGE", help="with <!-- table: RECIPE_TASK --> … <!-- end -->")
    parsed = parser.parse_args()
    if parsed.collect:
        with chdir(parsed.collect):
            gathered = collect()
        before = pd.read_csv(parsed.csv) if parsed.csv.exists() else gathered[:0]
        kept = before[~before.recipe.isin(gathered.recipe)]
        pd.concat([one for one in (kept, gathered.round(4)) if len(one)]).to_csv(parsed.csv, index=False)
    tables = tables_of(parsed.csv)
    if parsed.into:
        parsed.into.write_text(fill(parsed.into.read_text(encoding="utf-8"), tables), encoding="utf-8")
    else:
        print("\n\n".join(f"### {name}\n\n{text}" for name, text in tables.items()))


if __name__ == "__main__":
    main()
