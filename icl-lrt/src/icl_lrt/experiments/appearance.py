"""What the figures share: one name and one colour per task, rule and row, and how means over seeds are drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import offset_copy

from repro_shared.claims import mean_interval
from repro_shared.plotting import PALETTE

TASKS = {"A": ("task A, shifted mean", PALETTE[0]), "B": ("task B, variance", PALETTE[1])}
"""Task -> name and colour."""
RULES = {
    "network": ("network", PALETTE[0], "o-"),
    "centred": ("network, centred inputs", PALETTE[2], "s-"),
    "bayes": ("Bayes predictive", PALETTE[6], "--"),
    "plugin": ("plug-in rule", PALETTE[4], "v-"),
    "oracle": ("oracle", "#888888", ":"),
}
"""Rule -> name, colour, and marker with line."""
ROWS = {
    "task_A_regular": "regular",
    "task_B_regular": "regular, task B",
    "task_A_OOD": "chosen at sigma_k = 9",
    "no_pos": "no positions",
    "frozen_pos": "frozen positions",
    "shuffled_context": "shuffled context",
    "context_increase": "64 positions, 32 points",
    "context_increase_repaired": "64 points (ours)",
    "noisy_labels_p0.1": "label noise .1",
    "noisy_labels_p0.2": "label noise .2",
    "noisy_labels_p0.4": "label noise .4",
    "interleaved": "interleaved",
    "frozen_qk": "frozen Q, K",
    "frozen_attention": "frozen attention",
    "shuffled_labels": "shuffled labels",
    "no_labels": "no labels",
}
"""Published row (and ours) -> name, in the order of figures."""
SIZES = {"published": "published size", "small": "d = 8, width 64", "tiny": "d = 4, 16 points, width 32"}
METHODS = {"multi_query": "32 queries a context", "faithful": "published training"}
REFERENCE = {"color": "black", "linewidth": 0.8}
"""Style of the line at chance, 1 or 0."""
PUBLISHED = {
    "color": "black",
    "marker": "D",
    "markerfacecolor": "white",
    "markersize": 4,
    "linestyle": "none",
    "zorder": 5,
}
"""Style of the authors' numbers."""
SEEDS = "Means over seeds with 95 % t-intervals, one pale dot per seed."


def standard(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the published training if there are any, else ours."""
    faithful = table["method"] == "faithful"
    return table[faithful] if faithful.any() else table


def networks(table: pd.DataFrame) -> str:
    """A sentence for captions: which networks, how trained, and how many seeds."""
    first, seeds = table.iloc[0], table["seed"].nunique()
    trained = f"{SIZES[first['size']]}, {METHODS[first['method']]}"
    return f"Networks: {trained}, {seeds} seed{'s' if seeds > 1 else ''}."


def numbers(values) -> np.ndarray:
    """The values that were measured."""
    return pd.Series(values, dtype=float).dropna().to_numpy()


def mean_of(values) -> tuple[float, float, float]:
    """Mean with its 95 % t-interval; no interval for one value, NaN for none."""
    values = numbers(values)
    if not len(values):
        return np.nan, np.nan, np.nan
    mean, low, high = mean_interval(values)
    return (mean, low, high) if len(values) > 1 else (mean, np.nan, np.nan)


def interval_points(ax: Axes, place, samples: list, color: str, style: str = "o", **line) -> None:
    """Means with 95 % t-intervals at `place`, joined if `style` has a line, and a pale dot for each seed."""
    means, low, high = np.array([mean_of(values) for values in samples]).T
    reach = np.array([means - low, high - means])
    ax.errorbar(place, means, yerr=np.nan_to_num(reach), fmt=style, color=color, capsize=2, elinewidth=0.9, **line)
    for x, values in zip(place, samples, strict=True):
        held = numbers(values)
        if len(held) > 1:
            beside = offset_copy(ax.transData, fig=ax.figure, x=3, units="points")
            ax.plot(np.full(len(held), x), held, "o", color=color, alpha=0.45, markersize=1.8, markeredgewidth=0,
                    transform=beside)  # fmt: skip
