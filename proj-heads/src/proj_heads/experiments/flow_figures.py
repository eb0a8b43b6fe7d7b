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
_EDGE = 0.01
"""Left end of axes of time: the start is drawn there."""
_LEAST_RATE = 1e-8
"""Rates below this are drawn there."""


def draw(results: Results) -> dict[str, Figure]:
    """Spread along flow and descent from true collapse, every seed; how far paths from the authors' start go."""
    steps = sorted(float(name.removeprefix("growth_")) for name in results.table if name.startswith("growth_"))[::-1]
    collapsed = results.table[results.table["start"] == "mean_shift"]
    return {
        "flow": _paths(results, steps),
        "escapes": _escapes(collapsed, steps),
        "growth": _growth(collapsed, steps),
        "singular": _singular(results.table[results.table["start"] == "pseudo"]),
    }


def _present(table: pd.DataFrame) -> list[str]:
    return [name for name in ACTIVATIONS if name in set(table["activation"])]


def _ways(steps: list[float]) -> dict[str, tuple[str, str]]:
    """Name of a way from the start -> suffix of its columns, colour."""
    return {"flow": ("", _FLOW)} | {
        f"steps of {step:g}": (f"_{step:g}", color) for step, color in zip(steps, _STEPS, strict=False)
    }


def _paths(results: Results, steps: list[float]) -> Figure:
    """std / its first value against time: one line per seed."""
    curves = results.curves[results.curves["start"] == "mean_shift"]
    heads = _present(curves)
    fig, axes = figure(
        "double", 1, len(heads), height=2.6, sharey=True, squeeze=False,
        caption="Spread of the unit head outputs from collapsed representations, relative to the start: gradient flow "
        "(black, one line per seed; a dot where it was left at a singularity of the loss) and gradient descent with "
        f"steps of {' and '.join(f'{step:g}' for step in steps)} (coloured, from the start at the left edge). One step "
        "of the published SGD is as long as 0.5.",
    )  # fmt: skip
    for ax, activation in zip(axes[0], heads, strict=True):
        for row, path in curves[curves["activation"] == activation].groupby("row"):
            time, first = path["time_of_step"], results.table.loc[row, "std_start"]
            for step, color in zip(steps, _STEPS, strict=False):
                taken = (step * np.rint(time / step)).clip(lower=_EDGE)
                ax.plot(taken, path[f"std_{step:g}"] / first, color=color, linewidth=0.6, alpha=0.7)
            ax.plot(time.clip(lower=_EDGE), path["std"] / first, color=_FLOW, linewidth=0.9)
            if results.table.loc[row, "stopped"]:
                ax.plot(results.table.loc[row, "reached"], results.table.loc[row, "growth"], "o", color=_FLOW)
        ax.axhline(1, linestyle=":", **REFERENCE)
        ax.set(title=ACTIVATIONS[activation][0], xlabel="time", xscale="log", yscale="log", xlim=(_EDGE, None))
    axes[0, 0].set_ylabel("std / its first value")
    for name, (_, color) in _ways(steps).items():
        axes[0, -1].plot([], [], color=color, label=name)
    axes[0, -1].legend(loc="upper left", fontsize=6)
    return fig


def _escapes(table: pd.DataFrame, steps: list[float]) -> Figure:
    """How many seeds have escaped by when."""
    heads = _present(table)
    fig, axes = figure(
        "double", 1, len(heads), height=2.2, sharey=True, squeeze=False,
        caption="Seeds whose spread has risen to more than ten times the least until then, against time, by flow and "
        "by descent. Crosses: paths that were left at a singularity before they had; whether they would is not known.",
    )  # fmt: skip
    for ax, activation in zip(axes[0], heads, strict=True):
        rows = table[table["activation"] == activation]
        end = float(rows["time"].iloc[0])
        for name, (suffix, color) in _ways(steps).items():
            times = np.sort(rows[f"escape_time{suffix}"].dropna().to_numpy(float))
            ax.step(
                [_EDGE, *times, end], [0, *range(1, len(times) + 1), len(times)], where="post", color=color, label=name
            )
        lost = rows[rows["escaped"].isna()]
        ax.plot(lost["reached"], np.zeros(len(lost)), "x", color=_FLOW)
        ax.set(title=ACTIVATIONS[activation][0], xlabel="time", xscale="log", ylim=(-0.4, len(rows)))
        ax.set_xlim(end / 300, end * 1.1)
    axes[0, 0].set_ylabel(f"escaped, of {table['seeds'].nunique()} seeds")
    axes[0, 0].legend(loc="upper left", fontsize=6)
    return fig


def _growth(table: pd.DataFrame, steps: list[float]) -> Figure:
    """Growth of every seed, and what the linearised field said about it."""
    heads = _present(table)
    fig, axes = figure(
        "double", 1, 3, height=2.6, sharey=True, width_ratios=(4, 3, 3),
        caption="Left: final spread over first of every seed, by flow and by descent. Centre and right: growth along "
        "the flow against the rate at which the linearised stop-gradient field around the mean representation lets "
        "differences grow (each representation in the field of its own loss), at the start and settled. Open: paths "
        "that were left at a singularity, with their spread there.",
    )  # fmt: skip
    left = axes[0]
    for place, activation in enumerate(heads):
        rows = table[table["activation"] == activation]
        for shift, (name, (suffix, color)) in enumerate(_ways(steps).items()):
            x = place + 0.27 * (shift - len(steps) / 2) + np.linspace(-0.08, 0.08, len(rows))
            faces = np.where(rows["stopped"].astype(bool) & (suffix == ""), "white", color)
            left.scatter(x, rows[f"growth{suffix}"], s=9, c=faces, edgecolors=color, linewidths=0.7,
                         label=name if place == 0 else None)  # fmt: skip
        name, color = ACTIVATIONS[activation]
        for ax, rate in zip(axes[1:], ("rate_start", "rate_settled"), strict=True):
            faces = np.where(rows["stopped"].astype(bool), "white", color)
            ax.scatter(rows[rate].astype(float).clip(lower=_LEAST_RATE), rows["growth"], s=12, c=faces,
                       edgecolors=color, linewidths=0.8)  # fmt: skip
        axes[2].plot([], [], "o", color=color, label=name)
    left.set_xticks(range(len(heads)), [ACTIVATIONS[name][0] for name in heads])
    left.set(yscale="log", ylabel="final std / first")
    fig.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    left.grid(False, axis="x")
    for ax, when in zip(axes[1:], ("at the start", "settled"), strict=True):
        ax.set(xscale="log", xlabel=f"linearised rate, {when}")
    if (table["rate_settled"].astype(float) <= _LEAST_RATE).any():
        ticks = [_LEAST_RATE, 1e-6, 1e-4, 1e-2]
        axes[2].set_xticks(ticks, [r"$\leq 10^{-8}$", *(f"$10^{{{np.log10(tick):.0f}}}$" for tick in ticks[1:])])
    for ax in axes:
        ax.axhline(1, linestyle=":", **REFERENCE)
    axes[2].legend(loc="lower right", fontsize=6)
    return fig


def _singular(table: pd.DataFrame) -> Figure:
    """Where the flow from the authors' start ends, as the limit rises."""
    limits = [f"{rate:g}" for rate in table["stiffest"].iloc[0]]
    fig, ax = figure(
        "single", height=2.6,
        caption="Gradient flow from the authors' start: time at which the field of each path first relaxed at more "
        f"than {', '.join(limits)} (the last one filled), and the smallest predictor output among the images then, "
        "relative to the mean one. A path that ends at a zero goes straight down. Lines of ReLU heads, whose field "
        "jumps, may stop before.",
    )  # fmt: skip
    for activation in _present(table):
        name, color = ACTIVATIONS[activation]
        rows = table[table["activation"] == activation]
        times, outputs = (rows[[f"{kind}_{limit}" for limit in limits]].to_numpy(float) for kind in ("met", "nearest"))
        ax.plot(times.T, outputs.T, color=color, linewidth=0.6)
        ax.plot(times[:, :-1], outputs[:, :-1], "o", color=color, markerfacecolor="white", markersize=2.6)
        ax.plot(times[:, -1], outputs[:, -1], "o", color=color, markersize=3, label=name)
    ax.set(xscale="log", yscale="log", xlabel="time", ylabel=r"least $\|p_i\|$ / mean")
    ax.legend(fontsize=6)
    return fig
