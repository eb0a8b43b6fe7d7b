"""Figures of the elastic-net grid."""

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results
from trajectory_conv.experiments.appearance import own, replayed

PATHS = {
    "naive": ("minimises the bound", PALETTE[1], "-"),
    "constrained": (r"and $\lambda_1 \geq \xi$", PALETTE[4], "--"),
    "coupled": (r"and $\lambda_1 \geq \lambda_{stat}$", PALETTE[3], "-."),
}


def draw(results: Results) -> dict[str, Figure]:
    """Map of the authors' data; agreement of the rule over seeds."""
    row = replayed(results.table).iloc[0]
    return {"phase": _maps(results, row), "rule": _rule(own(results.table))}


def _maps(results: Results, row: pd.Series) -> Figure:
    fig, (left, right) = figure(
        "double", 1, 2, height=3.3, sharey=True,
        caption="Elastic net on the authors' data. Left: where the true support is recovered (white). Right: 2-norm "
        "Hoffman constant at the true support. Coloured: three ways to split a budget Lambda, which differ at small "
        "budgets only.",
    )  # fmt: skip
    floor, lam1, lam2 = row["floor"], results.array(row, "lam1"), results.array(row, "lam2")
    recovered = results.array(row, "recovered")
    left.pcolormesh(lam1 / floor, lam2 / floor, recovered, cmap="gray", vmin=-0.6, shading="nearest", rasterized=True)
    h2 = results.array(row, "h2")
    mesh = right.pcolormesh(
        lam1 / floor, lam2 / floor, h2, cmap="cividis", shading="nearest", rasterized=True,
        norm=LogNorm(h2.min(), np.quantile(h2, 0.85)),
    )  # fmt: skip
    budgets = results.array(row, "budgets")
    for ax in (left, right):
        curve = results.array(row, "threshold") / floor
        ax.plot(
            curve, results.array(row, "threshold_lam2") / floor, color="black", label=r"$\lambda_{stat}(\lambda_2)$"
        )
        for name, (label, color, line) in PATHS.items():
            path = results.array(row, f"path_{name}")
            shown = budgets > path
            ax.plot(path[shown] / floor, (budgets - path)[shown] / floor, color=color, linestyle=line, label=label)
        for x, line, label in (
            (1, ":", r"noise floor $\xi$"),
            (row["ceiling"] / floor, (0, (1, 3)), r"ceiling $\min |b^*|$"),
        ):
            ax.axvline(x, color="black", linestyle=line, linewidth=1.1, label=label)
        total = np.geomspace(lam2[0], lam2[-1], 400)
        ax.plot(
            (3 * row["cross_norm"] - total) / floor, total / floor, color="#888888", linewidth=0.9,
            label=r"regime line $\Lambda = 3 g_x$",
        )  # fmt: skip
        ax.set(
            xlabel=r"$\lambda_1 / \xi$", yscale="log", xlim=(0, lam1[-1] / floor),
            ylim=(lam2[0] / floor, lam2[-1] / floor),
        )  # fmt: skip
        ax.grid(False)
    left.set_ylabel(r"$\lambda_2 / \xi$")
    left.text(0.45, 0.2, "recovered", transform=left.transAxes, ha="center")
    fig.colorbar(mesh, ax=right, label=r"$H_2$", extend="max")
    fig.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


def _rule(table: pd.DataFrame) -> Figure:
    fig, ax = figure(
        "single",
        caption="Agreement of the rule lambda_stat(lambda_2) <= lambda_1 < min |b*| with recovery on the grid, one "
        "mark per seed, and its two kinds of error.",
    )  # fmt: skip
    names = {
        "rule_agrees": "agrees",
        "rule_false_positive": "wrongly\npromised",
        "rule_false_negative": "wrongly\ndenied",
    }
    for x, name in enumerate(names):
        ax.plot(np.full(len(table), x), table[name].astype(float), "o", color=PALETTE[x], alpha=0.7)
    ax.set_xticks(range(len(names)), names.values())
    ax.set(ylabel="% of grid points", xlim=(-0.5, 2.5))
    return fig
