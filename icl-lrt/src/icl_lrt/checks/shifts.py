"""Moved inputs and their repair (claim C4, experiment `ood`)."""

import pandas as pd

from icl_lrt.checks.judging import points, rows, seeds
from repro_shared.claims import Finding
from repro_shared.judging import Check, judge, within, worst
from repro_shared.results import Results

TRAINED = {"A": 3.0, "B": 1.0}
"""Task -> sigma_k, or factor, of training."""
MOVED = {"A": 9.0, "B": 2.0}
"""Task -> the published sigma_k, or our factor, at test time."""
NOTHING = 0.5
"""Percentage points: our reading of "nothing is lost"; some three standard errors of a paired difference."""


def _at(results: dict[str, Results], task: str, column: str, moved: bool) -> pd.Series:
    shift = (MOVED if moved else TRAINED)[task]
    return seeds(rows(results, "ood", variant=f"task_{task}_regular", shift=shift), column)


def _loss(results: dict[str, Results], task: str, rule: str = "") -> pd.Series:
    """Accuracy in training's distribution minus that on moved inputs, same draws, points."""
    before, after = (_at(results, task, f"{rule}accuracy", moved) for moved in (False, True))
    return points(before - after)


def loses(task: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Points of accuracy that the network loses: above 0."""
        found = _loss(results, task)
        why = (
            f"{_at(results, task, 'accuracy', False).mean():.3f} to {_at(results, task, 'accuracy', True).mean():.3f}."
        )
        return judge(found, why, supported_above=0.0)

    return check


def accuracy(results: dict[str, Results]) -> Finding:
    """Accuracy at sigma_k = 9: the published .6465, give or take its t-interval over three seeds (.106)."""
    return within(_at(results, "A", "accuracy", True), 0.6465, 0.106, "Networks chosen by validation at sigma_k = 3.")


def correlation(results: dict[str, Results]) -> Finding:
    """Pearson's r with the log-likelihood ratio at sigma_k = 3 minus that at 9: above 0."""
    before, after = (_at(results, "A", "oracle_pearson", moved) for moved in (False, True))
    return judge(before - after, f"{before.mean():.3f} to {after.mean():.3f}.", supported_above=0.0)


def rules(results: dict[str, Results]) -> Finding:
    """Points of accuracy that LDA and the Bayes predictive lose, the worst of both and of all seeds: at most
    `NOTHING`.
    """
    losses = pd.concat([_loss(results, "A", rule) for rule in ("plugin_", "bayes_")])
    return worst(losses, "Bayes knows sigma_k; LDA needs not.", most=NOTHING)


def prior(results: dict[str, Results]) -> Finding:
    """Accuracy at sigma_k = 9 of the Bayes predictive that knows it minus that of the one that believes in 3, worst
    seed: at most `NOTHING`.
    """
    found = points(_at(results, "A", "bayes_accuracy", True) - _at(results, "A", "prior_accuracy", True))
    return worst(found, "So a wrong belief about sigma_k does not explain the network's loss.", most=NOTHING)


def repaired(task: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Accuracy of the network in training's distribution minus that behind the wrapper on moved inputs: below 1
        point.
        """
        before, after = _at(results, task, "accuracy", False), _at(results, task, "wrapped_accuracy", True)
        lost = _loss(results, task).mean()
        why = f"{before.mean():.3f} to {after.mean():.3f}; without the wrapper {lost:.1f} points are lost."
        return judge(points(before - after), why, supported_below=1.0)

    return check


def unmoved(results: dict[str, Results]) -> Finding:
    """How far a score behind the wrapper moves with sigma_k, nats: at most .01. Inputs of size 100 in float32 are wrong
    by 4e-6, and a logit by some hundred times that.
    """
    table = rows(results, "ood", variant="task_A_regular")
    return worst(
        table["wrapped_moved"], f"Over sigma_k = {table['shift'].min():g} to {table['shift'].max():g}.", most=0.01
    )
