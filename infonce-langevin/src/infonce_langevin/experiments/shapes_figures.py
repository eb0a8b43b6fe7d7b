"""Figures of schedule shapes at an equal end point."""

import numpy as np
from matplotlib.figure import Figure

from infonce_langevin.experiments.appearance import SHAPES, mean_of, seeds
from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results


def draw(results: Results) -> dict[str, Figure]:
    """Whichever parts there are."""
    parts = set(results.table["part"])
    return {name: of(results) for name, of in {"exact": _exact, "budget": _budget}.items() if name in parts}


def _exact(results: Results) -> Figure:
    table = results.table[results.table["part"] == "exact"]
    table = table[table["size"] == table["size"].max()]
    fig, ax = figure(
        "single",
        caption="Exact probability not to be in the trap of the anchor on the circle at the time T, from the uniform "
        "law, "
        "by the shape of a schedule that ends at beta_T. At an equal end point the logarithm cools fastest at first, "
        "and "
        f"is the worst shape but for a fixed beta. Grid of {table['size'].max()} nodes.",
    )
    settings = list(dict.fromkeys(zip(table["horizon"], table["end"], strict=True)))
    for place, (name, rows) in enumerate(table.groupby("kind", sort=False)):
        label, color, _ = SHAPES[name]
        at = np.arange(len(settings)) + 0.1 * (place - 3.5)
        heights = [rows.loc[(rows["horizon"] == t) & (rows["end"] == b), "success"].mean() for t, b in settings]
        ax.bar(at, heights, 0.1, color=color, label=label)
    ax.set(ylabel="probability of success", ylim=(0.7, 1.0))
    ax.set_xticks(range(len(settings)), [f"T = {t:g}\n$\\beta_T$ = {b:g}" for t, b in settings])
    ax.legend(ncols=2, loc="upper center", bbox_to_anchor=(0.5, 1.35))
    return fig


def _budget(results: Results) -> Figure:
    table = results.table[results.table["part"] == "budget"]
    kinds = list(dict.fromkeys(table["kind"]))
    fig, ax = figure(
        "single",
        caption="Share of chains that are not in the trap at the end, each with the same number of steps: one "
        "annealing, "
        f"the best of four short ones, four tempered replicas. {seeds(table)}",
    )
    means, low, high = np.array([mean_of(table.loc[table["kind"] == kind, "success"]) for kind in kinds]).T
    ax.barh(kinds, means, color=PALETTE[0], xerr=np.nan_to_num([means - low, high - means]), capsize=2)
    ax.set(xlabel="share of successes", xlim=(0.7, 1.0))
    ax.invert_yaxis()
    return fig
