"""Figures of the published rows: accuracy and regret of each, and their learning curves."""

import numpy as np
from matplotlib.figure import Figure

from icl_lrt.experiments.appearance import (
    PUBLISHED,
    REFERENCE,
    ROWS,
    SEEDS,
    mean_of,
    networks,
    numbers,
    standard,
)
from repro_shared.plotting import PALETTE, band, figure
from repro_shared.runlog import Results

PUBLISHED_ACCURACY = {
    "task_A_regular": 0.7833, "task_B_regular": 0.8295, "task_A_OOD": 0.6465, "no_pos": 0.7818, "frozen_pos": 0.7808,
    "shuffled_context": 0.7800, "context_increase": 0.7593, "noisy_labels_p0.1": 0.7021, "noisy_labels_p0.2": 0.5332,
    "noisy_labels_p0.4": 0.4965, "interleaved": 0.4941, "frozen_qk": 0.4957, "frozen_attention": 0.5040,
    "shuffled_labels": 0.4962, "no_labels": 0.5020,
}  # fmt: skip
PANELS = {
    "position and order": ("task_A_regular", "no_pos", "frozen_pos", "shuffled_context", "context_increase",
                           "context_increase_repaired"),
    "label noise": ("task_A_regular", "noisy_labels_p0.1", "noisy_labels_p0.2", "noisy_labels_p0.4"),
    "binding and attention": ("task_A_regular", "interleaved", "frozen_qk", "frozen_attention", "shuffled_labels",
                              "no_labels"),
}  # fmt: skip


def draw(results: Results) -> dict[str, Figure]:
    """Whichever rows there are."""
    return {"regret": _regret(results), "learning": _learning(results)}


def _regret(results: Results) -> Figure:
    table = standard(results.table)
    held = [row for row in ROWS if (table["variant"] == row).any()][::-1]
    fig, (left, right) = figure(
        "double", 1, 2, height=0.6 + 0.24 * len(held), sharey=True,
        caption="Left: accuracy of every published row and of the repaired one, on the episodes that the row has "
        "(task_A_OOD: sigma_k = 3), with the exact Bayes predictive on the same queries (bars). White "
        "diamonds: published accuracies, which are of the published size. Right: cross-entropy above that of Bayes; "
        f"bars: that of guessing. {SEEDS} {networks(table)}",
    )  # fmt: skip
    for place, row in enumerate(held):
        rows = table[table["variant"] == row]
        bayes = numbers(rows["bayes_bce"]).mean()
        guessing = np.log(2) - bayes
        _horizontal(left, place, rows["accuracy"])
        _horizontal(right, place, rows["bayes_bce_gap"])
        left.plot(numbers(rows["bayes_accuracy"]).mean(), place, "|", color="black", markersize=9)
        right.plot(guessing, place, "|", color="#888888", markersize=9)
        if row in PUBLISHED_ACCURACY:
            left.plot(PUBLISHED_ACCURACY[row], place - 0.25, **PUBLISHED)
    left.axvline(0.5, **REFERENCE)
    right.axvline(0, **REFERENCE)
    left.set_yticks(range(len(held)), [ROWS[row] for row in held])
    left.set_xlabel("accuracy")
    right.set_xlabel("regret to Bayes (nats)")
    return fig


def _horizontal(ax, place: int, values) -> None:
    """Mean with its interval and seeds' dots along x."""
    values = numbers(values)
    ax.plot(values, np.full(len(values), place + 0.2), "o", color=PALETTE[0], alpha=0.45, markersize=2,
            markeredgewidth=0)  # fmt: skip
    mean, low, high = mean_of(values)
    ax.errorbar([mean], [place], xerr=np.nan_to_num([[mean - low], [high - mean]]), fmt="o", color=PALETTE[0],
                capsize=2, elinewidth=0.9)  # fmt: skip


def _learning(results: Results) -> Figure:
    curves = standard(results.curves)
    fig, axes = figure(
        "double", 1, len(PANELS), height=3.0, sharey=True,
        caption="Validation loss while networks of each row train; the grey line is guessing, ln 2. A row that is "
        "still there at the end need not be unable to learn: see the plateau. Mean over seeds with 95 % t-bands. "
        f"{networks(standard(results.table))}",
    )  # fmt: skip
    for ax, (title, rows) in zip(axes, PANELS.items(), strict=True):
        for number, row in enumerate(rows):
            held = curves[curves["variant"] == row]
            if len(held):
                wide = held.pivot_table(index="step", columns="seed", values="validation_loss").dropna()
                band(ax, wide.index, wide.to_numpy().T, ROWS[row], PALETTE[number - 1] if number else "black")
        ax.axhline(np.log(2), color="#888888", linewidth=0.8)
        ax.set(title=title, xlabel="step")
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2, fontsize=6, columnspacing=0.8)
    axes[0].set_ylabel("validation loss (nats)")
    return fig
