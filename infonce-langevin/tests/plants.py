"""What has to change in the made-up world (`worlds`) so that one claim is contradicted."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

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
    lacking: dict = field(default_factory=lambda: {"seed": 1})
    """Which of these rows `missing` is about."""

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
        """Instead, the values of one seed or grid are not there."""
        return replace(self, value=np.nan, where=self.where | self.lacking)


def add(amount: float) -> Callable:
    return lambda old: old + amount


def times(amount: float) -> Callable:
    return lambda old: old * amount


def toy(part: str, column: str, value, **where) -> Plant:
    return Plant("toy", column, value, {"part": part} | where)


def exact(column: str, value, grid: int = 480, **where) -> Plant:
    """In the exact part of `traps`, whose two grids stand for seeds."""
    return Plant("traps", column, value, {"part": "exact"} | where, {"size": grid})


def landscape(kind: str, column: str, value) -> Plant:
    """In the depths of `traps`, of which there is one."""
    return Plant("traps", column, value, {"part": "depth", "kind": kind}, {})


def chains(part: str, value, **where) -> Plant:
    """In the simulated parts of `traps`."""
    return Plant("traps", "trapped_at_end", value, {"part": part} | where)


def bound(column: str, value, **where) -> Plant:
    return Plant("bound", column, value, where, {"size": 400})


def shape(kind: str, value) -> Plant:
    """In the exact part of `shapes`."""
    return Plant("shapes", "success", value, {"part": "exact", "kind": kind}, {"size": 480})


def budget(kind: str, value) -> Plant:
    return Plant("shapes", "success", value, {"part": "budget", "kind": kind})


def fixed(kind: str, end: float, value, column: str = "success") -> Plant:
    """In `noise`, at fixed beta."""
    return Plant("noise", column, value, {"part": "fixed", "kind": kind, "end": end})


def trained(plan: str, optimizer: str, value, column: str = "accuracy") -> Plant:
    return Plant("contrastive", column, value, {"plan": plan, "optimizer": optimizer})


PLANTS: dict[str, Plant] = {
    "C1-gibbs": toy("gibbs", "success", add(0.05), kind="langevin, uniform", end=10.0),
    "C1-gibbs-hot": toy("gibbs", "success", add(0.05), kind="langevin, uniform", end=6.0),
    "C1-metropolis": toy("gibbs", "success", add(-0.05), kind="metropolis, uniform", end=10.0),
    "C1-only": toy("gibbs", "success", add(-0.05), kind="langevin, maximum", end=10.0),
    "C1-hitting-10": toy("hitting", "mean", times(1.2), kind="fixed", end=10.0),
    "C1-hitting-100": toy("hitting", "mean", times(0.8), kind="fixed", end=100.0),
    "C2-hitting-0.1": toy("hitting", "mean", times(1.3), c=0.1),
    "C2-hitting-1": toy("hitting", "mean", times(1.3), c=1.0),
    "C2-slow": exact("last", 0.1, kind="trap", coupling="decoupled", ratio=0.75),
    "C2-square": chains("square", 0.05, ratio=0.5),
    "C2-literal": exact("last", 0.4, kind="trap", coupling="literal", ratio=0.8),
    "C3-toy-curve": toy("rates", "success", add(0.1), c=5.177, end=10.0),
    "C3-toy-failing": toy("hitting", "failure", 0.2, c=10.0),
    "C3-toy-stuck": toy("gibbs", "success", 1.0, kind="langevin, uniform", end=200.0),
    "C3-fast": exact("last", 0.01, kind="trap", coupling="decoupled", ratio=2.0),
    "C3-settled": exact("trapped", 0.4, kind="trap", coupling="decoupled", ratio=2.0, step=10_000),
    "C3-uniform": exact("last", 0.001, kind="uniform", coupling="decoupled", ratio=2.0),
    "C3-square": chains("square", 0.0, ratio=3.0),
    "C4-toy-descent": toy("descent", "stuck", 0.001, d=3, kind="hard", seed=1),
    "C4-toy-planar": toy("descent", "stuck", 0.0, d=2),
    "C4-toy-string": toy("string", "barrier", 0.01, d=3, seed=1),
    "C4-toy-string-control": toy("string", "barrier", 0.001, d=2, seed=1),
    "C4-toy-constant": toy("rates", "success", lambda p: 4 * p / (1 + 3 * p), end=40.0),  # odds times 4
    "C4-toy-plateau": toy("rates", "success", add(-0.045), c=2.922, end=10.0),
    "C4-toy-time": toy("rates", "held", add(-0.2), end=10.0),
    "C4-depth-anchor": landscape("anchor, hard", "deviation", 1e-3),
    "C4-depth-square": landscape("square, hard", "deviation", 0.1),
    "C4-one-number": landscape("square, infonce .1", "barrier", add(0.01)),
    "C4-read-off": exact("estimate", times(1.3), kind="trap", tau=0.2, ratio=2.0),
    "C4-chains": chains("chains", add(0.05), ratio=3.0),
    "C5-bound": bound("bound", times(0.6), step=10),
    "C5-tight": bound("bound", times(3), step=10_000, ratio=0.5),
    "C5-exponent": bound("exponent", add(0.2), ratio=0.5),
    "C5-recommended": bound("last_bound", times(3), recommended=True),
    "C6-low": trained("published log", "sgd", lambda old: 75 + (old - 80)),
    "C6-high": trained("tau 1e-6", "sgd", add(3)),
    "C6-order": trained("tau 1", "sgd", add(3)),
    "C6-shape": trained("published sqrt", "sgd", add(3)),
    "C6-collapse": Plant("contrastive", "accuracy", add(-3), {"plan": "random"}),
    "C6-useful": trained("tau .2", "adam", add(1)),
    "C6-alike": trained("tau .2", "adam", add(-3)),
    "C6-uniformity": trained("tau .2", "adam", -1.0, "uniformity"),
    "C6-alignment": trained("tau .2", "adam", 0.05, "alignment"),
    "C7-small": fixed("small", 10.0, add(-0.2)),
    "C7-large": fixed("isotropic", 10.0, 0.001),
    "C7-explained": fixed("small, matched", 10.0, add(-0.018)),
    "C7-equal-small": fixed("small, matched", 10.0, add(0.05)),
    "C7-equal-large": fixed("large", 200.0, add(0.05)),
    "C7-curve": Plant("noise", "success", add(0.1), {"part": "rates", "kind": "small", "c": 7.828}),
    "C7-law": fixed("small", 10.0, add(-0.05), "exact"),
    "C7-corrected": fixed("small, corrected", 10.0, add(0.05)),
    "C8-toy-synthetic": toy("shapes", "success", add(0.1), noise="synthetic", kind="linear"),
    "C8-toy-hessian": toy("shapes", "success", add(0.1), noise="hessian", kind="log"),
    "C8-log-worst": shape("sqrt", 0.84),
    "C8-log-fixed": shape("fixed", 0.85),
    "C8-exponential": shape("exponential", 0.97),
    "C8-adaptive": shape("adaptive", 0.84),
    "C8-adaptive-relaxing": shape("adaptive, relaxing", 0.84),
    "C8-restarts": budget("log, restarts", add(-0.2)),
    "C8-tempering": budget("tempering", add(-0.2)),
}

BESIDES: dict[str, set[str]] = {
    # Accuracy of an untrained network stands in one claim alone, that of a plan in several.
    "C6-low": {"C6-high", "C6-shape"},
    "C6-high": {"C6-collapse"},
    # Success with diag(1, 1, .1) is compared with everything.
    "C7-small": {"C7-equal-small", "C7-law", "C7-explained"},
    "C7-explained": {"C7-equal-small"},
}
"""What else a plant takes away, and why it cannot be otherwise; nothing where an id is not there."""

ABOUT_EVERY_VALUE = {
    "C2-slow", "C2-literal", "C3-toy-curve", "C3-fast", "C3-settled", "C3-uniform", "C4-toy-descent", "C4-toy-string",
    "C4-toy-string-control", "C4-depth-anchor", "C4-depth-square", "C4-one-number", "C4-read-off", "C4-chains",
    "C5-bound",
    "C5-tight", "C5-exponent", "C5-recommended", "C7-curve", "C8-log-worst", "C8-log-fixed", "C8-exponential",
    "C8-adaptive", "C8-adaptive-relaxing",
}  # fmt: skip
"""Statements that one value can contradict; all others are about sizes, and are judged over seeds."""
