"""Figures of the implications between restricted conditions."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results


def draw(results: Results) -> dict[str, Figure]:
    """Gradient descent, the scalar example and the missing global bound side by side; slacks of the implications."""
    table = results.table
    return {"restriction": _restriction(table), "implications": _implications(table)}


def _restriction(table: pd.DataFrame) -> Figure:
    fig, (left, middle, right) = figure(
        "double", 1, 3, height=2.6,
        caption="Restriction matters. Left: gradient descent started in the span of k leading eigenvectors contracts "
        "by (1 - mu_k)^2 (line); the global constant would promise no visible progress. Middle: x^2 + 3 sin^2 x is not "
        "convex; its PL constant is better on smaller intervals, and gradient descent keeps its promise. Right: along "
        "null(A) the error bound degrades without limit.",
    )  # fmt: skip
    descent = table[table["part"] == "descent"]
    k = descent["leading"].to_numpy(int)
    left.semilogy(k, 1 - descent["measured"].astype(float), "o", color=PALETTE[0], alpha=0.6, label="measured")
    order = np.argsort(k)
    left.semilogy(k[order], 1 - descent["predicted"].to_numpy(float)[order], color="black", label="restricted")
    left.semilogy(k[order], 1 - descent["global"].to_numpy(float)[order], ":", color="black", label="global")
    left.set(xlabel="k", ylabel="1 − contraction per step")
    left.legend()
    scalar = table[table["part"] == "scalar"]
    radius = scalar["radius"].astype(float)
    middle.plot(radius, scalar["pl"].astype(float) / 8, "o-", color=PALETTE[1], label=r"restricted $\mu / L$")
    middle.plot(radius, 1 - scalar["measured"].astype(float), "s--", color=PALETTE[2], label="measured")
    middle.set(xlabel="interval |x| ≤ r", ylabel="1 − contraction per step", yscale="log")
    middle.legend(loc="center right")
    bound = table[table["part"] == "null_space"]
    right.loglog(bound["distance"].astype(float), bound["ratio"].astype(float), "o", color=PALETTE[3], alpha=0.6)
    right.set(xlabel="move t along null(A)", ylabel=r"dist / $\|R\|$")
    return fig


def _implications(table: pd.DataFrame) -> Figure:
    fig, (left, right) = figure(
        "double", 1, 2, height=2.6, width_ratios=(3, 2),
        caption="Left: least slack of the pointwise implications over random points, in units of L, by distance from "
        "the optimum; never negative beyond rounding. Right: constants measured on trajectories over those that "
        "restricted PL implies with our constants: valid (above 1) and loose.",
    )  # fmt: skip
    points = table[table["part"] == "pointwise"]
    names = {
        "pl_from_growth": "growth ⇒ PL",
        "pl_from_error_bound": "error bound ⇒ PL",
        "contraction": "PL ⇒ contraction",
    }
    for (name, label), color in zip(names.items(), PALETTE, strict=False):
        rows = points[points["implication"] == name]
        left.loglog(
            rows["scale"].astype(float), rows["slack"].astype(float).clip(lower=1e-16), "o", color=color, label=label
        )
    left.set(xlabel="distance from the optimum", ylabel="least slack / L")
    left.legend()
    paths = table[table["part"] == "invariant"]
    for x, (name, label) in enumerate(
        {"growth_from_pl": "PL ⇒ growth", "error_bound_from_pl": "PL ⇒ error bound"}.items()
    ):
        values = paths[paths["implication"] == name]["ratio"].astype(float)
        right.plot(np.full(len(values), x), values, "o", color=PALETTE[x], label=label, alpha=0.7)
    right.axhline(1, color="black", linewidth=0.8)
    right.set_xticks([0, 1], ["PL ⇒ growth", "PL ⇒ error bound"])
    right.set(xlim=(-0.5, 1.5), ylabel="measured / implied", ylim=(0, None))
    return fig
