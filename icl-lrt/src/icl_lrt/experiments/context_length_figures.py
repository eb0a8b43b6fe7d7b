"""Figure of the context's length: accuracy with both yardsticks, and regret."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from icl_lrt.experiments.appearance import REFERENCE, RULES, SEEDS, TASKS, interval_points, networks, standard
from repro_shared.plotting import PALETTE, figure
from repro_shared.runlog import Results

ANY = ("one network without positions", PALETTE[2], "s-")
"""Name, colour and line of the network that is asked with all n."""


def draw(results: Results) -> dict[str, Figure]:
    """Whichever tasks and lengths there are."""
    table = standard(results.table)
    tasks = {task: table[table["variant"] == f"task_{task}_regular"] for task in TASKS}
    tasks = {task: rows for task, rows in tasks.items() if len(rows)}
    no_positions = table[table["variant"] == "no_pos"]
    trained = sorted(set(no_positions["trained"].astype(int)))
    fig, axes = figure(
        "double", len(tasks), 2, height=2.6 * len(tasks), squeeze=False,
        caption="Accuracy (left) and cross-entropy above that of Bayes (right) against the labelled points n that are "
        "shown. Circles: a network for each n, trained and asked with n points. Squares: networks without positions, "
        f"trained with n = {', '.join(map(str, trained)) or 'none'} and asked with all n. Dashed: the exact Bayes "
        "predictive, the best that n points allow; triangles: the plug-in rule; dotted: the oracle, which needs none. "
        f"{SEEDS} {networks(table)}",
    )  # fmt: skip
    for (left, right), (task, rows) in zip(axes, tasks.items(), strict=True):
        for prefix, rule in {"": "network", "bayes_": "bayes", "plugin_": "plugin", "oracle_": "oracle"}.items():
            name, color, style = RULES[rule]
            _line(left, rows, f"{prefix}accuracy", color, style, name)
        _line(right, rows, "bayes_bce_gap", *RULES["network"][1:], "a network for each n")
        if task == "A" and len(no_positions):
            name, color, style = ANY
            _line(left, no_positions, "accuracy", color, style, name)
            _line(right, no_positions, "bayes_bce_gap", color, style, name)
        right.axhline(0, **REFERENCE)
        left.set(ylabel=f"{TASKS[task][0]}: accuracy")
        right.set(ylabel="regret to Bayes (nats)")
        left.legend(loc="lower right")
        for ax in (left, right):
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_formatter("{x:g}")
            ax.set_xlabel("labelled points n")
    return {"length": fig}


def _line(ax: Axes, rows: pd.DataFrame, column: str, color: str, style: str, name: str) -> None:
    by_n = {int(n): held[column] for n, held in rows.groupby("tested")}
    interval_points(ax, np.array(list(by_n)), list(by_n.values()), color, style, label=name)
