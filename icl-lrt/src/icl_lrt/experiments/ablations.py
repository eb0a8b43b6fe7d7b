"""What the network needs: the fifteen published rows, and the one that was meant to have a longer context (claim C8).

One cell is one network of a row, asked on the episodes that its row has (permuted contexts are permuted at test time
too; label noise is in training only). `default` trains all rows our way at a small size (d = 8, width 64), where
accuracies are to be compared with `task_A_regular` and with Bayes, not with published ones. Expect 7 s per cell of
`default` on one core.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from icl_lrt.experiments.performance import Evaluation, fresh_episodes, measure, progress
from icl_lrt.experiments.trained import FRESH_SEEDS, PUBLISHED_SEEDS, trained
from icl_lrt.recipe import PUBLISHED, REPAIRED

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from icl_lrt.experiments.trained import Kept
    from icl_lrt.tasks import Episodes
    from repro_shared.runlog import Results

BATCH = 64
"""Episodes that share a permutation at test time (as published)."""


@dataclass(frozen=True)
class Config(Evaluation):
    """One network and the episodes that it is asked."""


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record: what `measure` gives (other rules see contexts that are not permuted), and `progress`."""
    kept, task = trained(cell, scratch, watched=False), cell.task()
    episodes = fresh_episodes(cell, task)
    return [measure(_scores(cell, kept, episodes), task, episodes) | progress(kept)]


def _scores(cell: Config, kept: Kept, episodes: Episodes) -> Tensor:
    """The network's logits for contexts that are permuted as in its training."""
    import torch

    from icl_lrt.mechanism import logits
    from icl_lrt.seeds import generator
    from icl_lrt.tasks import Episodes
    from icl_lrt.training import shuffled

    shuffle = cell.recipe().shuffle
    if shuffle is None:
        return logits(kept.model, episodes)
    stream = generator(cell.seed, "permutations")
    parts = [Episodes(*part) for part in zip(*(values.split(BATCH) for values in episodes), strict=True)]
    return torch.cat([logits(kept.model, shuffled(part, shuffle, stream)) for part in parts])


def figures(results: Results) -> dict[str, Figure]:
    """Regret and accuracy of every row, learning curves."""
    from icl_lrt.experiments.ablations_figures import draw

    return draw(results)


_ROWS = (*PUBLISHED, *REPAIRED)
_SMOKE = {"size": "tiny", "steps": 40, "episodes": 200, "queries": 2}

PRESETS: dict[str, list[Config]] = {
    "smoke": [Config(row, **_SMOKE) for row in _ROWS],
    "default": [Config(row, size="small", steps=500, seed=seed) for row in _ROWS for seed in FRESH_SEEDS],
    "paper": [
        Config(row, "faithful", seed=seed, episodes=10_000, queries=1) for row in _ROWS for seed in PUBLISHED_SEEDS
    ],
}
