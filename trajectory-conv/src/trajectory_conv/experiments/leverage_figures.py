"""Figures of cross-leverage."""

import pandas as pd
from matplotlib.figure import Figure

from repro_shared.plotting import PALETTE, band, figure
from repro_shared.runlog import Results

LABELS = {"synthetic": "synthetic", "breast_cancer": "breast cancer", "arcene": "ARCENE", "golub": "Golub"}


def draw(results: Results) -> dict[str, Figure]:
    """Histograms, and what pruning does, per data set and alpha."""
    table = results.table
    return {"leverage": _histograms(results, table), "pruning": _pruning(table)}


def _groups(table: pd.DataFrame):
    return list(table.groupby(["data", "alpha"], sort=False))


def _histograms(results: Results, table: pd.DataFrame) -> Figure:
    groups = _groups(table[table["tau"] == 1])
    fig, axes = figure(
        "double", 1, len(groups), height=2.2, squeeze=False,
        caption="Cross-leverage of the inactive features, first seed. Synthetic columns are not normalised, as in the "
        "authors' script: values above 1 occur.",
    )  # fmt: skip
    for ax, ((data, alpha), rows) in zip(axes[0], groups, strict=True):
        ax.hist(results.array(rows.iloc[0], "leverage"), bins=50, color=PALETTE[0])
        ax.set(title=f"{LABELS[data]}\n" + rf"$\alpha$ = {alpha:g}", xlabel=r"$h_j$", xlim=(0, 1.2))
        ax.set_yticks([])
    return fig


def _pruning(table: pd.DataFrame) -> Figure:
    groups = _groups(table)
    fig, axes = figure(
        "double", 2, len(groups), height=4.0, sharex=True, squeeze=False,
        caption="Dropping inactive features with h_j > tau (solid) and as many at random (dashed), over the full "
        "problem. Top: ISTA iterations to a gap of 1e-8 and, dotted, L, which explains them. Bottom: the 2-norm "
        "constant. Means with 95 % t-intervals over seeds; one with a run that does not get to the gap is left out of "
        "the iterations. The solution is the same everywhere.",
    )  # fmt: skip
    for (top, bottom), ((data, alpha), rows) in zip(axes.T, groups, strict=True):
        for ax, name, color in ((top, "steps", PALETTE[0]), (top, "lipschitz", PALETTE[2]), (bottom, "h2", PALETTE[1])):
            for column, line in ((name, "-" if name != "lipschitz" else ":"), (f"random_{name}", "--")):
                if name == "lipschitz" and column.startswith("random"):
                    continue
                by_seed = rows.pivot_table(index="seed", columns="tau", values=column, aggfunc="first").astype(float)
                if 1.0 not in by_seed:  # no run of the full problem got there
                    continue
                share = by_seed.div(by_seed[1.0], axis=0).dropna()
                if len(share):
                    band(ax, share.columns, share, color=color, linestyle=line)
        top.set_title(f"{LABELS[data]}\n" + rf"$\alpha$ = {alpha:g}")
        bottom.set_xlabel(r"threshold $\tau$")
        for ax in (top, bottom):
            ax.set_ylim(0, 1.1)
    axes[0, 0].set_ylabel("iterations, share")
    axes[1, 0].set_ylabel("$H_2$, share")
    styles = {
        r"$h_j > \tau$ dropped": {"color": "black"},
        "as many at random": {"color": "black", "linestyle": "--"},
        "$L$ (top)": {"color": PALETTE[2], "linestyle": ":"},
    }
    handles = [axes[0, 0].plot([], [], label=label, **style)[0] for label, style in styles.items()]
    fig.legend(handles=handles, loc="outside lower center", ncols=3)
    return fig
