"""Figures of trained networks: logits against both yardsticks, performance, kernels, learning curves."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from icl_lrt.experiments.appearance import (
    PUBLISHED,
    REFERENCE,
    RULES,
    SEEDS,
    TASKS,
    interval_points,
    networks,
    numbers,
    standard,
)
from repro_shared.plotting import band, figure
from repro_shared.runlog import Results

PUBLISHED_ACCURACY = {"A": 0.7833, "B": 0.8295}
PUBLISHED_REGRET = {"A": (0.0114, 0.0185, 0.0398), "B": (0.0099, 0.0059, 0.0075)}
"""Nats, the three published networks, evaluated by us."""
PUBLISHED_KERNEL = 0.314
READINGS = {"raw": ("logit", "o"), "bayes": ("Bayes log-odds (control)", "s"), "partial": ("logit, given Bayes", "^")}
KERNELS = {"dot": "published\nkernel", "fair": "fair\nkernel"}
_CUT = 60.0
"""Nats beyond which points of task B's axes are left out: they run to hundreds."""


def draw(results: Results) -> dict[str, Figure]:
    """Whichever tasks, methods and seeds there are."""
    return {
        "scatter": _scatter(results),
        "performance": _performance(results),
        "kernels": _kernels(results),
        "learning": _learning(results),
    }


def _of_tasks(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Task -> rows of the method that claims are about."""
    table = standard(table)
    found = {task: table[table["variant"] == f"task_{task}_regular"] for task in TASKS}
    return {task: rows for task, rows in found.items() if len(rows)}


def _scatter(results: Results) -> Figure:
    tasks = _of_tasks(results.table)
    fig, axes = figure(
        "double", len(tasks), 2, height=2.5 * len(tasks), squeeze=False,
        caption="The network's logit for fresh queries, one dot each, against the true log-likelihood ratio (left, as "
        "published) and against the exact Bayes log-odds given the context (right), which no rule can better. "
        f"Correlations over all queries of the evaluation; dots beyond {_CUT:.0f} nats are left out. The network with "
        f"the lowest seed. {networks(standard(results.table))}",
    )  # fmt: skip
    for (task, rows), (left, right) in zip(tasks.items(), axes, strict=True):
        name, color = TASKS[task]
        row = rows.sort_values("seed").iloc[0]
        logit = results.array(row, "shown_logit")
        for ax, which, reference in ((left, "llr", "oracle"), (right, "bayes", "bayes")):
            x = results.array(row, f"shown_{which}")
            kept = np.abs(x) < _CUT
            ax.plot(x[kept], logit[kept], ".", color=color, markersize=2, alpha=0.4, rasterized=True)
            ax.axline((0, 0), slope=1, **REFERENCE, linestyle=":")
            r, rho = row[f"{reference}_pearson"], row[f"{reference}_spearman"]
            ax.set(title=f"{name}: r = {r:.3f}, $\\rho$ = {rho:.3f}", ylabel="logit", ylim=(1.1 * logit.min(),
                   1.1 * logit.max()))  # fmt: skip
        left.set_xlabel("log-likelihood ratio")
        right.set_xlabel("Bayes log-odds")
    return fig


def _performance(results: Results) -> Figure:
    tasks = _of_tasks(results.table)
    fig, (left, middle, right) = figure(
        "double", 1, 3, height=2.8,
        caption="Left: accuracy of the network and of rules on the same queries. Middle: what it lacks to the oracle, "
        "which knows the parameters, and to the Bayes predictive, which knows the context alone (paired). Right: its "
        "cross-entropy above that of Bayes. White diamonds: published accuracies, and the three published networks' "
        f"regret. {SEEDS} {networks(standard(results.table))}",
    )  # fmt: skip
    places = np.arange(len(tasks))
    for shift, (rule, prefix) in enumerate(
        {"network": "", "plugin": "plugin_", "bayes": "bayes_", "oracle": "oracle_"}.items()
    ):
        name, color, style = RULES[rule]
        marker = style[0] if style[0] in "osv^" else "D"
        interval_points(left, places + 0.15 * (shift - 1.5), [rows[f"{prefix}accuracy"] for rows in tasks.values()],
                        color, marker, label=name)  # fmt: skip
    for shift, reference in enumerate(("oracle", "bayes")):
        name, color, _ = RULES[reference]
        values = [100 * rows[f"{reference}_accuracy_gap"].astype(float) for rows in tasks.values()]
        interval_points(middle, places + 0.2 * (shift - 0.5), values, color, "o", label=f"to the {name}")
    interval_points(right, places, [rows["bayes_bce_gap"] for rows in tasks.values()], RULES["network"][1], "o")
    for place, task in enumerate(tasks):
        left.plot(place - 0.3, PUBLISHED_ACCURACY[task], **PUBLISHED, label=None if place else "published")
        regrets = PUBLISHED_REGRET[task]
        right.plot(np.full(len(regrets), place + 0.2), regrets, **PUBLISHED)
    fig.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    left.set_ylabel("accuracy")
    middle.axhline(0, **REFERENCE)
    middle.legend()
    middle.set_ylabel("accuracy gap (points)")
    right.axhline(0, **REFERENCE)
    right.set_ylabel("regret to Bayes (nats)")
    for ax in (left, middle, right):
        _name_tasks(ax, tasks)
    return fig


def _name_tasks(ax: Axes, tasks: dict[str, pd.DataFrame]) -> None:
    ax.set_xticks(range(len(tasks)), [TASKS[task][0].replace(", ", "\n") for task in tasks])
    ax.set_xlim(-0.6, len(tasks) - 0.4)


def _kernels(results: Results) -> Figure:
    tasks = _of_tasks(results.table)
    fig, axes = figure(
        "double", 1, len(tasks), height=2.5, sharey=True, squeeze=False,
        caption="Pearson correlation with Nadaraya-Watson kernel smoothers: the published one (inner products, white "
        "diamond: published value) and one that can express the task, its bandwidth chosen on context points alone. "
        "Circles: the network's logit. Squares: the exact Bayes log-odds, which are no kernel smoother. Triangles: "
        f"what is left of the network's when Bayes is taken out. {SEEDS} {networks(standard(results.table))}",
    )  # fmt: skip
    for ax, (task, rows) in zip(axes[0], tasks.items(), strict=True):
        for shift, (reading, (name, marker)) in enumerate(READINGS.items()):
            values = [rows[f"{kernel}_{reading}"] for kernel in KERNELS]
            interval_points(ax, np.arange(len(KERNELS)) + 0.2 * (shift - 1), values, TASKS[task][1], marker, label=name)
        if task == "A":
            ax.plot(-0.35, PUBLISHED_KERNEL, **PUBLISHED)
        ax.axhline(0, **REFERENCE)
        ax.set_xticks(range(len(KERNELS)), KERNELS.values())
        ax.set(title=TASKS[task][0], xlim=(-0.6, len(KERNELS) - 0.4))
    axes[0, 0].set_ylabel("correlation with the kernel smoother")
    axes[0, 0].legend()
    return fig


def _learning(results: Results) -> Figure:
    tasks, curves = _of_tasks(results.table), standard(results.curves)
    fig, axes = figure(
        "double", 1, len(tasks), height=2.4, sharey=True, squeeze=False,
        caption="Accuracy while the network trains, in training (mean since the validation before) and in validation, "
        "with the exact Bayes predictive (dashed) and the oracle (dotted) on the episodes of the evaluation. Mean over "
        f"seeds with 95 % t-bands. {networks(standard(results.table))}",
    )  # fmt: skip
    for ax, (task, rows) in zip(axes[0], tasks.items(), strict=True):
        name, color = TASKS[task]
        held = curves[curves["variant"] == f"task_{task}_regular"]
        for column, label, style in (
            ("validation_accuracy", "validation", "-"),
            ("training_accuracy", "training", ":"),
        ):
            wide = held.pivot_table(index="step", columns="seed", values=column).dropna()
            band(ax, wide.index, wide.to_numpy().T, label, color, linestyle=style)
        for rule in ("bayes", "oracle"):
            label, shade, style = RULES[rule]
            ax.axhline(numbers(rows[f"{rule}_accuracy"]).mean(), color=shade, linestyle=style, linewidth=1, label=label)
        ax.axhline(0.5, **REFERENCE)
        ax.set(title=name, xlabel="step")
    axes[0, 0].set_ylabel("accuracy")
    axes[0, 0].legend(loc="lower right")
    return fig
