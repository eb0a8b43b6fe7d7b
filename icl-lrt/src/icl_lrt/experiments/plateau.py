"""When training leaves chance, over many seeds, with and without label noise (claim C8).

Training sits at ln 2 = .693 nats before it learns anything, for a time that differs between seeds and grows with the
noise of the context's labels. A run that ends there looks like a network that cannot learn. One cell is several seeds
of one row, trained side by side (on a GPU as one tensor program) and validated often. `default` has small networks
(d = 8, width 64) and two rows with equal steps; `paper` gives rows that end at chance three times the published ones.
Expect 45 s per cell of `default` on one core.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from icl_lrt.experiments.performance import Evaluation, fresh_episodes, measure, progress
from icl_lrt.experiments.trained import FRESH_SEEDS
from icl_lrt.recipe import Recipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

VALIDATED = 128
"""Episodes of a validation (ours: it comes often)."""


@dataclass(frozen=True)
class Config(Evaluation):
    members: int = 5
    """Networks that are trained side by side, of the seeds `seed`, `seed` + 1, ..."""
    every: int = 25
    """Steps between two validations: how exactly the escape is timed."""

    def __post_init__(self):
        super().__post_init__()
        if self.members < 1:
            raise ValueError(f"members = {self.members}; choose at least 1 network")

    def recipe(self) -> Recipe:
        return replace(super().recipe(), validate_every=self.every, validation_episodes=VALIDATED)

    def of_seeds(self, count: int) -> list[Config]:
        return [replace(self, seed=0, members=count)]

    def cpu_hours(self) -> float:
        return self.members * super().cpu_hours()


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record per seed: what `measure` gives of its network, and `progress`."""
    from icl_lrt.mechanism import logits
    from icl_lrt.training import train_seeds

    task, records = cell.task(), []
    seeds = range(cell.seed, cell.seed + cell.members)
    for seed, result in zip(seeds, train_seeds(cell.recipe(), seeds, cell.device, scratch), strict=True):
        episodes = fresh_episodes(replace(cell, seed=seed), task)
        record = measure(logits(result.model, episodes), task, episodes)
        records.append({"seed": seed} | record | progress(result))
    return records


def figures(results: Results) -> dict[str, Figure]:
    """Learning curves with their escapes, and the share that has escaped against steps."""
    from icl_lrt.experiments.plateau_figures import draw

    return draw(results)


_AT_CHANCE = ("noisy_labels_p0.1", "noisy_labels_p0.2", "noisy_labels_p0.4", "interleaved")
_SMOKE = {"size": "tiny", "steps": 60, "members": 2, "every": 20, "episodes": 200, "queries": 2}
_SMALL = {"size": "small", "steps": 600}
_PAPER = {"method": "faithful", "members": 10, "every": 781, "episodes": 10_000, "queries": 1}
_MORE = 3 * 20 * 781
"""Steps of rows that end at chance: three times the published ones."""

PRESETS: dict[str, list[Config]] = {
    "smoke": [Config(row, **_SMOKE) for row in ("task_A_regular", "noisy_labels_p0.2")],
    "default": [
        Config(row, seed=first, **_SMALL)
        for row in ("task_A_regular", "noisy_labels_p0.2")
        for first in (FRESH_SEEDS[0], FRESH_SEEDS[0] + Config.members)
    ],
    "paper": [Config("task_A_regular", **_PAPER), *(Config(row, steps=_MORE, **_PAPER) for row in _AT_CHANCE)],
}
