"""Figures of the decisive test."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pinn_scaling.experiments.appearance import METHODS, PROBLEMS, seeds
from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results

BEST = ("lbfgs", "lm", "lm-continuation")


def draw(results: Results) -> dict[str, Figure]:
    """All methods on every problem; against width; what is noise, optimisation and capacity."""
    table = results.table.astype({"fine_error": float})
    smallest = 16 if (table["width"] == 16).any() else table["width"].min()
    sixteen = table[(table["width"] == smallest) & (table["pde"] != "kdv_published")]
    several = [label for label, own in table.groupby(["pde", "kappa"], sort=False) if own["width"].nunique() > 1]
    figures = {"methods": _methods(sixteen, smallest), "split": _split(sixteen, smallest)}
    return figures | {"widths": _widths(table, several or [(table["pde"].iloc[0], table["kappa"].iloc[0])])}


def _problems(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Label and rows, the first one on top."""
    groups = list(table.groupby(["pde", "kappa"], sort=False))
    labels = [PROBLEMS[pde][0] + (f", {kappa:g}" if pde != "poisson" else "") for (pde, kappa), _ in groups]
    return list(zip(labels, (own for _, own in groups), strict=True))[::-1]


def _methods(table: pd.DataFrame, width: int) -> Figure:
    problems = _problems(table)
    fig, ax = figure(
        "double", height=0.9 + 0.35 * len(problems),
        caption=f"Errors on the fine grid of networks with {width} neurons: same equation, initial network and loss, "
        "only the optimiser changes. One mark per seed.",
    )  # fmt: skip
    for method, (label, color, marker) in METHODS.items():
        for place, (_, own) in enumerate(problems):
            errors = own[own["method"] == method]["fine_error"]
            at = np.full(len(errors), place + 0.3 - 0.6 * list(METHODS).index(method) / len(METHODS))
            ax.plot(errors, at, marker, color=color, markersize=3.5, label=label if place == 0 else None)
        if not (problems[0][1]["method"] == method).any() and (table["method"] == method).any():
            ax.plot([], [], marker, color=color, markersize=3.5, label=label)
    ax.set_yticks(range(len(problems)), [label for label, _ in problems])
    ax.set(xscale="log", xlabel="relative error")
    fig.legend(loc="outside right upper")
    return fig


def _split(table: pd.DataFrame, width: int) -> Figure:
    problems = _problems(table)
    fig, ax = figure(
        "double", height=0.9 + 0.3 * len(problems),
        caption=f"Which bottleneck? Errors of {width} neurons, geometric means over seeds: from the last iterate "
        "down to the falling rate is noise, from there down to the best optimiser is optimisation "
        "and sampling; what is left bounds capacity.",
    )  # fmt: skip
    for place, (_, own) in enumerate(problems):
        mean = np.exp(np.log(own["fine_error"]).groupby(own["method"]).mean())
        best = min(mean[name] for name in BEST if name in mean)
        last, falling = mean["adam"], min(mean["adam"], mean["adam+cosine"])
        for low, high, color, label in (
            (falling, last, PALETTE[1], "noise of the last iterate"),
            (best, falling, PALETTE[0], "optimisation and sampling"),
        ):
            ax.barh(place, high - low, left=low, height=0.5, color=color, label=label if place == 0 else None)
        ax.plot(best, place, "D", color="black", markersize=4, label="best optimiser" if place == 0 else None)
        if "features" in mean:
            label = "random features" if place == 0 else None
            ax.plot(mean["features"], place, "x", color="#888888", label=label)
    ax.set_yticks(range(len(problems)), [label for label, _ in problems])
    ax.set(xscale="log", xlabel="relative error")
    fig.legend(loc="outside lower center", ncols=4)
    return fig


def _widths(table: pd.DataFrame, problems: list[tuple[str, float]]) -> Figure:
    fig, axes = figure(
        "double", 1, len(problems), height=2.8, squeeze=False,
        caption="Error against width for Adam and for a better optimiser, same networks and losses: one dot per seed "
        "and geometric means.",
    )  # fmt: skip
    for ax, (pde, kappa) in zip(axes[0], problems, strict=True):
        own = table[(table["pde"] == pde) & (table["kappa"] == kappa)]
        for method in [name for name in ("features", "adam", *BEST) if (own["method"] == name).any()]:
            label, color, marker = METHODS[method]
            rows = own[own["method"] == method]
            seeds(ax, sorted(own["width"].unique()), rows, "fine_error", color=color, marker=marker, label=label)
        ax.set_title(f"{PROBLEMS[pde][0]}, " + rf"$\kappa$ = {kappa:g}")
    handles = {label: handle for ax in axes[0] for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    axes[0, 0].set_ylabel("relative error")
    fig.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    return fig
