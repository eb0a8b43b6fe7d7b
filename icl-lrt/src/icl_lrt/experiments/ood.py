"""Inputs that are moved as training never moved them, and a repair that needs no training (claim C4).

Task A: the nuisance shift is wider than in training (sigma_k = 9 where training has 3, in the paper). Task B (ours):
all inputs are multiplied by one factor. Neither says anything about labels, and rules that know it lose nothing. One
cell is one trained network, asked on the same draws moved by different amounts, as they are and behind a wrapper that
makes it equivariant. Expect 5 s per cell of `default` on one core, since `regular` has trained its networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from icl_lrt.experiments.checked import require_positive
from icl_lrt.experiments.performance import Evaluation, fresh_episodes, gaps, measure, performance
from icl_lrt.experiments.trained import FRESH_SEEDS, PUBLISHED_SEEDS, trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from icl_lrt.tasks import Episodes, Task
    from repro_shared.runlog import Results

SHIFTS = {"A": (0.0, 1.0, 3.0, 5.0, 7.0, 9.0, 12.0, 15.0), "B": (0.25, 0.5, 0.71, 1.0, 1.41, 2.0, 4.0)}
"""Task -> how its inputs are moved; sigma_k is 3 in training, and 9 in the paper's test."""


@dataclass(frozen=True)
class Config(Evaluation):
    shift: tuple[float, ...] = ()
    """How inputs are moved at test time. Task A: sigma_k. Task B: the factor, > 0. By default `SHIFTS`."""

    def __post_init__(self):
        super().__post_init__()
        if self.task_name == "B" and self.shift:
            require_positive(self, "shift")
        elif not all(0 <= value < math.inf for value in self.shift):
            raise ValueError(f"shift = {self.shift}; choose numbers >= 0")


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record per shift: what `measure` gives, where Bayes is that of the shifted task; the same of the network
    behind the wrapper (`wrapped_...`); `prior_accuracy` and `prior_bce` of Bayes with the training's prior; and
    `wrapped_moved`, how far a wrapped score is from that of the first shift, at most.
    """
    from icl_lrt.mechanism import logits

    kept, records, first = trained(cell, scratch), [], None
    for shift in cell.shift or SHIFTS[cell.task_name]:
        task, episodes = _shifted(cell, shift)
        prior = cell.task().log_odds(episodes.x, episodes.y, episodes.query)
        wrapped = logits(kept.model, _wrapped(cell, episodes))
        first = wrapped if first is None else first
        record = {"shift": shift, "diverged": kept.diverged, "wrapped_moved": float((wrapped - first).abs().max())}
        record |= measure(logits(kept.model, episodes), task, episodes)
        record |= performance(prior, episodes.label, "prior_") | performance(wrapped, episodes.label, "wrapped_")
        bayes = task.log_odds(episodes.x, episodes.y, episodes.query)
        record |= gaps(wrapped, episodes.label, {"oracle": episodes.llr, "bayes": bayes}, "wrapped_")
        records.append(record)
    return records


def _shifted(cell: Config, shift: float) -> tuple[Task, Episodes]:
    """The task at test time and its episodes: the same draws for every shift."""
    from icl_lrt.tasks import Variance

    if cell.task_name == "A":
        task = cell.task(shift)
        return task, fresh_episodes(cell, task)
    task, episodes = cell.task(), fresh_episodes(cell, cell.task())
    scaled = episodes._replace(x=shift * episodes.x, query=shift * episodes.query)  # and the ratio of likelihoods stays
    return Variance(task.d, shift * task.low, shift * task.high), scaled


def _wrapped(cell: Config, episodes: Episodes) -> Episodes:
    from icl_lrt.classifier import centred, rescaled

    x, query = episodes.x.double(), episodes.query.double()  # a large shift is taken off without rounding
    x, query = centred(x, query) if cell.task_name == "A" else rescaled(x, query, _root_mean_square(cell.task()))
    return episodes._replace(x=x.float(), query=query.float())


def _root_mean_square(task) -> float:
    """Of a coordinate in training: E[sigma^2] = (low^2 + low high + high^2) / 3 for sigma uniform on [low, high]."""
    return ((task.low**2 + task.low * task.high + task.high**2) / 3) ** 0.5


def figures(results: Results) -> dict[str, Figure]:
    """Accuracy and correlation against the shift, with the repair."""
    from icl_lrt.experiments.ood_figures import draw

    return draw(results)


_SMOKE = {"size": "tiny", "steps": 150, "episodes": 200, "queries": 2}

PRESETS: dict[str, list[Config]] = {
    "smoke": [
        Config("task_A_regular", shift=(3.0, 9.0), **_SMOKE),
        Config("task_B_regular", shift=(1.0, 2.0), **_SMOKE),
    ],
    "default": [
        Config(variant, seed=seed, episodes=2_000)
        for variant in ("task_A_regular", "task_B_regular")
        for seed in FRESH_SEEDS
    ],
    "paper": [
        Config(variant, "faithful", seed=seed, episodes=10_000, queries=1)
        for variant in ("task_A_regular", "task_A_OOD", "task_B_regular")
        for seed in PUBLISHED_SEEDS
    ],
}
