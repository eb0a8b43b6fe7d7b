"""Figures of the study of exact codes."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aen_sae.exact_code import lipschitz_bound
from aen_sae.experiments.appearance import COLORS, LABELS
from repro_shared.claims import mean_interval
from repro_shared.plotting import PALETTE, figure, heat_map
from repro_shared.runlog import Results

QUOTIENTS = {
    "local_worst": ("local constant", PALETTE[0], "o-"),
    "adversarial_pairs": ("pairs, worst direction", PALETTE[1], "x"),
    "random_pairs": ("pairs, random direction", PALETTE[2], "s-"),
    "far_pairs": ("pairs of samples", PALETTE[3], "^-"),
}
"""What is compared with the bound: label, colour, line."""


def draw(results: Results) -> dict[str, Figure]:
    """One figure per part; further sizes n and exponents gamma than the first have figures of their own."""
    drawn = {}
    for part, name, form in (
        ("lipschitz", "lipschitz", _lipschitz),
        ("support", "global_support", _support),
        ("irc", "irrepresentable", _irrepresentable),
    ):
        rows = results.table[(results.table["part"] == part) & (results.table["l1"] == 0.1)]
        for i, ((n, gamma), group) in enumerate(rows.groupby(["n", "gamma"])):
            drawn[name if i == 0 else f"{name}_n{n}_gamma{gamma:g}"] = form(group)
    return drawn


def _lipschitz(rows: pd.DataFrame) -> Figure:
    """(d): the largest quotients, the local constants and the bound against a2, one panel per coherence."""
    coherences = sorted(rows["rho"].unique())
    fig, axes = figure(
        "double", 1, len(coherences), height=2.5, sharey=True, squeeze=False,
        caption="How far exact codes move per distance of the input, against the l2 penalty: largest over samples and "
        "seeds. The bound 1 / (2 sqrt(a2)) holds for every dictionary; without the l2 term (dotted) there is none.",
    )  # fmt: skip
    for ax, rho in zip(axes[0], coherences, strict=True):
        worst = rows[rows["rho"] == rho].groupby("l2")[list(QUOTIENTS)].max()
        positive = worst[worst.index > 0]
        grid = np.geomspace(positive.index.min() / 1.5, positive.index.max() * 1.5)
        ax.loglog(grid, [lipschitz_bound(l2) for l2 in grid], color="black", linewidth=1, label="bound")
        for column, (label, color, line) in QUOTIENTS.items():
            ax.plot(positive.index, positive[column], line, color=color, label=label, zorder=3 if line == "x" else 2)
        if 0 in worst.index:
            ax.axhline(worst.loc[0, "local_worst"], color=PALETTE[0], linestyle=":", label="local constant, $a_2 = 0$")
        ax.set(title=f"coherence $\\rho$ = {rho:g}", xlabel="l2 penalty $a_2$", yticks=[0.3, 0.5, 1, 2, 3, 5, 10])
        ax.yaxis.set_major_formatter("{x:g}")
        ax.minorticks_off()
    axes[0, 0].set_ylabel(r"$\|\Delta h\| \, / \, \|\Delta x\|$")
    fig.legend(*axes[0, -1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


def _support(rows: pd.DataFrame) -> Figure:
    """(e): per-sample and global support and amplitudes per method and coherence."""
    used, outside = rows["used"].iloc[0], rows["d"].iloc[0] - rows["used"].iloc[0]
    panels = {
        "off_support_latents": f"latents outside S that fire (of {outside})",
        "off_support_share": "share of activations outside S",
        "f1": "support F1 per sample",
        "amplitude_ratio": "recovered / true amplitude",
    }
    fig, axes = figure(
        "double", 2, 2, height=4.2, sharex=True,
        caption=f"Exact codes on a dictionary of which only the {used} atoms of S are used. Top: latents that should "
        "stay silent on all samples; bottom: each sample's support and amplitudes. Means, 95 % t-intervals over seeds.",
    )  # fmt: skip
    for ax, (metric, title) in zip(axes.flat, panels.items(), strict=True):
        _bars(ax, rows, metric)
        ax.set_title(title)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


def _bars(ax: Axes, rows: pd.DataFrame, metric: str) -> None:
    """Bars of the methods side by side, one group per coherence."""
    coherences = sorted(rows["rho"].unique())
    methods = [method for method in LABELS if method in set(rows["method"])]
    for i, method in enumerate(methods):
        by_rho = rows[rows["method"] == method].groupby("rho")[metric]
        mean, low, high = np.array([mean_interval(by_rho.get_group(rho)) for rho in coherences]).T
        spread = np.nan_to_num([mean - low, high - mean], posinf=0)  # a single seed has no interval
        place = np.arange(len(coherences)) + 0.2 * (i - (len(methods) - 1) / 2)
        bars = ax.bar(place, mean, 0.18, yerr=spread, color=COLORS[method], label=LABELS[method], ecolor="#444444")
        ax.bar_label(bars, ["0" if value == 0 else "" for value in mean], fontsize=6, color=COLORS[method])
    ax.set_xticks(np.arange(len(coherences)), [f"$\\rho$ = {rho:g}" for rho in coherences])
    ax.grid(False, axis="x")


def _irrepresentable(rows: pd.DataFrame) -> Figure:
    """Solved recovery (colour) and the closed form's boundary (line) over (rho, a2) and (rho, omega)."""
    weighted = rows.groupby("cell")["weight_off"].transform("nunique") > 1
    fig, axes = figure(
        "double", 1, 2, height=2.7,
        caption="Share of samples whose support the exact coding map finds (colour) and where the closed form of the "
        f"irrepresentable condition predicts one half (line). All pairwise cosines are rho, "
        f"{rows['active'].iloc[0]} atoms are active; on the right a2 = {rows[weighted]['l2'].iloc[0]:g}. "
        f"Condition and solver agree on {int(rows['agree'].sum()):,} of {int(rows['samples'].sum()):,} samples.",
    )  # fmt: skip
    for ax, part, field, label in (
        (axes[0], rows[~weighted], "l2", "l2 penalty $a_2$ ($\\omega = 1$)"),
        (axes[1], rows[weighted], "weight_off", "weight $\\omega$ off the support"),
    ):
        solved, predicted = (part.pivot_table(share, field, "rho") for share in ("solved", "predicted"))
        ax.set_yscale("log" if field == "l2" else "linear")
        heat_map(ax, solved.columns, solved.index, solved, "samples recovered", vmin=0, vmax=1)
        ax.contour(solved.columns, solved.index, predicted, levels=[0.5], colors=PALETTE[1])
        ax.set_xlabel("pairwise cosine $\\rho$")
        ax.set_ylabel(label)
    axes[0].set_title("without weights, l2 breaks recovery")
    axes[1].set_title("weights off the support restore it")
    return fig
