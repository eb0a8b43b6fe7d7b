"""How trained networks and other rules are measured on fresh episodes; columns that the experiments' records share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from icl_lrt.experiments.trained import Training

if TYPE_CHECKING:
    from torch import Tensor

    from icl_lrt.estimates import Estimate
    from icl_lrt.experiments.trained import Kept
    from icl_lrt.tasks import Episodes, Task
    from icl_lrt.training import Trained

ESCAPED = 0.65
"""Validation loss in nats below which training has left its plateau at ln 2 = .693 (ours)."""


@dataclass(frozen=True)
class Evaluation(Training):
    episodes: int = 3_000
    """Fresh episodes of the evaluation."""
    queries: int = 4
    """Queries of an episode; standard errors are over episodes."""

    def __post_init__(self):
        super().__post_init__()
        if self.episodes < 100 or self.queries < 1:
            raise ValueError(f"{self.episodes} episodes of {self.queries} queries; choose at least 100 of 1")


def fresh_episodes(cell: Evaluation, task: Task, points: int | None = None) -> Episodes:
    """The evaluation's: the same for all networks of a seed, task and number of points. Tasks that differ in sigma_k
    alone share all draws, so that what a larger shift costs is paired.
    """
    from icl_lrt.seeds import generator

    points = cell.recipe().n if points is None else points
    return task.sample(cell.episodes, points, cell.queries, generator(cell.seed, "evaluation"))


def rules(task: Task, episodes: Episodes) -> dict[str, Tensor]:
    """Scores of the oracle, of the exact Bayes predictive and of the plug-in rule (LDA, or a variance per class)."""
    from icl_lrt.oracles.plugin import lda, plugin_variance

    given = episodes.x, episodes.y, episodes.query
    plugin = lda if task.name == "shifted_mean" else plugin_variance
    return {"oracle": episodes.llr, "bayes": task.log_odds(*given), "plugin": plugin(*given)}


def estimates(name: str, estimate: Estimate) -> dict[str, float]:
    """A number and its standard error over episodes, as columns `name` and `name`_se."""
    return {name: estimate.value, f"{name}_se": estimate.se}


def performance(score: Tensor, label: Tensor, prefix: str = "") -> dict[str, float]:
    """Columns `accuracy` and `bce`."""
    from icl_lrt.comparison import bce, right
    from icl_lrt.estimates import mean

    score, label = score.double().cpu(), label.double().cpu()
    return estimates(f"{prefix}accuracy", mean(right(score, label))) | estimates(
        f"{prefix}bce", mean(bce(score, label))
    )


def gaps(score: Tensor, label: Tensor, references: Mapping[str, Tensor], prefix: str = "") -> dict[str, float]:
    """Columns `<reference>_accuracy_gap` (reference minus rule), `<reference>_bce_gap` (rule minus reference, nats) and
    `<reference>_pearson`, paired.
    """
    from icl_lrt.comparison import bce, right
    from icl_lrt.estimates import correlation, mean

    score, label, record = score.double().cpu(), label.double().cpu(), {}
    for name, values in references.items():
        values = values.double().cpu()
        column = f"{prefix}{name}"
        record |= estimates(f"{column}_accuracy_gap", mean(right(values, label) - right(score, label)))
        record |= estimates(f"{column}_bce_gap", mean(bce(score, label) - bce(values, label)))
        record |= estimates(f"{column}_pearson", correlation(score, values))
    return record


def measure(score: Tensor, task: Task, episodes: Episodes) -> dict[str, float]:
    """A network beside all rules: its performance, theirs as `<rule>_accuracy` and `<rule>_bce`, its gaps to the oracle
    and to Bayes.
    """
    by, record = rules(task, episodes), performance(score, episodes.label)
    for rule, values in by.items():
        record |= performance(values, episodes.label, f"{rule}_")
    return record | gaps(score, episodes.label, {name: by[name] for name in ("oracle", "bayes")})


def progress(trained: Kept | Trained) -> dict:
    """How training went: `diverged`, `escaped` and `escape_step` (the steps done when validation was first below
    `ESCAPED`; none if never), and curves over `step` of losses in nats and accuracies.
    """
    history = trained.history
    below = np.flatnonzero(np.asarray(history.validation_loss) < ESCAPED)
    names = ("step", "training_loss", "training_accuracy", "validation_loss", "validation_accuracy")
    return {
        "diverged": trained.diverged,
        "steps_done": int(history.step[-1]) if len(history.step) else 0,
        "escaped": bool(len(below)),
        "escape_step": int(history.step[below[0]]) if len(below) else None,
        **dict(zip(names, map(np.asarray, history), strict=True)),
    }
