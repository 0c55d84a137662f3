"""How much corruptions cost, from scores alone: corruption error, resilience rate, relative corruption error.

With s the score (NDS, mAP or mIoU, 0..1) of a model on corruption type i at severity l of L, all in percent:

    CE_i  = sum_l (1 - s_il) / sum_l (1 - s_il of the base model)      mCE: its mean over the types
    RR_i  = sum_l s_il / (L s_clean)                                   mRR: its mean over the types
    RCE_i = (s_clean - mean_l s_il) / s_clean

CE and RR: RoboBEV (Xie et al. 2023) and Robo3D (Kong et al. 2023); RCE: Dong et al. 2023. RCE is 100 - RR, and both
names are in use. A model is compared with the base model of its own seed.
"""

from collections.abc import Mapping

import pandas as pd

CELL = ["trial", "seed", "metric"]
TYPE = ["family", "type"]
MEASURES = ["CE", "CE_reference", "RR", "RCE"]
EVERY = "all"  # the mean over the types of all families


def measure_types(scores: pd.DataFrame, scratch: Mapping[str, str], reference: str) -> pd.DataFrame:
    """Every measure of every type, model by model.

    Args:
        scores: one row per score, columns `record.SCORES`. Where a type is not `applicable`, because it changes no
            sensor that the arm has, `value` is `clean`: such rows are a base to others and count for nothing else.
        scratch: arm -> the arm that is its base in CE, the scratch arm of its modality.
        reference: the one base of all arms in CE_reference.

    Returns:
        Columns arm, CELL, TYPE, MEASURES; without the types that are not applicable. A measure is NaN where its base
        has no score at the same severities, or its divisor is 0.
    """
    keys = ["arm", *CELL, *TYPE]
    own = scores[scores["applicable"].astype(bool)]
    grouped = own.groupby(keys, sort=False)
    found = pd.DataFrame({"mean": grouped["value"].mean(), "clean": grouped["clean"].first()})
    found["CE"] = corruption_errors(scores, scratch)
    found["CE_reference"] = corruption_errors(scores, dict.fromkeys(own["arm"], reference))
    clean = found["clean"].where(found["clean"] > 0)
    found["RR"] = 100 * found["mean"] / clean
    found["RCE"] = 100 * (clean - found["mean"]) / clean
    return found.reset_index()[[*keys, *MEASURES]]


def corruption_errors(scores: pd.DataFrame, bases: Mapping[str, str]) -> pd.Series:
    """CE in percent, indexed by arm, CELL and TYPE; without those whose base lacks one of the severities."""
    keys = ["arm", *CELL, *TYPE]
    base = scores[["arm", *CELL, *TYPE, "severity", "value"]].rename(columns={"arm": "base", "value": "base_value"})
    own = scores[scores["applicable"].astype(bool)]
    own = own.assign(base=own["arm"].map(dict(bases)).astype(object))
    joined = own.merge(base, how="left", on=["base", *CELL, *TYPE, "severity"])
    joined["error"], joined["base_error"] = 1 - joined["value"], 1 - joined["base_value"]
    grouped = joined.groupby(keys, sort=False)
    divisor = grouped["base_error"].sum(min_count=1).where(grouped["base_error"].count() == grouped["error"].count())
    return 100 * grouped["error"].sum() / divisor.where(divisor > 0)


def mean_over_types(types: pd.DataFrame) -> pd.DataFrame:
    """mCE, mRR and mean RCE of each model, by family and, as family `EVERY`, over the types of all families.

    Returns:
        Columns arm, CELL, family, MEASURES, and `types`, how many types were averaged. A mean is NaN if one of its
        types has no value: means over different types must not be compared.
    """
    keys = ["arm", *CELL, "family"]
    both = pd.concat([types, types.assign(family=EVERY)])
    grouped = both.groupby(keys, sort=False)
    means = grouped[MEASURES].mean().where(grouped[MEASURES].count().eq(grouped.size(), axis=0))
    return means.assign(types=grouped.size()).reset_index()


def over_seeds(values: pd.DataFrame) -> pd.DataFrame:
    """Mean, sample deviation (NaN for one seed) and number of seeds of each measure.

    Args:
        values: of `measure_types` or `mean_over_types`.

    Returns:
        One row per measure: the columns of `values` but seed and the measures, then measure, mean, deviation, n. Seeds
        without a value are left out.
    """
    names = [name for name in values.columns if name not in (*MEASURES, "seed")]
    long = values.melt(id_vars=[*names, "seed"], value_vars=MEASURES, var_name="measure", value_name="value")
    grouped = long.dropna(subset="value").groupby([*names, "measure"], sort=False)["value"]
    return grouped.agg(mean="mean", deviation="std", n="count").reset_index()
