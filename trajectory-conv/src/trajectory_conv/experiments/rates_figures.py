"""Figures of the decisive test: certificate, predicted rates, before and after, the restricted step."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results
from trajectory_conv.experiments.appearance import METHODS, design_label, interval_bars

SHOWN = ("gaussian", "ar1_0.7", "spiked_0.3", "power_law")
"""Designs whose trajectories are drawn (those of them that were run)."""


def draw(results: Results) -> dict[str, Figure]:
    """Trajectories of the first seed; everything else over all seeds."""
    curves = results.curves[results.curves["seed"] == results.curves["seed"].min()]
    names = [name for name in SHOWN if name in set(curves["designs"])]
    return {
        "certificate": _certificate(curves, names, results.table),
        "rates": _rates(results.table),
        "before_after": _before_after(results.table),
        "restricted_step": _restricted(curves, names, results.table),
    }


def _certificate(curves: pd.DataFrame, names: list[str], table: pd.DataFrame) -> Figure:
    fig, axes = figure(
        "double", 2, len(names), height=3.8, sharex="col", sharey="row", squeeze=False,
        caption="Top: the true gap of ISTA and the certificate of the faces visited, valid from k = 0. Bottom: its "
        "factors, the effective condition number L / mu_k of the face of x_k and, dotted, that of the optimum's face; "
        "hatched: infinite, more than n coordinates are active. x_0 = 0 has the face of the optimum (dot). Vertical: "
        "permanent identification.",
    )  # fmt: skip
    for (top, bottom), name in zip(axes.T, names, strict=True):
        rows = curves[curves["designs"] == name]
        facts = table[(table["designs"] == name) & (table["seed"] == rows["seed"].iloc[0])].iloc[0]
        top.plot(rows["step"] + 1, rows["gap_ista"], color=PALETTE[0], label="true gap")
        top.plot(rows["step"] + 1, rows["bound"], color=PALETTE[1], label="certificate")
        infinite = np.isinf(rows["condition"])
        bottom.plot(
            rows["step"] + 1, rows["condition"].mask(infinite), "o-", color=PALETTE[2], markevery=[0], markersize=3
        )
        if infinite.any():
            ends = rows["step"][infinite].min() + 0.6, rows["step"][infinite].max() + 1.4
            bottom.axvspan(
                *ends, facecolor="none", edgecolor="#999999", hatch="////", linewidth=0, label=r"$\kappa_k = \infty$"
            )
        bottom.axhline(facts["condition_end"], color="black", linestyle=":", linewidth=0.8)
        for ax in (top, bottom):
            ax.set(xscale="log", yscale="log")
            if pd.notna(facts["permanent"]):
                ax.axvline(facts["permanent"] + 1, color="#777777", linewidth=0.8)
        top.set(title=design_label(name), ylim=(1e-16, 30))
        bottom.set_xlabel("iteration k + 1")
    axes[0, 0].set_ylabel(r"$F(x_k) - F^*$")
    axes[1, 0].set_ylabel(r"$\kappa_k = L / \mu_k$")
    axes[0, 0].legend(loc="lower left")
    axes[1, 0].legend(loc="upper right")
    return fig


def _rates(table: pd.DataFrame) -> Figure:
    """Measured against predicted contraction, as 1 - r on log axes, and the ratio by design."""
    fig, (left, right) = figure(
        "double", 1, 2, height=2.8,
        caption="Left: measured 1 - r of the iterates on the final face against mu_S / L, all designs and seeds; FISTA "
        "against its own upper value 1 - sqrt(1 - mu_S / L). Right: ISTA's ratio of the two; it is never below 1.",
    )  # fmt: skip
    mu = (table["mu"] / table["lipschitz"]).astype(float)
    left.loglog(mu, 1 - table["measured_rate"].astype(float), "o", color=PALETTE[0], label=METHODS["ista"][0])
    fista = 1 - np.sqrt(1 - mu)
    left.loglog(fista, 1 - table["fista_rate"].astype(float), "^", color=PALETTE[1], label=METHODS["fista"][0])
    ends = np.array([mu.min() / 4, 0.3])
    left.loglog(ends, ends, color="black", linewidth=0.8)
    left.set(xlabel="predicted 1 - r", ylabel="measured 1 - r")
    left.legend()
    names = list(dict.fromkeys(table["designs"]))
    for x, name in enumerate(names):
        values = table[table["designs"] == name]["rate_ratio"].dropna().astype(float)
        right.plot([x] * len(values), values, "o", color=PALETTE[0], alpha=0.6)
    right.axhline(1, color="black", linewidth=0.8)
    right.set_xticks(range(len(names)), [design_label(name) for name in names], rotation=40, ha="right")
    right.set_ylabel(r"$(1 - r)\, L / \mu_S$")
    return fig


def _before_after(table: pd.DataFrame) -> Figure:
    fig, axes = figure(
        "double", 1, 2, height=2.8,
        caption="After over before permanent identification, medians along each ISTA run. Left: restricted curvature "
        "mu_k that the certificate can use; it improves, or is infinitely better where H was singular before (not "
        "drawn). Right: realised contraction L (1 - gap_{k+1} / gap_k); it need not improve. One mark per seed, means "
        "with 95 % t-intervals.",
    )  # fmt: skip
    names = list(dict.fromkeys(table["designs"]))
    ratios = {
        axes[0]: (table["mu"] / table["mu_before"].where(table["mu_before"] > 0), r"$\mu_S$ / median $\mu_k$ before"),
        axes[1]: (table["speed_after"] / table["speed_before"], "realised contraction, after / before"),
    }
    for ax, (values, label) in ratios.items():
        samples = [values[table["designs"] == name].dropna().astype(float).tolist() for name in names]
        for x, sample in enumerate(samples):
            ax.plot([x + 0.2] * len(sample), sample, ".", color="#888888", markersize=3)
        interval_bars(ax, range(len(names)), samples, color=PALETTE[0])
        ax.axhline(1, color="black", linewidth=0.8)
        ax.set(ylabel=label, yscale="log")
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("{x:g}")
        ax.tick_params(axis="y", which="minor", labelsize=5)
        ax.set_xticks(range(len(names)), [design_label(name) for name in names], rotation=40, ha="right")
    return fig


def _restricted(curves: pd.DataFrame, names: list[str], table: pd.DataFrame) -> Figure:
    fig, axes = figure(
        "double", 2, len(names), height=4.0, sharey="row", squeeze=False,
        caption="Top: gap of four methods. Bottom: iterations to a gap of 1e-10 over all seeds, ISTA's divided by "
        "theirs (above 1: faster than ISTA with step 1/L). Means with 95 % t-intervals.",
    )  # fmt: skip
    for (top, bottom), name in zip(axes.T, names, strict=True):
        rows, seeds = curves[curves["designs"] == name], table[table["designs"] == name]
        for method, (label, color) in METHODS.items():
            top.plot(rows["step"] + 1, rows[f"gap_{method}"], color=color, label=label)
        top.set(title=design_label(name), xscale="log", yscale="log", ylim=(1e-16, 30), xlabel="iteration k + 1")
        others = [method for method in METHODS if method != "ista"]
        for x, method in enumerate(others):
            gain = (seeds["steps_ista"] / seeds[f"steps_{method}"]).astype(float)
            interval_bars(bottom, [x], [gain.tolist()], color=METHODS[method][1])
        bottom.axhline(1, color="black", linewidth=0.8)
        bottom.set_yscale("log")
        bottom.set_xticks(range(len(others)), ["FISTA", "restart", "1/$L_S$"])
        bottom.set_xlim(-0.5, 2.5)
    axes[0, 0].set_ylabel(r"$F(x_k) - F^*$")
    axes[1, 0].set_ylabel("speed-up over ISTA")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig
