"""Networks of one to four layers on both tasks, so that "depth" has more than one point (ours, for claim C6).

The paper reads from a logit lens that task A is partly solved after the first layer ("voting") and task B not before
the second ("sequential"). Networks that have one layer only are the test of it by behaviour. One cell is one network.
`default` has tiny ones (d = 4, 16 points, width 32), which settle in few steps whatever their depth: deeper ones sit at
chance for longer, and what a network has not learned yet says nothing of its depth. Expect 3 s (one layer) to 7 s
(four) per cell of `default` on one core.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from icl_lrt.experiments.performance import Evaluation, fresh_episodes, measure, progress
from icl_lrt.experiments.trained import FRESH_SEEDS, PUBLISHED_SEEDS, trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results


@dataclass(frozen=True)
class Config(Evaluation):
    """One network and the episodes that it is asked."""


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record: what `measure` gives, `progress`, and `recovered`, the share of the way from guessing to Bayes."""
    from icl_lrt.mechanism import logits

    kept, task = trained(cell, scratch, watched=False), cell.task()
    episodes = fresh_episodes(cell, task)
    record = measure(logits(kept.model, episodes), task, episodes)
    guessing = math.log(2)
    record["recovered"] = (guessing - record["bce"]) / (guessing - record["bayes_bce"])
    return [record | progress(kept)]


def figures(results: Results) -> dict[str, Figure]:
    """Regret and accuracy against the number of layers."""
    from icl_lrt.experiments.depth_figures import draw

    return draw(results)


LAYERS = (1, 2, 3, 4)
_TASKS = ("task_A_regular", "task_B_regular")
_SMOKE = {"size": "tiny", "steps": 60, "episodes": 200, "queries": 2}

PRESETS: dict[str, list[Config]] = {
    "smoke": [Config(variant, layers=layers, **_SMOKE) for variant in _TASKS for layers in (1, 2)],
    "default": [
        Config(variant, size="tiny", steps=600, layers=layers, seed=seed)
        for variant in _TASKS
        for layers in LAYERS
        for seed in FRESH_SEEDS
    ],
    "paper": [
        Config(variant, "multi_query", layers=layers, seed=seed, episodes=10_000)
        for variant in _TASKS
        for layers in LAYERS
        for seed in PUBLISHED_SEEDS
    ],
}
