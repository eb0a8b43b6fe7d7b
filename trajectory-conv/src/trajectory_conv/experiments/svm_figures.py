"""Figures of the SVM dual."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results

LABELS = {
    "linear_soft": "linear, C = .05",
    "linear_hard": "linear, C = 1",
    "rbf_wide": r"RBF $\gamma$ = .1",
    "rbf_narrow": r"RBF $\gamma$ = .5",
    "cancer_rbf": "breast cancer, RBF",
}


def draw(results: Results) -> dict[str, Figure]:
    """Gap and certificate of the first seed; measured against predicted rate over all seeds."""
    return {"svm": _svm(results.curves[results.curves["seed"] == results.curves["seed"].min()], results.table)}


def _svm(curves: pd.DataFrame, table: pd.DataFrame) -> Figure:
    fig, (left, right) = figure(
        "double", 1, 2, height=2.9,
        caption="Projected gradient on the dual of the SVM. Left: gap (solid) and certificate of the faces visited "
        "(dashed). Right: measured contraction on the final face over mu_F / L, one mark per seed; missing where the "
        "face is not identified within the run.",
    )  # fmt: skip
    names = list(dict.fromkeys(table["tasks"]))
    for name, color in zip(names, PALETTE, strict=False):
        rows = curves[curves["tasks"] == name]
        left.loglog(rows["step"] + 1, rows["gap"], color=color, label=LABELS[name])
        left.loglog(rows["step"] + 1, rows["bound"], color=color, linestyle="--", linewidth=0.8)
    left.set(xlabel="iteration k + 1", ylabel=r"$F(x_k) - F^*$", ylim=(1e-14, 300))
    left.legend(loc="lower left")
    for x, name in enumerate(names):
        values = table[table["tasks"] == name]["rate_ratio"].dropna().astype(float)
        right.plot(np.full(len(values), x), values, "o", color=PALETTE[x], alpha=0.7)
    right.axhline(1, color="black", linewidth=0.8)
    right.set_xticks(range(len(names)), [LABELS[name] for name in names], rotation=30, ha="right")
    right.set_ylabel(r"$(1 - r)\, L / \mu_F$")
    return fig
