"""Figures of the exact Hessians during training: how many negative eigenvalues, how low, and the spread beside."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from proj_heads.experiments.appearance import ACTIVATIONS, REFERENCE, nearest, networks
from repro_shared.plotting import figure
from repro_shared.runlog import Results

READINGS = {"cosine": "cosine loss, which is trained", "squared": "squared error, same outputs and targets"}
_Z = 1e-9
"""Where the axis of eigenvalues turns linear."""
MEASURES = {
    "condition": "condition\nnumber",
    "lambda_max": "$\\lambda_{\\max}$\n(published)",
    "effective_rank": "effective\nrank",
}
"""What the spread is compared with along training."""


def draw(results: Results) -> dict[str, Figure]:
    """Along training, by head: median and range over seeds."""
    first = results.table.iloc[0]
    curves = nearest(results.curves, data=first["data"], backbone=first["backbone"])
    d = int(first["d"])
    about = f"SimSiam without batch norms in the heads. {networks(curves)} Median and range over seeds."
    return {
        "negative": _negative(curves, d, about),
        "lowest": _lowest(curves, about),
        "spread": _spread(curves, d, about),
    }


def heads(curves: pd.DataFrame) -> dict[str, tuple[pd.DataFrame, dict]]:
    """Name -> rows and line style of each head: its activation's colour, dashed without pseudo-collapse."""
    found = {}
    for activation, (label, color) in ACTIVATIONS.items():
        for alpha in sorted(set(curves.loc[curves["activation"] == activation, "alpha"])):
            name = label if alpha < 1 else f"{label}, ordinary start"
            rows = curves[(curves["activation"] == activation) & (curves["alpha"] == alpha)]
            found[name] = rows, {"color": color, "linestyle": "-" if alpha < 1 else "--"}
    return found


def _by_seed(rows: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps, and the curve of each seed (seeds, steps) as far as all have it."""
    wide = rows.pivot_table(index="step", columns="seed", values=column, dropna=False).dropna()
    return wide.index.to_numpy(), wide.to_numpy().T


def _curve(ax: Axes, rows: pd.DataFrame, column: str, **style) -> None:
    """Median and range over seeds: t-intervals of numbers over many decades would reach across zero."""
    steps, values = _by_seed(rows, column)
    if len(steps):
        ax.plot(steps, np.median(values, 0), **style)
        ax.fill_between(steps, values.min(0), values.max(0), color=style["color"], alpha=0.2, linewidth=0)


def _below(fig: Figure, ax: Axes, columns: int) -> None:
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=columns)


def _negative(curves: pd.DataFrame, d: int, about: str) -> Figure:
    fig, axes = figure(
        "double", 1, 2, height=2.8, sharey=True,
        caption=f"Negative eigenvalues of the effective Hessian H = G + M of one sample, of {d} (mean over samples), "
        "while the network trains. Left: with the cosine loss, whose own Hessian has one negative eigenvalue where "
        "output and target agree and all but one where they oppose each other, as in some runs at step 0; so has G "
        "(dotted). Right: with the squared error, whose own Hessian is the identity, so that negative ones come from "
        "the head's curvature M alone. Solid: linear maps scaled down at the start (pseudo-collapse); dashed: not. "
        f"{about}",
    )  # fmt: skip
    for ax, (reading, title) in zip(axes, READINGS.items(), strict=True):
        for name, (rows, style) in heads(curves).items():
            _curve(ax, rows, f"{reading}_negative", label=name, **style)
            _curve(ax, rows, f"{reading}_metric_negative", color=style["color"], linestyle=":", linewidth=0.9)
        ax.set(title=title, xlabel="step")
    axes[0].plot([], [], ":", color="black", linewidth=0.9, label="G alone")
    axes[0].set(ylabel=f"negative eigenvalues (of {d})", ylim=(-0.02 * d, 1.02 * d))
    _below(fig, axes[0], 6)
    return fig


def _lowest(curves: pd.DataFrame, about: str) -> Figure:
    fig, axes = figure(
        "double", 1, 3, height=2.8,
        caption="Left and middle, on one scale: the lowest eigenvalue of H of one sample (mean over samples), on a "
        "signed log axis that is linear next to zero. The cosine loss makes it negative behind every head, so that its "
        "sign does not tell heads apart; under the squared error it is zero, up to round-off, where the head has no "
        "curvature. "
        "Right: norm of M over that of H, which is zero for linear and ReLU heads. Solid: pseudo-collapsed start; "
        f"dashed: ordinary start. {about}",
    )  # fmt: skip
    least = min(curves[f"{reading}_lowest"].min() for reading in READINGS)
    powers = range(round(np.log10(_Z)), int(np.ceil(np.log10(max(-least, 10 * _Z)))) + 1)
    for ax, (reading, title) in zip(axes, READINGS.items(), strict=False):
        for name, (rows, style) in heads(curves).items():
            _curve(ax, rows, f"{reading}_lowest", label=name, **style)
        ax.axhline(0, **REFERENCE)
        ax.set_yscale("symlog", linthresh=_Z)
        ax.set_yticks([0.0, *(-(10.0**power) for power in powers[:: 2 if len(powers) > 8 else 1])])
        ax.set(title=title.split(",")[0], xlabel="step", ylim=(-(10.0 ** (powers[-1] + 0.3)), _Z))
        ax.minorticks_off()
    for rows, style in heads(curves).values():
        _curve(axes[2], rows, "cosine_share", **style)
    axes[0].set_ylabel(r"lowest eigenvalue $\lambda_{\min}$")
    axes[2].set(title="cosine loss", xlabel="step", ylabel=r"$\|M\| \, / \, \|H\|$", ylim=(-0.02, None))
    _below(fig, axes[0], 5)
    return fig


def _spread(curves: pd.DataFrame, d: int, about: str) -> Figure:
    fig, (left, middle, right) = figure(
        "double", 1, 3, height=2.8,
        caption="Left: standard deviation of the backbone's unit outputs (dotted: its largest possible value, "
        "1 / sqrt(d)). Middle: condition number of their covariance, which here has full rank. Right: Spearman's "
        "correlation of the standard deviation with three measures of that covariance along training, without step 0, "
        "a dot per run. The author's condition number is of a singular covariance, 1e7 times its largest "
        f"eigenvalue. Solid lines, full dots: pseudo-collapsed start; dashed, open: ordinary start. {about}",
    )  # fmt: skip
    found = heads(curves)
    for place, (name, (rows, style)) in enumerate(found.items()):
        _curve(left, rows, "std", label=name, **style)
        _curve(middle, rows, "condition", **style)
        later = rows[rows["step"] > 0].groupby("row")
        fill = style["color"] if style["linestyle"] == "-" else "white"
        for x, measure in enumerate(MEASURES):
            values = [run["std"].corr(run[measure], method="spearman") for _, run in later]
            beside = np.full(len(values), x + 0.16 * (place - (len(found) - 1) / 2))
            right.plot(beside, values, "o", color=style["color"], markerfacecolor=fill, markersize=3.5)
    left.axhline(d**-0.5, color="black", linestyle=":", linewidth=0.8)
    left.set(xlabel="step", ylabel="std of unit outputs", ylim=(0, None))
    middle.set(xlabel="step", ylabel="condition number", yscale="log")
    right.axhline(0, **REFERENCE)
    right.set_xticks(range(len(MEASURES)), MEASURES.values())
    right.set(ylabel="Spearman's correlation with std", ylim=(-1.05, 1.05), xlim=(-0.5, len(MEASURES) - 0.5))
    right.grid(False, axis="x")
    _below(fig, left, 5)
    return fig
