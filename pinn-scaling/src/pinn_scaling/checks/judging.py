"""Rows of a study, fits per seed, and ratios; the rest of judging is `repro_shared.judging`'s."""

import numpy as np
import pandas as pd

from pinn_scaling.regression import ols
from pinn_scaling.scaling import designs
from repro_shared.judging import per_seed
from repro_shared.runlog import Results

STEPS = 25_000
"""Of the published runs; shorter ones are not compared with published numbers."""


def rows(results: dict[str, Results], experiment: str, pde: str, activation: str = "tanh") -> pd.DataFrame:
    """The runs of one problem and activation; empty where there are none."""
    if experiment not in results or results[experiment].table.empty:
        return pd.DataFrame(columns=["pde", "activation", "width", "kappa", "seed", "error", "steps"])
    table = results[experiment].table
    return table[(table["pde"] == pde) & (table["activation"] == activation)]


def fits(table: pd.DataFrame, error: str = "error") -> pd.DataFrame:
    """One fit per seed: alpha and, with several kappas, gamma (separable) and b_Nkappa (interaction). NaN for a seed
    with a run that diverged or is not there.
    """
    names = ["alpha", "gamma", "b_Nkappa"]
    found, cells = {}, len(table[["width", "kappa"]].drop_duplicates())
    for seed, own in table.groupby("seed"):
        width, kappa, err = (own[name].to_numpy(float) for name in ("width", "kappa", error))
        found[seed] = dict.fromkeys(names, np.nan)
        if len(own) < cells or not np.isfinite(err).all() or len(np.unique(width)) < 2:
            continue
        if len(np.unique(kappa)) < 2:
            found[seed]["alpha"] = -np.polyfit(np.log(width), np.log(err), 1)[0]
            continue
        models = designs(width, kappa)
        separable, interaction = (ols(*models[name], np.log(err)) for name in ("separable", "interaction"))
        found[seed] = {
            "alpha": separable["alpha"], "gamma": separable["gamma"], "b_Nkappa": interaction["b_Nkappa"]
        }  # fmt: skip
    return pd.DataFrame.from_dict(found, orient="index", columns=names)


def widths_of(table: pd.DataFrame) -> str:
    """Which widths were fitted, for people."""
    return "N = " + ", ".join(f"{width:g}" for width in sorted(table["width"].unique()))


def geometric(values: pd.Series, seeds: pd.Series) -> pd.Series:
    """Geometric mean over the values of each seed; missing where one of them is."""
    return np.exp(per_seed(np.log(values.astype(float)), seeds, "mean"))
