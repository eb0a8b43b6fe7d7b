"""Accuracy against the number of labelled points, n = 4 to 128, really fed (the published row never fed more than 32).

One cell is one network, trained and asked with n points; both yardsticks move with n. A network without positions takes
any number of points: trained with 32 (16 in `default`), it is asked with all. `default` has tiny networks (d = 4, width
32), which settle in few steps also with few points, and task A. Expect 4 s (n = 4) to 15 s (n = 128) per cell of
`default` on one core.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from icl_lrt.experiments.performance import Evaluation, fresh_episodes, measure
from icl_lrt.experiments.trained import FRESH_SEEDS, PUBLISHED_SEEDS, trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

LENGTHS = (4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Config(Evaluation):
    tested: tuple[int, ...] = ()
    """Points that are shown at test time; by default those of training. Without positions, any number."""

    def __post_init__(self):
        super().__post_init__()
        recipe = self.recipe()
        if any(n < 1 for n in self.tested):
            raise ValueError(f"tested = {self.tested}; choose whole numbers >= 1")
        if recipe.architecture.positions != "none" and any(n > recipe.architecture.context for n in self.tested):
            raise ValueError(
                f"tested = {self.tested} for positions of {recipe.architecture.context}; choose fewer points, or the "
                "variant no_pos"
            )


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record per tested number of points: what `measure` gives, and the points of training (`trained`)."""
    from icl_lrt.mechanism import logits

    kept, task, n = trained(cell, scratch, watched=False), cell.task(), cell.recipe().n
    records = []
    for points in cell.tested or (n,):
        episodes = fresh_episodes(cell, task, points)
        found = measure(logits(kept.model, episodes), task, episodes)
        records.append({"tested": points, "trained": n, "diverged": kept.diverged} | found)
    return records


def figures(results: Results) -> dict[str, Figure]:
    """Accuracy and regret against n."""
    from icl_lrt.experiments.context_length_figures import draw

    return draw(results)


def _cells(variant: str, seeds: tuple[int, ...], lengths: tuple[int, ...] = LENGTHS, **settings) -> list[Config]:
    return [Config(variant, points=n, seed=seed, **settings) for n in lengths for seed in seeds]


def _any_length(seeds: tuple[int, ...], **settings) -> list[Config]:
    """The network without positions that was trained with the usual number of points."""
    return [Config("no_pos", tested=LENGTHS, seed=seed, **settings) for seed in seeds]


_SMOKE = {"size": "tiny", "steps": 100, "episodes": 200, "queries": 2}
_TINY = {"size": "tiny", "steps": 800}

PRESETS: dict[str, list[Config]] = {
    "smoke": [
        *_cells("task_A_regular", (0,), (4, 16), **_SMOKE), Config("no_pos", tested=(4, 16), **_SMOKE)
    ],
    "default": [*_cells("task_A_regular", FRESH_SEEDS, **_TINY), *_any_length(FRESH_SEEDS, **_TINY)],
    "paper": [
        *(
            cell
            for variant in ("task_A_regular", "task_B_regular")
            for cell in _cells(variant, PUBLISHED_SEEDS, method="multi_query", episodes=10_000)
        ),
        *_any_length(PUBLISHED_SEEDS, method="multi_query", episodes=10_000),
    ],
}  # fmt: skip
