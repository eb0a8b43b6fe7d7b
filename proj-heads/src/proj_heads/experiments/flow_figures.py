"""Figures of the gradient-flow study."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from proj_heads.experiments.appearance import ACTIVATIONS, REFERENCE
from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results

_FLOW = "#222222"
_STEPS = (PALETTE[1], PALETTE[4], PALETTE[5])
"""Colours of the descents, the largest step first."""


def draw(results: Results) -> dict[str, Figure]:
    """Spread along flow and descent from true collapse, every seed; how far paths from the authors' start go."""
    steps = [float(name.removeprefix("growth_")) for name in results.table if name.startswith("growth_")]
    return {
        "flow": _paths(results, sorted(steps, reverse=True)),
        "growth": _growth(results.table, sorted(steps, reverse=True)),
        "singular": _singular(results.table),
    }


def _present(table: pd.DataFrame) -> list[str]:
    return [name for name in ACTIVATIONS if name in set(table["activation"])]


def _paths(results: Results, steps: list[float]) -> Figure:
    """std / its first value against time: one line per seed."""
    curves = results.curves[results.curves["start"] == "mean_shift"]
    heads = _present(curves)
    fig, axes = figure(
        "double", 1, len(heads), height=2.6, sharey=True, squeeze=False,
        caption="Spread of the unit head outputs from collapsed representations, relative to the start: gradient flow "
        "(black, one line per seed; a dot where it runs into a singularity of the loss) and gradient descent with "
        f"steps of {' and '.join(f'{step:g}' for step in steps)} (coloured). One step of the published SGD is as long "
        "as 0.5.",
    )  # fmt: skip
    for ax, activation in zip(axes[0], heads, strict=True):
        for row, path in curves[curves["activation"] == activation].groupby("row"):
            path = path[path["time_of_step"] > 0]
            first = results.table.loc[row, "std_start"]
            for step, color in zip(steps, _STEPS, strict=False):
                taken = path[path["time_of_step"] >= step]
                ax.plot(taken["time_of_step"], taken[f"std_{step:g}"] / first, color=color, linewidth=0.6, alpha=0.7)
            ax.plot(path["time_of_step"], path["std"] / first, color=_FLOW, linewidth=0.9)
            if results.table.loc[row, "stopped"]:
                ax.plot(results.table.loc[row, "reached"], results.table.loc[row, "growth"], "o", color=_FLOW)
        ax.axhline(1, linestyle=":", **REFERENCE)
        ax.set(title=ACTIVATIONS[activation][0], xlabel="time", xscale="log", yscale="log", xlim=(0.01, None))
    axes[0, 0].set_ylabel("std / its first value")
    for step, color in zip(steps, _STEPS, strict=False):
        axes[0, -1].plot([], [], color=color, label=f"steps of {step:g}")
    axes[0, -1].plot([], [], color=_FLOW, label="flow")
    axes[0, -1].legend(loc="upper left", fontsize=6)
    return fig


def _growth(table: pd.DataFrame, steps: list[float]) -> Figure:
    """Growth of every seed, and what the linearised field said about it."""
    table = table[table["start"] == "mean_shift"]
    heads = _present(table)
    fig, (left, right) = figure(
        "double", 1, 2, height=2.6, width_ratios=(3, 2),
        caption="Left: final spread over first of every seed, by flow and by descent. Right: growth along the flow "
        "against the rate at which the linearised stop-gradient field around the settled mean representation lets "
        "differences grow (each representation in the field of its own loss; rates below 1e-8 are drawn there).",
    )  # fmt: skip
    ways = {"flow": ("growth", _FLOW)} | {
        f"steps of {step:g}": (f"growth_{step:g}", color) for step, color in zip(steps, _STEPS, strict=False)
    }
    for place, activation in enumerate(heads):
        rows = table[table["activation"] == activation]
        for shift, (name, (column, color)) in enumerate(ways.items()):
            x = place + 0.27 * (shift - (len(ways) - 1) / 2) + np.linspace(-0.08, 0.08, len(rows))
            left.plot(x, rows[column], "o", color=color, markersize=3, label=name if place == 0 else None)
        name, color = ACTIVATIONS[activation]
        rates = rows["rate_settled"].astype(float).clip(lower=1e-8)
        right.plot(rates, rows["growth"], "o", color=color, label=name)
    left.axhline(1, linestyle=":", **REFERENCE)
    left.set_xticks(range(len(heads)), [ACTIVATIONS[name][0] for name in heads])
    left.set(yscale="log", ylabel="final std / first")
    left.legend(fontsize=6)
    left.grid(False, axis="x")
    right.axhline(1, linestyle=":", **REFERENCE)
    right.set(xscale="log", yscale="log", xlabel="linearised growth rate", ylabel="final std / first, flow")
    right.legend(fontsize=6)
    return fig


def _singular(table: pd.DataFrame) -> Figure:
    """Where the flow from the authors' start ends."""
    table = table[table["start"] == "pseudo"]
    fig, ax = figure(
        "single", height=2.3,
        caption="Gradient flow from the authors' start: time at which each path was left because the loss became "
        "singular (the field relaxed at more than the limit; for some ReLU heads, because of too many jumps of the "
        "field), and the smallest predictor output among the images then, relative to the mean one.",
    )  # fmt: skip
    for activation in _present(table):
        rows = table[table["activation"] == activation]
        name, color = ACTIVATIONS[activation]
        ax.plot(rows["reached"], rows["nearest_zero"], "o", color=color, label=name)
    ax.set(xscale="log", ylim=(0, 1), xlabel="time reached", ylabel=r"least $\|p_i\|$ / mean")
    ax.legend(fontsize=6)
    return fig
