"""Figure of depth: regret and the way to Bayes against the number of layers."""

import numpy as np
from matplotlib.figure import Figure

from icl_lrt.experiments.appearance import REFERENCE, SEEDS, TASKS, interval_points, networks, standard
from repro_shared.plotting import figure
from repro_shared.runlog import Results


def draw(results: Results) -> dict[str, Figure]:
    """Whichever tasks and depths there are."""
    table = standard(results.table)
    fig, (left, right) = figure(
        "double", 1, 2, height=2.5,
        caption="Networks of different depth, equal steps. Left: cross-entropy above that of the exact Bayes "
        "predictive. Right: how much of the way from guessing (ln 2) to Bayes they go, in cross-entropy. If one task "
        "were solved in one layer and the other needed two, their lines would part at one layer. "
        f"{SEEDS} {networks(table)}",
    )  # fmt: skip
    for task, (name, color) in TASKS.items():
        rows = table[table["variant"] == f"task_{task}_regular"]
        by_layers = {int(layers): held for layers, held in rows.groupby("layers")}
        for ax, column, scale in ((left, "bayes_bce_gap", 1), (right, "recovered", 100)):
            values = [scale * held[column].astype(float) for held in by_layers.values()]
            if values:
                interval_points(ax, np.array(list(by_layers)), values, color, "o-", label=name)
    left.axhline(0, **REFERENCE)
    right.axhline(100, **REFERENCE)
    left.set_ylabel("regret to Bayes (nats)")
    right.set_ylabel("way from guessing to Bayes (%)")
    left.legend()
    for ax in (left, right):
        ax.set_xlabel("layers")
        ax.set_xticks(sorted(set(table["layers"])))
    return {"depth": fig}
