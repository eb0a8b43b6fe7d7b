"""What has to change in the made-up world (`worlds`) so that one claim is contradicted."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import mechanism_worlds
import numpy as np
import pandas as pd
from worlds import World


@dataclass(frozen=True)
class Plant:
    """Overwrite one column in the rows that match, by a number or by a function of the old values."""

    experiment: str
    column: str
    value: float | Callable[[pd.Series], pd.Series]
    where: dict = field(default_factory=dict)

    def __call__(self, results: World) -> None:
        held = results[self.experiment]
        table = held.table if self.column in held.table else held.curves
        rows = np.logical_and.reduce(
            [table[name] == wanted for name, wanted in self.where.items()] or [table.index >= 0]
        )
        assert rows.any()
        table[self.column] = table[self.column].astype(float)
        table.loc[rows, self.column] = self.value(table.loc[rows, self.column]) if callable(self.value) else self.value

    def missing(self) -> "Plant":
        """Instead, one seed's values are not there."""
        return replace(self, value=np.nan, where={"seed": 1} | self.where)


def add(amount: float) -> Callable:
    return lambda old: old + amount


def times(amount: float) -> Callable:
    return lambda old: old * amount


def network(task: str, column: str, value) -> Plant:
    """In `regular`."""
    return Plant("regular", column, value, {"variant": f"task_{task}_regular"})


def moved(task: str, column: str, value, **where) -> Plant:
    """In `ood`, on moved inputs."""
    return Plant("ood", column, value, {"variant": f"task_{task}_regular", "shift": {"A": 9.0, "B": 2.0}[task]} | where)


def row(variant: str, column: str, value) -> Plant:
    """In `ablations`."""
    return Plant("ablations", column, value, {"variant": variant})


def run(variant: str, column: str, value) -> Plant:
    """In `plateau`."""
    return Plant("plateau", column, value, {"variant": variant})


def length(variant: str, n: int, column: str, value) -> Plant:
    """In `context_length`."""
    return Plant("context_length", column, value, {"variant": variant, "tested": n})


def layers(task: str, count: int, column: str, value) -> Plant:
    """In `depth`."""
    return Plant("depth", column, value, {"variant": f"task_{task}_regular", "layers": count})


PLANTS: dict[str, Plant] = {
    "C1-A-pearson": network("A", "oracle_pearson", add(-0.06)),
    "C1-A-spearman": network("A", "oracle_spearman", add(0.04)),
    "C1-B-pearson": network("B", "oracle_pearson", add(0.1)),
    "C1-B-spearman": network("B", "oracle_spearman", 0.93),
    "C1-A-ceiling": network("A", "ceiling_spearman", 0.99),
    "C1-B-ceiling": network("B", "oracle_spearman", 0.93),
    "C1-A-monotone": network("A", "bayes_isotonic_r2", add(-0.1)),
    "C1-B-monotone": network("B", "bayes_isotonic_r2", add(-0.1)),
    "C2-accuracy": network("B", "accuracy", add(-0.03)),
    "C2-oracle": network("B", "oracle_accuracy_gap", add(0.01)),
    "C2-bayes": network("B", "bayes_accuracy_gap", add(0.01)),
    "C2-regret": network("B", "bayes_bce_gap", times(2)),
    "C2-not-bayes": network("B", "bayes_bce_gap", times(-1)),
    "C3-accuracy": network("A", "accuracy", add(0.03)),
    "C3-oracle": network("A", "oracle_accuracy_gap", add(-0.07)),
    "C3-information": network("A", "bayes_accuracy", 0.83),
    "C3-regret": network("A", "bayes_bce_gap", times(3)),
    "C4-loses": moved("A", "accuracy", 0.6, shift=3.0),
    "C4-accuracy": moved("A", "accuracy", add(-0.13)),
    "C4-correlation": moved("A", "oracle_pearson", 0.95),
    "C4-rules": moved("A", "plugin_accuracy", 0.77, seed=1),
    "C4-prior": moved("A", "prior_accuracy", 0.77, seed=1),
    "C4-centred": moved("A", "wrapped_accuracy", add(-0.02)),
    "C4-equivariant": moved("A", "wrapped_moved", 0.1, seed=1),
    "C4-scale": moved("B", "accuracy", 0.9),
    "C4-rescaled": moved("B", "wrapped_accuracy", add(-0.02)),
    "C5-kernel": network("A", "dot_raw", 0.8),
    "C5-control": network("A", "dot_bayes", 0.1),
    "C5-fair-A": network("A", "fair_raw", add(-0.5)),
    "C5-fair-B": network("B", "fair_raw", add(-0.5)),
    "C5-partial-A-dot": network("A", "dot_partial", add(0.2)),
    "C5-partial-A-fair": network("A", "fair_partial", add(0.2)),
    "C5-partial-B-fair": network("B", "fair_partial", add(-0.2)),
    "C6-depth-one-layer": layers("B", 1, "recovered", 0.95),
    "C6-depth-second-A": layers("A", 1, "bayes_bce_gap", 0.005),
    "C6-depth-second-B": layers("B", 1, "bayes_bce_gap", 0.005),
    "C6-depth-four-A": layers("A", 4, "bayes_bce_gap", -0.02),
    "C6-depth-four-B": layers("B", 4, "bayes_bce_gap", -0.02),
    "C8-no-labels": row("no_labels", "accuracy", add(0.05)),
    "C8-shuffled-labels": row("shuffled_labels", "accuracy", add(-0.05)),
    "C8-frozen-qk": row("frozen_qk", "accuracy", add(0.2)),
    "C8-frozen-attention": row("frozen_attention", "accuracy", add(0.2)),
    "C8-interleaved": row("interleaved", "accuracy", add(0.2)),
    "C8-no-pos": row("no_pos", "accuracy", add(-0.03)),
    "C8-frozen-pos": row("frozen_pos", "accuracy", add(-0.03)),
    "C8-shuffled-context": row("shuffled_context", "accuracy", add(-0.03)),
    "C8-noise-0.1": row("noisy_labels_p0.1", "accuracy", add(0.1)),
    "C8-noise-0.2": row("noisy_labels_p0.2", "accuracy", add(0.2)),
    "C8-noise-0.4": row("noisy_labels_p0.4", "accuracy", add(0.2)),
    "C8-plateau-escape": run("noisy_labels_p0.2", "escaped", 0),
    "C8-plateau-noise": run("noisy_labels_p0.2", "escape_step", times(0.3)),
    "C8-plateau-seeds": run("task_A_regular", "escape_step", lambda steps: 150 + steps / 10),
    "C8-context-published": row("context_increase", "accuracy", add(-0.03)),
    "C8-context-64": length("task_A_regular", 64, "accuracy", 0.8),
    "C8-context-bayes": length("task_A_regular", 4, "bayes_accuracy_gap", times(4)),
    "C8-context-any": length("no_pos", 128, "accuracy", 0.7),
} | {id: Plant(*plant) for id, plant in mechanism_worlds.PLANTS.items()}

BESIDES: dict[str, set[str]] = mechanism_worlds.BESIDES | {
    # Published ranks of task B are .016 from the largest that there are.
    "C1-B-spearman": {"C1-B-ceiling"},
    "C1-B-ceiling": {"C1-B-spearman"},
    # Of a gap that is not there nothing is for want of information.
    "C3-oracle": {"C3-information"},
    # A network that is a kernel smoother differs from Bayes in that.
    "C5-kernel": {"C5-control"},
}
"""What else a plant takes away, and why it cannot be otherwise; nothing where an id is not there."""

ABOUT_EVERY_VALUE = {"C4-rules", "C4-prior", "C4-equivariant"} | mechanism_worlds.ABOUT_EVERY_VALUE
"""Statements that one value can contradict; all others are about sizes, and are judged over seeds."""
