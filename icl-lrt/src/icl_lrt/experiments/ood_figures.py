"""Figure of moved inputs: accuracy and correlation against the shift, with the repair."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from icl_lrt.experiments.appearance import PUBLISHED, RULES, SEEDS, TASKS, interval_points, networks, standard
from repro_shared.plotting import figure
from repro_shared.runlog import Results

SHIFTS = {"A": "standard deviation of the shift, $\\sigma_k$", "B": "factor on all inputs"}
WRAPPERS = {"A": "network, centred inputs", "B": "network, rescaled inputs"}
LINES = {"": "network", "wrapped_": "centred", "plugin_": "plugin", "bayes_": "bayes"}
"""Prefix of a column -> rule."""
PUBLISHED_POINTS = {"accuracy": (0.7833, 0.6465), "oracle_pearson": (0.859, 0.567)}
"""At sigma_k = 3 and 9."""


def draw(results: Results) -> dict[str, Figure]:
    """Whichever tasks and shifts there are."""
    table = standard(results.table)
    tasks = {task: table[table["variant"] == f"task_{task}_regular"] for task in TASKS}
    tasks = {task: rows for task, rows in tasks.items() if len(rows)}
    fig, axes = figure(
        "double", 2, len(tasks), height=4.4, sharey="row", squeeze=False,
        caption="Top: accuracy on inputs that are moved at test time, same draws. Left: a wider nuisance shift than in "
        "training (sigma_k = 3); right: all inputs times a factor. Bayes knows how they are moved. The wrapper "
        "subtracts the context's mean (left) or brings its root mean square to that of training (right); nothing is "
        "trained for it. Bottom: Pearson correlation of the logit with the log-likelihood ratio. White diamonds: "
        f"published. {SEEDS} {networks(table)}",
    )  # fmt: skip
    for (top, bottom), (task, rows) in zip(axes.T, tasks.items(), strict=True):
        for prefix, rule in LINES.items():
            name, color, style = RULES[rule]
            name = WRAPPERS[task] if rule == "centred" else name
            _line(top, rows, f"{prefix}accuracy", color, style, name)
        for prefix in ("", "wrapped_"):
            name, color, style = RULES[LINES[prefix]]
            _line(bottom, rows, f"{prefix}oracle_pearson", color, style, name)
        top.set(title=TASKS[task][0])
        bottom.set(xlabel=SHIFTS[task])
        if task == "A":
            for ax, column in ((top, "accuracy"), (bottom, "oracle_pearson")):
                ax.plot((3, 9), PUBLISHED_POINTS[column], **PUBLISHED)
        else:
            for ax in (top, bottom):
                ax.set_xscale("log", base=2)
                ax.xaxis.set_major_formatter("{x:g}")
        top.legend(loc="lower left")
    axes[0, 0].set_ylabel("accuracy")
    axes[1, 0].set_ylabel("r with the LLR")
    return {"shift": fig}


def _line(ax, rows: pd.DataFrame, column: str, color: str, style: str, name: str) -> None:
    by_shift = {shift: held[column] for shift, held in rows.groupby("shift")}
    interval_points(ax, np.array(list(by_shift)), list(by_shift.values()), color, style, label=name)
