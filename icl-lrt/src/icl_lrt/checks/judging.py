"""What the checks share: which rows they judge, and how values are shown."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from repro_shared.judging import per_seed
from repro_shared.results import Results


def rows(results: dict[str, Results], experiment: str, **where) -> pd.DataFrame:
    """The rows with these settings: those of the published training if there are any, else ours. What was measured of
    a network whose training diverged is missing.
    """
    held = results[experiment]
    faithful = held.table["method"] == "faithful"
    kept = faithful if faithful.any() else ~faithful
    for name, value in where.items():
        kept &= held.table[name] == value
    table = held.table[kept]
    lost = table["diverged"].astype(bool)
    if lost.any():
        measured = [name for name in table if name not in ("cell", "diverged", *held.labels)]
        table = table.astype(dict.fromkeys(measured, float))
        table.loc[lost, measured] = np.nan
    return table


def seeds(table: pd.DataFrame, column: str) -> pd.Series:
    """A column by seed; missing where one of its rows is."""
    return per_seed(table[column].astype(float), table["seed"], "mean")


def points(values: pd.Series) -> pd.Series:
    """Shares in percentage points."""
    return 100 * values


def shown(values: Iterable[float], digits: int = 3) -> str:
    """Values for a sentence."""
    return ", ".join(f"{value:.{digits}f}" for value in values)
