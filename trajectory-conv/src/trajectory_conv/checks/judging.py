"""Tolerances, replays and means over designs; the rest of judging is `repro_shared.judging`'s."""

import numpy as np
import pandas as pd

from repro_shared.claims import Finding
from repro_shared.judging import per_seed
from trajectory_conv.experiments.appearance import design_label

TOLERANCE = 1e-6
TIGHT = 1.1
"""Within 10 %: what we call the same, or tight."""

Number = int | float | np.number | np.bool_ | None
"""Entry of a table or of a published list; None: not reached."""


def agreement(pairs: list[tuple[Number, Number, float]], expected: int, why: str) -> Finding:
    """Replayed numbers against published ones, each with its relative tolerance: how many differ.

    None that differs supports the claim only if as many as `expected` could be compared.
    """
    if not pairs:
        return Finding(None, None, None, 0, "inconclusive", "The authors' data were not replayed at full size.")
    differing = 0
    for ours, theirs, tolerance in pairs:
        ours, theirs = (None if value is None or pd.isna(value) else float(value) for value in (ours, theirs))
        if ours is None or theirs is None:
            differing += ours is not theirs
        else:
            differing += abs(ours - theirs) > tolerance * max(abs(theirs), 1e-300)
    verdict = "contradicted" if differing else "supported"
    if len(pairs) != expected:
        why = f"{why} {len(pairs)} numbers could be compared, not all {expected}, which supports nothing."
        verdict = "contradicted" if differing else "inconclusive"
    return Finding(float(differing), None, None, len(pairs), verdict, why)


def geometric(table: pd.DataFrame, values: pd.Series) -> pd.Series:
    """Geometric mean over the values of each seed (rows of `table` by index); missing where one of them is."""
    return np.exp(per_seed(np.log(values.astype(float)), table["seed"], "mean"))


def by_design(table: pd.DataFrame, ratio: pd.Series) -> str:
    """Geometric means per design, for people."""
    groups = np.log(ratio).groupby(table["designs"], sort=False).mean()
    return ", ".join(f"{design_label(name)} {np.exp(mean):.2g}" for name, mean in groups.items())
