"""Figures of the published grid."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pinn_scaling import published
from pinn_scaling.experiments.appearance import (
    ACTIVATIONS,
    PROBLEMS,
    PUBLISHED,
    against_kappa,
    bands,
    exponents,
    kappa_axis,
    seeds,
    width_color,
)
from pinn_scaling.experiments.decay import SMOOTH
from pinn_scaling.experiments.published import NONLINEAR
from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results


def draw(results: Results) -> dict[str, Figure]:
    """Those of the paper (errors, exponents, widths, control), and fidelity, noise, bands, ReLU."""
    table = results.table.astype({"error": float})
    problems = [pde for pde in NONLINEAR if pde in set(table["pde"])]
    return {
        "fidelity": _fidelity(table),
        "errors": _errors(table, problems),
        "exponents": _exponents(table, problems),
        "widths": _widths(table, problems),
        "control": _control(table[table["pde"] == "poisson"]),
        "noise": _noise(table[table["activation"] == "tanh"]),
        "bands": _bands(results, table[table["activation"] == "tanh"], problems),
        "relu": _relu(table[(table["pde"] == "allen_cahn") & (table["activation"] == "relu")]),
    }


def _theirs(pde: str, activation: str, table: pd.DataFrame) -> pd.DataFrame:
    """Published means at the widths of the table."""
    means = published.errors(pde, activation)
    return means[means["width"].isin(table["width"])]


def _fidelity(table: pd.DataFrame) -> Figure:
    fig, ax = figure(
        "single", height=3.2,
        caption="Means over five seeds against the author's, cell by cell; grey: within a factor of 2.",
    )  # fmt: skip
    low, high = 5e-5, 3.0
    ax.fill_between([low, high], [low / 2, high / 2], [2 * low, 2 * high], color="#dddddd")
    ax.plot([low, high], [low, high], color="black", linewidth=0.8)
    for (pde, activation), own in table.groupby(["pde", "activation"]):
        ours = own.groupby(["kappa", "width"])["error"].mean()
        theirs = published.errors(pde, activation).set_index(["kappa", "width"])["err"].reindex(ours.index)
        name, color = PROBLEMS[pde]
        label, _, marker, _ = ACTIVATIONS[activation]
        ax.plot(theirs, ours, marker, color=color, markersize=3, label=f"{name}, {label}")
    ax.set(xscale="log", yscale="log", xlabel="published error", ylabel="our error", xlim=(low, high), ylim=(low, high))
    fig.legend(loc="outside lower center", ncols=2)
    return fig


def _errors(table: pd.DataFrame, problems: list[str]) -> Figure:
    fig, axes = figure(
        "double", 2, len(problems), height=4.4, squeeze=False, sharex="col",
        caption="Error against kappa, one line per width, arithmetic means over seeds as published (top: tanh, "
        "bottom: ReLU). Open markers: the author's with 16 neurons.",
    )  # fmt: skip
    for column, pde in enumerate(problems):
        for row, activation in enumerate(ACTIVATIONS):
            ax, own = axes[row, column], table[(table["pde"] == pde) & (table["activation"] == activation)]
            against_kappa(ax, own, activation)
            theirs = published.errors(pde, activation)
            theirs = theirs[theirs["width"] == 16]
            ax.plot(theirs["kappa"], theirs["err"], ACTIVATIONS[activation][2], **PUBLISHED | {"linestyle": "none"})
        axes[0, column].set(title=PROBLEMS[pde][0], xlabel="")
    axes[0, 0].set_ylabel("relative error, tanh")
    axes[1, 0].set_ylabel("relative error, ReLU")
    axes[0, 0].legend()
    return fig


def _exponents(table: pd.DataFrame, problems: list[str]) -> Figure:
    fig, axes = figure(
        "double", 1, len(problems), height=2.5, squeeze=False,
        caption="Exponent alpha of err = A N^-alpha at each kappa; means of one fit per seed with 95 % t-intervals. "
        "Open: the author's, on the means of eight widths, with 1.96 standard errors.",
    )  # fmt: skip
    for ax, pde in zip(axes[0], problems, strict=True):
        for activation, (label, color, marker, line) in ACTIVATIONS.items():
            own = table[(table["pde"] == pde) & (table["activation"] == activation)]
            if own["width"].nunique() > 1:
                exponents(ax, own, label, color=color, marker=marker, linestyle=line)
            theirs = published.ALPHA[(published.ALPHA.pde == pde) & (published.ALPHA.activation == activation)]
            ax.errorbar(
                theirs.kappa * 1.08, theirs.alpha, yerr=1.96 * theirs.se, fmt=marker, color=color,
                markerfacecolor="white", markersize=3, elinewidth=0.6, alpha=0.7, label=f"{label}, published",
            )  # fmt: skip
        kappa_axis(ax, theirs.kappa)
        ax.set_title(PROBLEMS[pde][0])
    axes[0, 0].set_ylabel(r"$\alpha(\kappa)$")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


def _widths(table: pd.DataFrame, problems: list[str]) -> Figure:
    fig, axes = figure(
        "double", 1, len(problems), height=2.5, squeeze=False,
        caption="Error against width at the middle kappa, one dot per seed and geometric means. Open: the author's "
        "arithmetic means.",
    )  # fmt: skip
    for ax, pde in zip(axes[0], problems, strict=True):
        kappas = sorted(table[table["pde"] == pde]["kappa"].unique())
        kappa = kappas[len(kappas) // 2]
        for activation, (label, color, marker, line) in ACTIVATIONS.items():
            own = table[(table["pde"] == pde) & (table["activation"] == activation) & (table["kappa"] == kappa)]
            seeds(
                ax,
                sorted(table["width"].unique()),
                own,
                "error",
                color=color,
                marker=marker,
                linestyle=line,
                label=label,
            )
            theirs = _theirs(pde, activation, own)
            theirs = theirs[theirs["kappa"] == kappa]
            ax.plot(theirs["width"], theirs["err"], marker, **PUBLISHED | {"color": color})
        ax.set_title(f"{PROBLEMS[pde][0]}, " + rf"$\kappa$ = {kappa:g}")
    axes[0, 0].set_ylabel("relative error")
    axes[0, 0].legend()
    return fig


def _control(table: pd.DataFrame) -> Figure:
    fig, (left, right) = figure(
        "double", 1, 2, height=2.6,
        caption="Poisson, the linear control. Left: error against width with the author's means (open) and the lines "
        "N^-1/2 and N^-1 from his first one. Right: training loss; with ReLU it stays at 1/2.",
    )  # fmt: skip
    widths = sorted(table["width"].unique())
    for activation, (label, color, marker, line) in ACTIVATIONS.items():
        own = table[table["activation"] == activation]
        style = {"color": color, "marker": marker, "linestyle": line, "label": label}
        seeds(left, widths, own, "error", **style)
        seeds(right, widths, own, "training_loss", **style)
        theirs = _theirs("poisson", activation, own)
        left.plot(theirs["width"], theirs["err"], marker, **PUBLISHED | {"color": color})
    first = published.errors("poisson", "tanh")["err"].iloc[0]
    for rate, line in ((0.5, "-."), (1.0, ":")):
        ends = np.array([widths[0], widths[-1]])
        left.plot(ends, first * (ends / 16) ** -rate, color="#888888", linestyle=line, label=f"$N^{{-{rate:g}}}$")
    right.axhline(0.5, color="black", linewidth=0.8)
    left.set_ylabel("relative error")
    right.set_ylabel("training loss")
    left.legend(ncols=2)
    return fig


def _noise(table: pd.DataFrame) -> Figure:
    problems = [pde for pde in SMOOTH if pde in set(table["pde"])]
    fig, axes = figure(
        "double", 1, len(problems), height=2.5, squeeze=False,
        caption="Last iterate and averaged weights where Adam solves the problem, geometric means over seeds and "
        "kappas; bars: from the smallest to the largest error logged in the last 5000 steps (means alike).",
    )  # fmt: skip
    for ax, pde in zip(axes[0], problems, strict=True):
        own = table[(table["pde"] == pde) & table["kappa"].isin(SMOOTH[pde])]
        names = ["error", "ema_error", "lowest_error", "highest_error"]
        means = np.exp(np.log(own[names].astype(float)).groupby(own["width"]).mean())
        ax.vlines(means.index, means["lowest_error"], means["highest_error"], color="#aaaaaa", linewidth=4)
        ax.plot(means.index, means["error"], "o-", color=PALETTE[1], label="last iterate (published)")
        ax.plot(means.index, means["ema_error"], "o-", color=PALETTE[4], label="averaged weights")
        ax.set(title=PROBLEMS[pde][0], xscale="log", yscale="log", xlabel="N")
        ax.set_xticks(means.index, [f"{width:g}" for width in means.index])
        ax.minorticks_off()
    axes[0, 0].set_ylabel("relative error")
    axes[0, 0].legend()
    return fig


def _bands(results: Results, table: pd.DataFrame, problems: list[str]) -> Figure:
    fig, axes = figure(
        "double", 1, len(problems), height=2.8, squeeze=False, sharey=True,
        caption="Relative error per band of frequencies along x, widest network, tanh. Spectral bias rises to the "
        "right; a solution that is wrong as a whole is flat near 1.",
    )  # fmt: skip
    for ax, pde in zip(axes[0], problems, strict=True):
        bands(ax, results, table[table["pde"] == pde])
        ax.set_title(PROBLEMS[pde][0])
    axes[0, 0].set_ylabel("relative error")
    return fig


def _relu(table: pd.DataFrame) -> Figure:
    fig, ax = figure(
        "single",
        caption="ReLU on Allen-Cahn: errors, one line per width, and the distance from u* of the solution without "
        "diffusion (black), which is what a network without a second derivative is trained on.",
    )  # fmt: skip
    for width, own in table.groupby("width"):
        mean = own.groupby("kappa")["error"].mean()
        ax.plot(mean.index, mean, "s:", color=width_color(width), label=f"N = {width}")
    if "without_diffusion" in table:
        distance = table.groupby("kappa")["without_diffusion"].first().astype(float)
        ax.plot(distance.index, distance, color="black", label="without diffusion")
    kappa_axis(ax, table["kappa"])
    ax.set(yscale="log", ylabel="relative error")
    ax.legend()
    return fig
