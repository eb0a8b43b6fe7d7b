"""What the figures share: names and colours, and how means over seeds are drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from repro_shared.claims import mean_interval
from repro_shared.plotting import PALETTE

SHAPES = {
    "log": ("log", PALETTE[0], "o-"),
    "sqrt": ("sqrt", PALETTE[1], "s-"),
    "linear": ("linear", PALETTE[2], "v-"),
    "cosine": ("cosine", PALETTE[3], "^-"),
    "exponential": ("exponential", PALETTE[4], "d-"),
    "adaptive": ("adaptive (ours)", PALETTE[5], "p-"),
    "adaptive, relaxing": ("adaptive, relaxing (ours)", PALETTE[7], "h-"),
    "fixed": ("fixed", PALETTE[6], "x:"),
}
"""Schedule -> name, colour, and marker with line."""
REFERENCE = {"color": "black", "linewidth": 0.8, "linestyle": "--"}
"""Style of exact values and limits."""
PUBLISHED = {
    "color": "black",
    "marker": "D",
    "markerfacecolor": "white",
    "markersize": 4,
    "linestyle": "none",
    "zorder": 5,
}
"""Style of the author's numbers."""


def seeds(table: pd.DataFrame) -> str:
    """A sentence for captions: what the intervals are over."""
    count = table["seed"].nunique()
    return f"Means over seeds with 95 % t-intervals, {count} seed{'s' if count > 1 else ''}."


def mean_of(values) -> tuple[float, float, float]:
    """Mean with its 95 % t-interval; no interval for one value, NaN for none."""
    values = pd.Series(values, dtype=float).dropna().to_numpy()
    if not len(values):
        return np.nan, np.nan, np.nan
    mean, low, high = mean_interval(values)
    return (mean, low, high) if len(values) > 1 else (mean, np.nan, np.nan)


def line(ax: Axes, table: pd.DataFrame, x: str, y: str, color: str, style: str = "o-", **options) -> None:
    """Means of y over the rows with the same x, with intervals."""
    by = {place: mean_of(held[y]) for place, held in table.groupby(x)}
    means, low, high = np.array(list(by.values())).T
    reach = np.nan_to_num([means - low, high - means])
    ax.errorbar(list(by), means, yerr=reach, fmt=style, color=color, capsize=2, elinewidth=0.9, **options)
