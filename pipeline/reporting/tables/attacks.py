"""What attacks do to fine-tuned models, as tables and as the numbers that DVC shows."""

from typing import Any

import pandas as pd

from pipeline.reporting.tables.table import Table
from pipeline.robustness.interval import wilson_interval

SPOOFING_NOTE = (
    "Attacked frames in which a vehicle box of enough score lies where the vehicle was spoofed / attacked frames, "
    "percent [95 % Wilson interval]; frames of all n seeds together. The interval takes them for independent, which "
    "frames of one scene are not. Not attacked: frames without a free place, and those where the model sees a vehicle "
    "there without any attack, whose share is the last column."
)
PGD_NOTE = (
    "Projected gradient ascent on the fine-tuning loss with knowledge of the model: points moved by at most so many "
    "mm, or pixels changed by at most so much of 255. Percent, mean ± sample deviation over n seeds."
)


def spoofing_tables(rates: pd.DataFrame) -> list[Table]:
    """Success rates of every arm, a table per trial.

    Args:
        rates: columns `record.RATES`, as `read_spoofing` gives them; may be empty.
    """
    tables = []
    for trial, own in rates.groupby("trial", sort=False):
        counts = sorted(set(own["count"]))
        rows = []
        for arm in dict.fromkeys(own["arm"]):
            of_arm = own[own["arm"] == arm]
            sums = of_arm.groupby("count")[["attacked", "fooled"]].sum()
            false, free = of_arm["false_alarms"].sum(), (of_arm["false_alarms"] + of_arm["attacked"]).sum()
            texts = [_rate(*sums.loc[count]) if count in sums.index else "–" for count in counts]
            rows.append([arm, str(of_arm["seed"].nunique()), *texts, f"{100 * false / free:.1f}" if free else "–"])
        header = ["arm", "n", *(f"{count} points" for count in counts), "without attack"]
        title = f"spoofed vehicles that {trial} believes in"
        tables.append(Table(title, SPOOFING_NOTE, header, rows, f"spoofing_{trial}"))
    return tables


def pgd_tables(scores: pd.DataFrame) -> list[Table]:
    """Scores under every budget beside the clean ones, a table per trial and metric.

    Args:
        scores: columns `record.SCORES` of the family pgd; may be empty.
    """
    own = scores[scores["applicable"].astype(bool)] if len(scores) else scores
    tables = []
    for (trial, metric), part in own.groupby(["trial", "metric"], sort=False):
        attacks = sorted({(kind, int(budget)) for kind, budget in zip(part["type"], part["severity"], strict=True)})
        rows = []
        for arm in dict.fromkeys(part["arm"]):
            of_arm = part[part["arm"] == arm]
            clean = of_arm.groupby("seed")["clean"].first()
            struck = of_arm.set_index(["type", of_arm["severity"].astype(int)])["value"].sort_index()
            texts = [_mean(struck.loc[[key]]) if key in struck.index else "–" for key in attacks]
            rows.append([arm, str(len(clean)), _mean(clean), *texts])
        header = ["arm", "n", "clean", *(f"{kind} {budget}" for kind, budget in attacks)]
        tables.append(Table(f"{trial} under PGD: {metric}", PGD_NOTE, header, rows, f"pgd_{trial}_{metric}"))
    return tables


def attack_metrics(rates: pd.DataFrame, scores: pd.DataFrame) -> dict[str, Any]:
    """{"spoofing": {trial: {arm: {count: success rate}}}, "pgd": {trial: {metric: {arm: {attack: mean score}}}}}."""
    found: dict[str, Any] = {"spoofing": {}, "pgd": {}}
    for (trial, arm, count), own in rates.groupby(["trial", "arm", "count"], sort=False):
        if attacked := int(own["attacked"].sum()):
            place = found["spoofing"].setdefault(trial, {}).setdefault(arm, {})
            place[str(count)] = int(own["fooled"].sum()) / attacked
    struck = scores[scores["applicable"].astype(bool)] if len(scores) else scores
    for (trial, metric, arm, kind, budget), own in struck.groupby(
        ["trial", "metric", "arm", "type", "severity"], sort=False
    ):
        place = found["pgd"].setdefault(trial, {}).setdefault(metric, {}).setdefault(arm, {})
        place[f"{kind}-{budget}"] = float(own["value"].mean())
    return {name: values for name, values in found.items() if values}


def _rate(attacked: int, fooled: int) -> str:
    low, high = wilson_interval(int(fooled), int(attacked))
    if low is None or high is None:
        return "0/0"
    return f"{fooled}/{attacked} = {100 * fooled / attacked:.0f} [{100 * low:.0f}, {100 * high:.0f}]"


def _mean(values: "pd.Series[float]") -> str:
    deviation = f" ± {100 * values.std():.1f}" if len(values) > 1 else ""
    return f"{100 * values.mean():.1f}{deviation}"
