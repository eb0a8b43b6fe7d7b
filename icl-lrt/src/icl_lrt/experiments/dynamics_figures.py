"""Figures of networks on their way from chance to Bayes."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from icl_lrt.experiments.appearance import REFERENCE, TASKS, networks
from icl_lrt.experiments.mechanism_figures import by_task
from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results

RULES = {
    "bayes": ("Bayes", PALETTE[0]),
    "dot": ("published smoother", PALETTE[1]),
    "fair": ("fair smoother", PALETTE[2]),
}
"""Rule -> name and colour."""
CONTROL = {"linestyle": ":", "linewidth": 1}
"""Style of what belongs to the rules themselves."""


def draw(results: Results) -> dict[str, Figure]:
    """Correlations, partial correlations and accuracy, one row of panels per task."""
    tasks = by_task(results.table)
    if not tasks:
        return {}
    fig, axes = figure(
        "double", len(tasks), 3, height=2.1 * len(tasks) + 0.6, squeeze=False,
        caption="Networks on their way: the logit on 1,000 queries, asked 24 times; mean over seeds, and every seed "
        "thin. Left: Pearson's r with the Bayes log-odds and with kernel smoothers (published: softmax of x'x_i; fair: "
        "a Gaussian of the distance, task A, or of squared norms, task B, at its best bandwidth); dotted, what Bayes "
        "itself has with each smoother, which task B's logit exceeds because it saturates. Middle: partial "
        "correlations, by splines: with a smoother given Bayes, and with Bayes given the smoother. Right: accuracy; "
        f"dotted, that of the rules. {networks(next(iter(tasks.values())))}",
    )  # fmt: skip
    for (task, rows), (raw, partial, accuracy) in zip(tasks.items(), axes, strict=True):
        scalars = rows.mean(numeric_only=True)
        for rule, (_, color) in RULES.items():
            _over_seeds(raw, results, rows, rule, color)
            accuracy.axhline(scalars[f"{rule}_accuracy"], color=color, **CONTROL)
            if rule != "bayes":
                raw.axhline(scalars[f"bayes_{rule}"], color=color, **CONTROL)
                _over_seeds(partial, results, rows, f"{rule}_given_bayes", color)
                _over_seeds(partial, results, rows, f"bayes_given_{rule}", color, linestyle="--")
        _over_seeds(accuracy, results, rows, "accuracy", "#222222")
        for ax in (raw, partial):
            ax.axhline(0, **REFERENCE)
            ax.set_ylim(-0.3, 1.05)
        for ax, label in ((raw, "correlation"), (partial, "partial correlation"), (accuracy, "accuracy")):
            ax.set(title=TASKS[task][0], xlabel="step", ylabel=label)
    named = {name: {"color": color} for name, color in RULES.values()}
    named |= {"smoother, given Bayes": {"color": "#777777"}, "Bayes, given smoother": {"color": "#777777", "ls": "--"}}
    named |= {"network": {"color": "#222222"}, "the rule itself": {"color": "#777777"} | CONTROL}
    handles = [Line2D([], [], label=name, **style) for name, style in named.items()]
    fig.legend(handles=handles, loc="outside lower center", ncols=4)
    return {"dynamics": fig}


def _over_seeds(ax: Axes, results: Results, rows: pd.DataFrame, name: str, color: str, **line) -> None:
    """A curve's mean over networks, and each of them."""
    held = results.curves[results.curves["row"].isin(rows.index)]
    curves = held.pivot(index="step", columns="row", values=name).astype(float)
    ax.plot(curves.index, curves.mean(axis=1), label=name, color=color, linewidth=1.6, **line)
    ax.plot(curves.index, curves, color=color, linewidth=0.5, alpha=0.5, **line)
