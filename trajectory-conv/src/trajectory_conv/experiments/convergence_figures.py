"""Figures of the study of ISTA's speed."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results
from trajectory_conv.experiments.appearance import design_label, design_styles, own, replayed

SOLVERS = {
    "lasso": "LASSO",
    "elastic_net": "elastic net",
    "adaptive_lasso": "adaptive LASSO",
    "adaptive_elastic_net": "adaptive elastic net",
}


def draw(results: Results) -> dict[str, Figure]:
    """One figure per part, and steps against the condition number of the final face."""
    drawn = {}
    for part, form in (("rip", _rip), ("spiked", _spiked)):
        curves = results.curves[results.curves["part"] == part]
        if len(curves):
            drawn[part] = form(replayed(curves))
    drawn["condition"] = _condition(results.table)
    return drawn


def _rip(curves: pd.DataFrame) -> Figure:
    fig, ax = figure(
        "double", height=3.2,
        caption="Gap of ISTA to the certified optimum on nine designs. Solid blue: those the authors count as RIP; "
        "dashed red: the others.",
    )  # fmt: skip
    names = list(dict.fromkeys(curves["designs"]))
    for name, style in design_styles(names).items():
        rows = curves[curves["designs"] == name]
        ax.semilogy(rows["step"] + 1, rows["gap"], label=design_label(name), **style)
    ax.set(xlabel="iteration k + 1", ylabel=r"$F(x_k) - F^*$", xscale="log", ylim=(1e-16, 30))
    ax.legend(loc="lower left", ncols=2)
    return fig


def _spiked(curves: pd.DataFrame) -> Figure:
    fig, axes = figure(
        "double", 2, 2, height=4.4, sharex=True, sharey=True,
        caption="Gap of ISTA to the certified optimum on spiked designs of growing correlation rho, four penalties; "
        "floored at 1e-16.",
    )  # fmt: skip
    rho = curves["designs"].str.removeprefix("spiked_").astype(float)
    levels = sorted(set(rho))
    colors = dict(zip(levels, matplotlib.colormaps["plasma"](np.linspace(0, 0.9, len(levels))), strict=True))
    for ax, (solver, title) in zip(axes.flat, SOLVERS.items(), strict=True):
        for level in levels:
            rows = curves[(curves["solver"] == solver) & (rho == level)]
            ax.semilogy(rows["step"] + 1, rows["gap"].clip(lower=1e-16), color=colors[level], label=f"{level:g}")
        ax.set(title=title, xscale="log", ylim=(3e-17, 30))
    for ax in axes[:, 0]:
        ax.set_ylabel(r"$F(x_k) - F^*$")
    for ax in axes[1]:
        ax.set_xlabel("iteration k + 1")
    fig.legend(
        *axes[0, 0].get_legend_handles_labels(), title=r"correlation $\rho$", loc="outside lower center", ncols=7
    )
    return fig


def _condition(table: pd.DataFrame) -> Figure:
    """Steps to 1e-6 against L / mu_S, all designs, penalties and seeds."""
    fig, ax = figure(
        "single", height=3.0,
        caption="Iterations of ISTA to a gap of 1e-6 against the condition number of the final face, all runs. Open "
        "triangles: runs that do not get there, at the iterations that they were given. Line: what the local objective "
        "rate alone would need for six digits.",
    )  # fmt: skip
    mine = own(table)
    condition, steps = mine["condition"].astype(float), mine["steps_1e-06"].astype(float)
    late = steps.isna()
    for part, label, marker, color in (
        ("rip", "LASSO, nine designs", "o", PALETTE[0]),
        ("spiked", "spiked, four penalties", "x", PALETTE[1]),
    ):
        rows = mine["part"] == part
        ax.loglog(condition[rows & ~late], steps[rows & ~late], marker, label=label, alpha=0.6, color=color)
        ax.loglog(
            condition[rows & late], mine["iterations"][rows & late], "^", color=color, markerfacecolor="none",
            alpha=0.6, label=f"{label}: not reached" if (rows & late).any() else None,
        )  # fmt: skip
    ends = np.array([3.0, condition.max()])
    ax.loglog(ends, np.log(1e6) / (-2 * np.log1p(-1 / ends)), color="black", linewidth=1, label="local rate alone")
    ax.set(xlabel=r"$L / \mu_S$ of the optimum's face", ylabel="iterations to a gap of $10^{-6}$")
    ax.legend(loc="upper left", fontsize=6)
    return fig
