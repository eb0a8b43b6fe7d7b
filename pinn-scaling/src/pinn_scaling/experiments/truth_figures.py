"""Figures of the claimed solutions."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pinn_scaling import published
from pinn_scaling.experiments.appearance import PROBLEMS, PUBLISHED, kappa_axis
from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results


def draw(results: Results) -> dict[str, Figure]:
    """Published KdV: claimed and computed solution, and the distance that its errors measure; all problems' checks."""
    table = results.table
    return {"kdv_truth": _kdv(results, table[table["pde"] == "kdv_published"]), "checks": _checks(table)}


def _kdv(results: Results, table: pd.DataFrame) -> Figure:
    fig, (left, right) = figure(
        "double", 1, 2, height=2.6,
        caption='KdV as published. Left: the claimed "truth" (dashed) and the solution of the author\'s problem '
        '(solid) at three times, kappa = 1. Right: their distance on his test grid, and his errors for the narrowest '
        'and the widest network.',
    )  # fmt: skip
    row = table[table["kappa"] == 1.0].iloc[0]
    x, times = results.array(row, "x"), results.array(row, "times")
    for color, place in zip(PALETTE, (0, len(times) // 2, len(times) - 1), strict=False):
        label = f"t = {times[place]:g}"
        left.plot(x, results.array(row, "computed")[place], color=color, label=label)
        left.plot(x, results.array(row, "claimed")[place], "--", color=color)
    left.set(xlabel="x", ylabel="u")
    left.legend()
    right.plot(table["kappa"], table["test_grid_distance"].astype(float), "k-", label="distance of two functions")
    errors = published.errors("kdv_published", "tanh")
    for width, marker in ((16, "o"), (2048, "s")):
        own = errors[errors["width"] == width]
        right.plot(
            own["kappa"], own["err"], marker, **PUBLISHED | {"linestyle": "none"}, label=f"published, N = {width}"
        )
    kappa_axis(right, errors["kappa"])
    right.set(ylabel="relative distance", ylim=(0, None))
    right.legend()
    return fig


def _checks(table: pd.DataFrame) -> Figure:
    fig, axes = figure(
        "double", 1, 3, height=2.6, sharey=True,
        caption="Every claimed solution, one mark per kappa: residual of the equation over the largest derivative, "
        "largest violation of a condition, and relative distance from a numerical solution. A distance of zero is "
        "drawn at 1e-17.",
    )  # fmt: skip
    names = list(dict.fromkeys(table["pde"]))[::-1]
    for ax, column in zip(axes, ("residual", "condition", "distance"), strict=True):
        for place, pde in enumerate(names):
            values = table[table["pde"] == pde][column].astype(float)
            ax.plot(np.maximum(values, 1e-17), np.full(len(values), place), "o", color=PROBLEMS[pde][1], alpha=0.6)
        ax.set(xscale="log", title=column)
    axes[0].set_yticks(range(len(names)), [PROBLEMS[name][0] for name in names])
    return fig
