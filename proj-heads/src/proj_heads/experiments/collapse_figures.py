"""Figures of the collapse study, in the authors' forms, but with every seed (thin lines) beside the median."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from proj_heads.experiments.appearance import ACTIVATIONS, DATA, REFERENCE
from proj_heads.experiments.collapse import COLLAPSED, ESCAPE
from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results

_VARIANTS = [PALETTE[i] for i in (6, 2, 5, 1, 4)]
"""Colours of a head's configurations: published start, batch norm, small and large learning rate, control."""
_STARTS = {
    "pseudo": r"pseudo-collapse ($\alpha$ = {alpha:g})",
    "mean_shift": r"true collapse ($\varepsilon$ = {epsilon:g})",
}
_MARKS = {
    "start": {"marker": "_", "markersize": 4},
    "least": {"marker": "o", "markersize": 2.6, "markerfacecolor": "white", "markeredgewidth": 0.6},
    "end": {"marker": "o", "markersize": 2.8},
}
"""When -> marker."""
_PARTS = {"head": ("head", PALETTE[1]), "backbone": ("backbone", PALETTE[0])}


def draw(results: Results) -> dict[str, Figure]:
    """The published figures of E1 and what became of every seed."""
    runs = _Runs(results.curves)
    return {
        "collapse": _collapse(runs, results.table),
        "ends": _ends(runs, results.table),
        "updates": _updates(runs),
        "gradients": _gradients(runs),
        "rank": _rank(runs),
    }


class _Runs:
    """Curves by configuration."""

    def __init__(self, curves: pd.DataFrame):
        self.curves = curves[curves["objective"] == "simsiam"]
        self.lr = float(curves["lr"].mode().iloc[0])  # the published base rate

    def base(self, **wanted) -> pd.DataFrame:
        """Curves with these settings; by default pseudo-collapsed, at the base rate and without batch norm."""
        held = self.curves
        for name, value in ({"collapse": "pseudo", "norm": False, "lr": self.lr} | wanted).items():
            held = held[held[name] == value]
        return held

    def heads(self, start: str) -> Iterator[tuple[str, str, pd.DataFrame]]:
        """(label, colour, curves) of each head from one start."""
        for activation, (label, color) in ACTIVATIONS.items():
            yield label, color, self.base(activation=activation, collapse=start)

    def variants(self, activation: str) -> Iterator[tuple[str, str, pd.DataFrame]]:
        """(label, colour, curves) of each configuration of one head."""
        rates = sorted(set(self.curves["lr"]) - {self.lr})
        wanted = [
            (f"lr {self.lr:g}", {}),
            ("batch norm", {"norm": True}),
            *((f"lr {lr:g}", {"lr": lr}) for lr in rates),
            (r"$\alpha$ = 1", {"collapse": "none"}),
        ]
        colors = [*_VARIANTS[:2], *_VARIANTS[2 : 2 + len(rates)], _VARIANTS[-1]]
        for (label, settings), color in zip(wanted, colors, strict=False):
            yield label, color, self.base(activation=activation, **settings)


def _samples(rows: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """(steps, values (seeds, steps))."""
    wide = rows.pivot(index="row", columns="step", values=column)
    return wide.columns.to_numpy(), wide.to_numpy(float)


def _lines(ax: Axes, rows: pd.DataFrame, column: str, color: str, label: str) -> None:
    """Median over seeds and a thin line for each of them."""
    if rows.empty:
        return
    steps, values = _samples(rows, column)
    ax.plot(steps, np.nanmedian(values, 0), color=color, label=label, zorder=3)
    ax.plot(steps, values.T, color=color, linewidth=0.4, alpha=0.5)


def _seeds(table: pd.DataFrame) -> str:
    first = table.iloc[0]
    return f"{table['seeds'].nunique()} seeds, MLP on {DATA[first['data']]}"


def _collapse(runs: _Runs, table: pd.DataFrame) -> Figure:
    """Spread along training."""
    first, possible = table.iloc[0], table["std_possible"].iloc[0]
    fig, axes = figure(
        "double", 2, 2, height=4.4, sharex=True, sharey=True,
        caption="Standard deviation of the unit head outputs along training. Dotted: the most that is possible, "
        "1/sqrt(k), and a tenth of it, below which we call a run collapsed. Top: heads without batch norm from the "
        "authors' start and from collapsed representations. Bottom: learning rate, batch norm and the control without "
        f"the authors' start. {_seeds(table)}; thick: median, thin: every seed.",
    )  # fmt: skip
    panels = {
        axes[0, 0]: (_STARTS["pseudo"].format(alpha=first["alpha"]), runs.heads("pseudo")),
        axes[0, 1]: (_STARTS["mean_shift"].format(epsilon=first["epsilon"]), runs.heads("mean_shift")),
        axes[1, 0]: ("Swish", runs.variants("swish")),
        axes[1, 1]: ("ReLU", runs.variants("relu")),
    }
    for ax, (title, lines) in panels.items():
        for name, color, rows in lines:
            _lines(ax, rows, "std", color=color, label=name)
        for height in (possible, COLLAPSED * possible):
            ax.axhline(height, linestyle=":", **REFERENCE)
        ax.set(title=title, yscale="log")
    for ax in axes[1]:
        ax.set_xlabel("step")
    for ax in axes[:, 0]:
        ax.set_ylabel("std of unit outputs")
        handles = ax.get_legend_handles_labels()
        fig.legend(*handles, loc="outside upper center" if ax is axes[0, 0] else "outside lower center", ncols=5)
    return fig


_GROUPS = {
    ("pseudo", "simsiam"): "pseudo-collapse",
    ("mean_shift", "simsiam"): "true collapse",
    ("mean_shift", "infonce"): "InfoNCE (control)",
    ("none", "simsiam"): r"$\alpha$ = 1",
}
"""Start and objective -> name, in the order in which they are drawn."""


def _ends(runs: _Runs, table: pd.DataFrame) -> Figure:
    """Spread of every seed at the start, at its least and at the end."""
    table = table.assign(lr=table["lr"].astype(float))
    groups = list(table.groupby(["collapse", "objective", "norm", "lr", "activation"], sort=False))
    order = list(_GROUPS)
    groups.sort(key=lambda group: (order.index(group[0][:2]), bool(group[0][2]), abs(np.log(group[0][3] / runs.lr))))
    fig, ax = figure(
        "double", height=3.2,
        caption="Spread of every seed at the start of training, at its least and at the end, one line per seed. "
        f"Escaped: it ends at more than {ESCAPE:g} times its least (in brackets: was above that at any time). Dotted "
        f"as above: possible, and collapsed. The control has a tenth of the steps. {_seeds(table)}.",
    )  # fmt: skip
    labels, seams = [], []
    for x, ((start, objective, norm, lr, activation), rows) in enumerate(groups):
        name, color = ACTIVATIONS[activation]
        places, along = x + np.array([-0.28, 0.0, 0.28]), rows[["std_start", "std_min", "std_end"]].to_numpy(float)
        ax.plot(places, along.T, color=color, linewidth=0.4, alpha=0.6)
        for place, values, style in zip(places, along.T, _MARKS.values(), strict=True):
            ax.plot(np.full(len(values), place), values, color=color, linestyle="none", **style)
        counts = f"{int(rows['escaped'].sum())} ({int(rows['ever_escaped'].sum())})"
        ax.annotate(counts, (x, 0.16), ha="center", fontsize=6)
        labels.append(name + " BN" * bool(norm) + (f" lr {lr:g}" if lr != runs.lr else ""))
        if x and (start, objective) != groups[x - 1][0][:2]:
            seams.append(x - 0.5)
    for height in (1.0, COLLAPSED):
        ax.axhline(height * table["std_possible"].iloc[0], linestyle=":", **REFERENCE)
    for seam in seams:
        ax.axvline(seam, **REFERENCE)
    edges = [-0.5, *seams, len(groups) - 0.5]
    for key, left, right in zip(dict.fromkeys(key[:2] for key, _ in groups), edges, edges[1:], strict=False):
        ax.annotate(_GROUPS[key], ((left + right) / 2, 0.3), ha="center", fontsize=6.5)
    for name, style in _MARKS.items():
        ax.plot([], [], color="#444444", linestyle="none", label=name, **style)
    ax.legend(loc="lower left", ncols=3, fontsize=6.5)
    ax.set_title("numbers: seeds that escaped (in brackets: at any time)", loc="left", fontsize=7)
    ax.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    ax.set(yscale="log", ylabel="std of unit outputs", xlim=(-0.6, len(labels) - 0.4), ylim=(None, 0.45))
    ax.grid(False, axis="x")
    return fig


def _updates(runs: _Runs) -> Figure:
    """The authors' time scales."""
    settings = [
        *((name, ", scaled", {}) for name in ACTIVATIONS),
        *((name, ", collapsed", {"collapse": "mean_shift"}) for name in ACTIVATIONS),
        *((name, ", batch norm", {"norm": True}) for name in ("relu", "swish")),
        *((name, r", $\alpha$ = 1", {"collapse": "none"}) for name in ("relu", "swish")),
    ]
    fig, axes = figure(
        "double", 3, 4, height=4.6, sharex=True, sharey=True,
        caption="Relative updates lr ||g|| / ||w|| of head and backbone (as published: without momentum; predictor "
        "left out): the authors' start (scaled), collapsed representations, batch norm, and the control. Thick: "
        "median, thin: every seed. The first steps, in which the outputs collapse, are the fastest.",
    )  # fmt: skip
    for ax, (activation, what, wanted) in zip(axes.flat, settings, strict=True):
        rows = runs.base(activation=activation, **wanted)
        for part, (label, color) in _PARTS.items():
            _lines(ax, rows, f"update_{part}", color=color, label=label)
        ax.set(title=ACTIVATIONS[activation][0] + what, yscale="log")
    for ax in axes[-1]:
        ax.set_xlabel("step")
    for ax in axes[:, 0]:
        ax.set_ylabel("relative update")
    axes[0, 0].legend()
    return fig


def _gradients(runs: _Runs) -> Figure:
    fig, axes = figure(
        "double", 1, 3, height=2.6, sharey=True,
        caption="Norm of the gradient by the head's weights. Left: heads without batch norm, pseudo-collapsed; centre "
        "and right: configurations of one head. Thick: median, thin: every seed.",
    )  # fmt: skip
    panels = {"heads": runs.heads("pseudo"), "Swish": runs.variants("swish"), "ReLU": runs.variants("relu")}
    for ax, (title, lines) in zip(axes, panels.items(), strict=True):
        for name, color, rows in lines:
            _lines(ax, rows, "grad_head", color=color, label=name)
        ax.set(title=title, xlabel="step", yscale="log")
    axes[0].set_ylabel(r"$\|g_\mathrm{head}\|$")
    axes[0].legend(fontsize=6)
    axes[1].legend(fontsize=6)
    return fig


def _rank(runs: _Runs) -> Figure:
    fig, axes = figure(
        "double", 1, 3, height=2.6,
        caption="Left: effective rank of the covariance of unit head outputs. Centre: the published condition "
        "number of the same covariance (thick: median, thin: every seed). Right: as there are no more outputs than "
        "coordinates, that is 1e7 times the largest eigenvalue, in every record of every run: it follows the spread "
        "and says nothing about shape.",
    )  # fmt: skip
    for name, color, rows in runs.heads("pseudo"):
        _lines(axes[0], rows, "effective_rank", color=color, label=name)
        _lines(axes[1], rows, "condition", color=color, label=name)
    every = runs.curves.iloc[:: max(1, len(runs.curves) // 1500)]
    axes[2].loglog(1e7 * every["lambda_max"], every["condition"], ".", color="#777777", markersize=2)
    ends = np.array(axes[2].get_xlim())
    axes[2].plot(ends, ends, **REFERENCE)
    axes[0].set(title="effective rank", xlabel="step", ylim=(0, None))
    axes[1].set(title="published condition number", xlabel="step", yscale="log")
    axes[2].set(title="what it is", xlabel=r"$10^7\,\lambda_{\max}$", ylabel="condition number")
    axes[0].legend()
    return fig
