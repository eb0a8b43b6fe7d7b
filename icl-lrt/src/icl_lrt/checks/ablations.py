"""What networks need, how long they take to leave chance, and how many points and layers help (claims C6 by depth, and
C8; experiments `ablations`, `plateau`, `context_length` and `depth`).
"""

import pandas as pd

from icl_lrt.checks.judging import points, rows, seeds, shown
from repro_shared.claims import Finding
from repro_shared.judging import Check, factor, judge, share, within
from repro_shared.results import Results

CHANCE = 0.02
"""How far from 1/2 an accuracy "at chance" may be: three times the base-rate noise of 5,000 labels."""
SAME = 1.0
"""Points of accuracy: our reading of "makes no difference"; the published rows of one kind differ by .3."""
COLLAPSED = 0.6
"""Accuracy below which a run counts as not having learned: the published runs that leave chance pass it at once."""


# ---- C8: rows


def _accuracy(results: dict[str, Results], row: str) -> pd.Series:
    return seeds(rows(results, "ablations", variant=row), "accuracy")


def chance(row: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Accuracy: 1/2, give or take `CHANCE`."""
        table = rows(results, "ablations", variant=row)
        regular = _accuracy(results, "task_A_regular").mean()
        why = f"After {table['steps_done'].max():.0f} steps; the regular row has {regular:.3f}."
        return within(seeds(table, "accuracy"), 0.5, CHANCE, why)

    return check


def lost(row: str, **threshold: float) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Accuracy of the regular row minus that of this one, same seed and queries, points: "makes no difference" is
        below `SAME`, "costs" above 0.
        """
        regular, other = _accuracy(results, "task_A_regular"), _accuracy(results, row)
        why = f"{regular.mean():.3f} to {other.mean():.3f}."
        return judge(points(regular - other), why, **threshold)

    return check


def same(row: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """The same difference: 0, give or take `SAME`."""
        regular, other = _accuracy(results, "task_A_regular"), _accuracy(results, row)
        return within(points(regular - other), 0.0, SAME, f"{regular.mean():.3f} to {other.mean():.3f}.")

    return check


def collapses(row: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Accuracy on clean contexts: below `COLLAPSED`."""
        table = rows(results, "ablations", variant=row)
        escaped = int(table["escaped"].sum())
        why = f"{escaped} of {len(table)} runs left the plateau within {int(table['steps_done'].max())} steps."
        return judge(seeds(table, "accuracy"), why, supported_below=COLLAPSED)

    return check


# ---- C8: the plateau


def _escapes(results: dict[str, Results], row: str) -> pd.DataFrame:
    return rows(results, "plateau", variant=row).set_index("seed")


def escapes(row: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Share of runs that leave the plateau within their steps, per cent: most of them, above 50."""
        runs = _escapes(results, row)
        after = runs.loc[runs["escaped"] == 1, "accuracy"]
        why = f"Within {int(runs['steps_done'].max())} steps; accuracy of those that did: {after.mean():.3f}."
        return share(runs["escaped"], why, supported_above=50.0)

    return check


def later(row: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Steps to the escape over those of the same seed without noise, geometric mean: above 1. A run that stayed
        counts with the steps that it had, which is less than the truth.
        """
        clean, noisy = _escapes(results, "task_A_regular"), _escapes(results, row)
        stayed = noisy["escaped"] == 0
        steps = noisy["escape_step"].mask(stayed, noisy["steps_done"])
        why = (
            f"Medians: {clean['escape_step'].median():.0f} and {steps.median():.0f} steps; {int(stayed.sum())} stayed."
        )
        return factor(steps / clean["escape_step"], why, supported_above=1.0)

    return check


def spread(results: dict[str, Results]) -> Finding:
    """Steps to the escape without noise, the latest seed's over the earliest's: at least 1.5 (published: 11 epochs over
    6). Fewer than three seeds decide nothing.
    """
    steps = _escapes(results, "task_A_regular")["escape_step"]
    left = steps.dropna()
    if left.empty:
        return Finding(None, None, None, 0, "inconclusive", "No run left the plateau.")
    ratio, missing = float(left.max() / left.min()), len(steps) - len(left)
    verdict = "supported" if ratio >= 1.5 else "contradicted"
    if len(left) < 3 or missing:  # a run that stayed is later still, but by how much is not known
        verdict = "inconclusive"
    why = f"From {left.min():.0f} to {left.max():.0f} steps. {missing} of {len(steps)} values are missing."
    return Finding(ratio, None, None, len(left), verdict, why)


# ---- C8: points


def _at(results: dict[str, Results], column: str, n: int | float, row: str) -> pd.Series:
    return seeds(rows(results, "context_length", variant=row, tested=n), column)


def gains(results: dict[str, Results]) -> Finding:
    """Accuracy with 64 points minus that with 32, of networks trained with as many, percentage points: above 0."""
    return _gain(results, "task_A_regular", 32, 64)


def gains_beyond(results: dict[str, Results]) -> Finding:
    """Accuracy with 128 points minus that with as many as in training, percentage points: above 0."""
    trained = rows(results, "context_length", variant="no_pos")["trained"]
    return _gain(results, "no_pos", float(trained.min()), 128)


def _gain(results: dict[str, Results], row: str, few: int | float, many: int) -> Finding:
    less, more = (_at(results, "accuracy", n, row) for n in (few, many))
    bayes = points(_at(results, "bayes_accuracy", many, row) - _at(results, "bayes_accuracy", few, row)).mean()
    why = f"From {few:.0f} to {many} points, {less.mean():.3f} to {more.mean():.3f}; Bayes gains {bayes:.1f} points."
    return judge(points(more - less), why, supported_above=0.0)


def follows(results: dict[str, Results]) -> Finding:
    """Accuracy of Bayes minus the network's, percentage points, at the n where it is largest: below 2, a third of
    the distance between Bayes and the oracle at the published size.
    """
    table = rows(results, "context_length", variant="task_A_regular")
    by = points(table.groupby("tested")["bayes_accuracy_gap"].mean())
    why = "Means by n: " + ", ".join(f"{n} {value:.1f}" for n, value in by.items()) + "."
    widest = table.groupby("seed")["bayes_accuracy_gap"].agg(lambda held: held.max(skipna=False))
    return judge(points(widest), why, supported_below=2.0)


# ---- C6: depth


def _layers(results: dict[str, Results], task: str, layers: int, column: str) -> pd.Series:
    return seeds(rows(results, "depth", variant=f"task_{task}_regular", layers=layers), column)


def one_layer(results: dict[str, Results]) -> Finding:
    """Of the way from guessing to Bayes in nats, the part that one layer goes, per cent: task A's minus task B's, above
    0.
    """
    a, b = (points(_layers(results, task, 1, "recovered")) for task in "AB")
    return judge(a - b, f"A {shown(a, 1)}; B {shown(b, 1)}.", supported_above=0.0)


def second_layer(task: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Regret in nats of one layer minus that of two: above 0."""
        one, two = (_layers(results, task, layers, "bayes_bce_gap") for layers in (1, 2))
        return judge(one - two, f"{one.mean():.4f} to {two.mean():.4f}.", supported_above=0.0)

    return check


def more_layers(task: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Regret in nats of two layers minus that of four, equal steps: below .01, what seeds differ by."""
        two, four = (_layers(results, task, layers, "bayes_bce_gap") for layers in (2, 4))
        return judge(two - four, f"{two.mean():.4f} to {four.mean():.4f}.", supported_below=0.01)

    return check
