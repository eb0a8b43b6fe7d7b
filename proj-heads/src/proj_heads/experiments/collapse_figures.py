"""Figures of the collapse study, in the authors' forms: line = median over seeds, band = all seeds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from proj_heads.experiments.appearance import ACTIVATIONS, DATA, REFERENCE
from proj_heads.experiments.collapse import COLLAPSED, ESCAPE
from repro_shared.plotting import PALETTE, band, figure
from repro_shared.runlog import Results

_VARIANTS = [PALETTE[i] for i in (6, 2, 5, 1, 4)]
"""Colours of a head's configurations: published start, batch norm, small and large learning rate, control."""
_STARTS = {
    "pseudo": r"pseudo-collapse ($\alpha$ = {alpha:g})",
    "mean_shift": r"true collapse ($\varepsilon$ = {epsilon:g})",
}
_PARTS = {"head": ("head", PALETTE[1]), "backbone": ("backbone", PALETTE[0])}


def draw(results: Results) -> dict[str, Figure]:
    """The published figures of E1 and what became of every seed."""
    runs = _Runs(results.curves)
    return {
        "collapse": _panels(runs, results.table, "std", "std of unit outputs"),
        "relative": _panels(runs, results.table, "relative", "std / its first value"),
        "ends": _ends(runs, results.table),
        "updates": _updates(runs),
        "gradients": _gradients(runs),
        "rank": _rank(runs),
    }


class _Runs:
    """Curves by configuration."""

    def __init__(self, curves: pd.DataFrame):
        self.curves = curves.assign(relative=curves["std"] / curves.groupby("row")["std"].transform("first"))
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


def _range(ax: Axes, rows: pd.DataFrame, column: str, **line) -> None:
    """Median over seeds and a band over all of them."""
    if rows.empty:
        return
    steps, values = _samples(rows, column)
    (drawn,) = ax.plot(steps, np.nanmedian(values, 0), **line)
    ax.fill_between(steps, np.nanmin(values, 0), np.nanmax(values, 0), color=drawn.get_color(), alpha=0.15, linewidth=0)


def _seeds(table: pd.DataFrame) -> str:
    first = table.iloc[0]
    return f"{table['seeds'].nunique()} seeds, MLP on {DATA[first['data']]}"


def _panels(runs: _Runs, table: pd.DataFrame, column: str, label: str) -> Figure:
    first, possible = table.iloc[0], table["std_possible"].iloc[0]
    raw = column == "std"
    what = (
        "Standard deviation of the unit head outputs along training. Dotted: the most that is possible, 1/sqrt(k), and "
        "a tenth of it, below which we call a run collapsed."
        if raw
        else "The same relative to the step-0 value (the authors divide by the mean of the first epoch, which the "
        "collapse of the first steps is part of)."
    )
    fig, axes = figure(
        "double", 2, 2, height=4.4, sharex=True, sharey=True,
        caption=f"{what} Top: heads without batch norm from the authors' start and from collapsed representations. "
        f"Bottom: learning rate, batch norm and the control without the authors' start. {_seeds(table)}; line: median, "
        "band: all seeds.",
    )  # fmt: skip
    panels = {
        axes[0, 0]: (_STARTS["pseudo"].format(alpha=first["alpha"]), runs.heads("pseudo")),
        axes[0, 1]: (_STARTS["mean_shift"].format(epsilon=first["epsilon"]), runs.heads("mean_shift")),
        axes[1, 0]: ("Swish", runs.variants("swish")),
        axes[1, 1]: ("ReLU", runs.variants("relu")),
    }
    for ax, (title, lines) in panels.items():
        for name, color, rows in lines:
            _range(ax, rows, column, color=color, label=name)
        for height in (possible, COLLAPSED * possible) if raw else (1.0,):
            ax.axhline(height, linestyle=":", **REFERENCE)
        ax.set(title=title, yscale="log")
    for ax in axes[1]:
        ax.set_xlabel("step")
    for ax in axes[:, 0]:
        ax.set_ylabel(label)
        handles = ax.get_legend_handles_labels()
        fig.legend(*handles, loc="outside upper center" if ax is axes[0, 0] else "outside lower center", ncols=5)
    return fig


def _ends(runs: _Runs, table: pd.DataFrame) -> Figure:
    """Final and least spread of every seed."""
    table = table.assign(lr=table["lr"].astype(float))
    groups = list(table.groupby(["collapse", "norm", "lr", "activation"], sort=False))
    order = {"pseudo": 0, "mean_shift": 1, "none": 2}
    groups.sort(key=lambda group: (order[group[0][0]], bool(group[0][1]), abs(np.log(group[0][2] / runs.lr))))
    fig, ax = figure(
        "double", height=3.0,
        caption="Spread of every seed at the end of training (filled) and its least value on the way (open). Numbers: "
        f"seeds that escaped, that is, end at more than {ESCAPE:g} times their least, and in brackets those that were "
        "above that at any time. Dotted as above: possible, and collapsed. " + _seeds(table) + ".",
    )  # fmt: skip
    labels, seams = [], []
    for x, ((start, norm, lr, activation), rows) in enumerate(groups):
        name, color = ACTIVATIONS[activation]
        jitter = x + np.linspace(-0.22, 0.22, len(rows))
        ax.plot(jitter, rows["std_min"], "o", mfc="none", color=color, markersize=2.8, markeredgewidth=0.6, alpha=0.8)
        ax.plot(jitter, rows["std_end"], "o", color=color, markersize=3.2)
        counts = f"{int(rows['escaped'].sum())} ({int(rows['ever_escaped'].sum())})"
        ax.annotate(counts, (x, 0.16), ha="center", fontsize=6.5)
        labels.append(name + " BN" * bool(norm) + (f"\nlr {lr:g}" if lr != runs.lr else ""))
        if x and start != groups[x - 1][0][0]:
            seams.append(x - 0.5)
    for height in (1.0, COLLAPSED):
        ax.axhline(height * table["std_possible"].iloc[0], linestyle=":", **REFERENCE)
    for seam in seams:
        ax.axvline(seam, **REFERENCE)
    names = {"pseudo": "pseudo-collapse", "mean_shift": "true collapse", "none": r"$\alpha$ = 1"}
    starts = list(dict.fromkeys(key[0] for key, _ in groups))
    edges = [-0.5, *seams, len(groups) - 0.5]
    for start, left, right in zip(starts, edges, edges[1:], strict=False):
        ax.annotate(names[start], ((left + right) / 2, 0.28), ha="center", fontsize=7)
    ax.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    ax.set(yscale="log", ylabel="std of unit outputs", xlim=(-0.6, len(labels) - 0.4), ylim=(None, 0.45))
    ax.grid(False, axis="x")
    return fig


def _updates(runs: _Runs) -> Figure:
    """The authors' time scales."""
    settings = [*((name, False) for name in ACTIVATIONS), ("relu", True), ("swish", True)]
    fig, axes = figure(
        "double", 2, 3, height=3.8, sharex=True, sharey=True,
        caption="Relative updates lr ||g|| / ||w|| of head and backbone (as published: without momentum; predictor "
        "left out). Line: median, band: all seeds. The first steps, in which the outputs collapse, are the fastest.",
    )  # fmt: skip
    for ax, (activation, norm) in zip(axes.flat, settings, strict=True):
        rows = runs.base(activation=activation, norm=norm)
        for part, (label, color) in _PARTS.items():
            _range(ax, rows, f"update_{part}", color=color, label=label)
        ax.set(title=ACTIVATIONS[activation][0] + ", batch norm" * norm, yscale="log")
    for ax in axes[1]:
        ax.set_xlabel("step")
    for ax in axes[:, 0]:
        ax.set_ylabel("relative update")
    axes[0, 0].legend()
    return fig


def _gradients(runs: _Runs) -> Figure:
    fig, axes = figure(
        "double", 1, 3, height=2.6, sharey=True,
        caption="Norm of the gradient by the head's weights. Left: heads without batch norm, pseudo-collapsed; centre "
        "and right: configurations of one head. Line: median, band: all seeds.",
    )  # fmt: skip
    panels = {"heads": runs.heads("pseudo"), "Swish": runs.variants("swish"), "ReLU": runs.variants("relu")}
    for ax, (title, lines) in zip(axes, panels.items(), strict=True):
        for name, color, rows in lines:
            _range(ax, rows, "grad_head", color=color, label=name)
        ax.set(title=title, xlabel="step", yscale="log")
    axes[0].set_ylabel(r"$\|g_\mathrm{head}\|$")
    axes[0].legend(fontsize=6)
    axes[1].legend(fontsize=6)
    return fig


def _rank(runs: _Runs) -> Figure:
    fig, axes = figure(
        "double", 1, 3, height=2.6,
        caption="Left: effective rank of the covariance of unit head outputs (mean with 95 % t-interval). Centre: the "
        "published condition number of the same covariance. Right: as there are no more outputs than coordinates, that "
        "is 1e7 times the largest eigenvalue, in every record of every run: it follows the spread and says nothing "
        "about shape.",
    )  # fmt: skip
    for name, color, rows in runs.heads("pseudo"):
        if rows.empty:
            continue
        steps, ranks = _samples(rows, "effective_rank")
        known = np.isfinite(ranks).all(0)
        band(axes[0], steps[known], ranks[:, known], label=name, color=color)
        _range(axes[1], rows, "condition", color=color, label=name)
    every = runs.curves.iloc[:: max(1, len(runs.curves) // 1500)]
    axes[2].loglog(1e7 * every["lambda_max"], every["condition"], ".", color="#777777", markersize=2)
    ends = np.array(axes[2].get_xlim())
    axes[2].plot(ends, ends, **REFERENCE)
    axes[0].set(title="effective rank", xlabel="step", ylim=(0, None))
    axes[1].set(title="published condition number", xlabel="step", yscale="log")
    axes[2].set(title="what it is", xlabel=r"$10^7\,\lambda_{\max}$", ylabel="condition number")
    axes[0].legend()
    return fig
