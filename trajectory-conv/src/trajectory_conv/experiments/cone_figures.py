"""Figures of the cone study."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results
from trajectory_conv.experiments.appearance import METHODS, design_label, design_styles, interval_bars, own, replayed


def draw(results: Results) -> dict[str, Figure]:
    """The path in the authors' data; percentages and identification over our seeds."""
    return {"cone": _path(replayed(results.curves), results.table), "identification": _seeds(own(results.table))}


def _path(curves: pd.DataFrame, table: pd.DataFrame) -> Figure:
    fig, axes = figure(
        "double", 3, 2, height=5.6, sharex=True, sharey="row",
        caption="Cone ratio, support size and Jaccard index with the optimum's support along the path, on the authors' "
        "data. Dotted: a = 1 and a = 3, and the target's sparsity. Ratios below 1e-6 are not shown.",
    )  # fmt: skip
    styles = design_styles(list(dict.fromkeys(curves["designs"])))
    for column, algorithm in zip(axes.T, ("ista", "fista"), strict=True):
        for name, style in styles.items():
            rows = curves[(curves["designs"] == name) & (curves["algorithm"] == algorithm)]
            ratio = rows["ratio"].where(rows["ratio"] > 0)
            for ax, values in zip(column, (ratio, rows["size"], rows["jaccard"]), strict=True):
                ax.plot(rows["step"] + 1, values, label=design_label(name), **style)
        for level in (1, 3):
            column[0].axhline(level, color="black", linestyle=":", linewidth=0.8)
        column[1].axhline(table["s"].iloc[0], color="black", linestyle=":", linewidth=0.8)
        column[0].set(title=METHODS[algorithm][0], xscale="log", yscale="log", ylim=(1e-6, 10))
        column[1].set(yscale="log", ylim=(table["s"].iloc[0] / 2, None))
        column[2].set(xlabel="iteration k + 1")
    for ax, label in zip(axes[:, 0], ("cone ratio", "support size", "Jaccard index"), strict=True):
        ax.set_ylabel(label)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


def _seeds(table: pd.DataFrame) -> Figure:
    """Percent of iterates in the a = 1 cone before identification, and first / permanent identification."""
    fig, axes = figure(
        "double", 1, 2, height=2.8,
        caption="Left: share of the iterates before first identification that lie in the cone with a = 1 (all lie in "
        "that with a = 3). Right: iteration of first (filled) and permanent (open) identification; one mark per seed, "
        "none where the 2,000 iterations were not enough. Means with 95 % t-intervals on the left, cut off at 100 %.",
    )  # fmt: skip
    names = list(dict.fromkeys(table["designs"]))
    for shift, algorithm in ((-0.15, "ista"), (0.15, "fista")):
        label, color = METHODS[algorithm]
        rows = {name: table[(table["designs"] == name) & (table["algorithm"] == algorithm)] for name in names}
        place = np.arange(len(names)) + shift
        samples = [rows[name]["within_1_before"].tolist() for name in names]
        interval_bars(axes[0], place, samples, most=100.0, color=color)
        axes[0].plot([], [], "o", color=color, label=label)
        for x, name in zip(place, names, strict=True):
            for column, face in (("first", color), ("permanent", "none")):
                values = rows[name][column].dropna().astype(float)
                size = 2.5 if column == "first" else 5
                axes[1].plot([x] * len(values), values + 1, "o", color=color, markerfacecolor=face, markersize=size)
    axes[0].set_ylabel("% of iterates with ratio ≤ 1,\nbefore identification")
    axes[1].set(yscale="log", ylabel="iteration of identification + 1")
    for ax in axes:
        ax.set_xticks(range(len(names)), [design_label(name) for name in names], rotation=40, ha="right")
    axes[0].legend(loc="lower right")
    axes[1].plot([], [], "o", color=PALETTE[6], markersize=2.5, label="first")
    axes[1].plot([], [], "o", color=PALETTE[6], markerfacecolor="none", markersize=5, label="permanent")
    axes[1].legend(loc="upper left")
    return fig
