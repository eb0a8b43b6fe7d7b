"""What a network is like while it learns: chance, a kernel smoother, the Bayes predictive (claim C5)

One cell is the training of one network of `regular`, which is asked the same 1,000 queries 24 times on its way. Its
logit is compared with two Nadaraya-Watson smoothers and with the exact Bayes log-odds. All three agree in part, so that
what the logit shares with one of them alone are partial correlations: with the smoother given Bayes, and with Bayes
given the smoother. Expect a second per cell of `default` once the network is there (`trained.trained`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from icl_lrt.experiments.smoothers import smoothers
from icl_lrt.experiments.trained import FRESH_SEEDS, PUBLISHED_SEEDS, Training, trained, watched_episodes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results


@dataclass(frozen=True)
class Config(Training):
    """One network and its training."""


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record. Curves over `step`: `accuracy` and `bce` of the network, Pearson's r of its logit with Bayes
    (`bayes`) and with each smoother (`<kernel>`), `<kernel>_given_bayes` and `bayes_given_<kernel>`. Scalars, of the
    same queries: the smoother's r with Bayes itself, `bayes_<kernel>`, and the accuracy of Bayes and of each smoother.
    """
    import torch

    from icl_lrt.comparison import bce, right
    from icl_lrt.estimates import pearson
    from icl_lrt.kernel_test import residual

    kept = trained(cell, scratch)
    episodes = watched_episodes(cell)
    given = episodes.x, episodes.y, episodes.query
    logits = torch.from_numpy(kept.watched_logit).double()  # (watches, queries), one query an episode
    bayes, label = cell.task().log_odds(*given).mT, episodes.label.double().mT.expand_as(logits)

    def partial(rule: torch.Tensor, beside: torch.Tensor) -> np.ndarray:
        """Pearson's r of each watch's logit with a rule, given another one; NaN once training has diverged."""
        left = torch.full_like(logits, torch.nan)
        for watch in logits.isfinite().all(1).nonzero()[:, 0].tolist():
            left[watch] = residual(logits[[watch]], beside, "spline")
        return pearson(left, residual(rule, beside, "spline")).numpy()

    record = {"diverged": kept.diverged, "step": kept.watched_step.astype(int)}
    record |= {
        "accuracy": right(logits, label).mean(1).numpy(),
        "bce": bce(logits, label).mean(1).numpy(),
        "bayes": pearson(logits, bayes).numpy(),
        "bayes_accuracy": float(right(bayes, label[:1]).mean()),
    }
    for kernel, estimate in smoothers(cell, *given).items():
        estimate = estimate.mT
        record |= {
            kernel: pearson(logits, estimate).numpy(),
            f"{kernel}_given_bayes": partial(estimate, bayes),
            f"bayes_given_{kernel}": partial(bayes, estimate),
            f"bayes_{kernel}": float(pearson(bayes, estimate)),
            f"{kernel}_accuracy": float(right(estimate, label[:1]).mean()),
        }
    return [record]


_TASKS = ("task_A_regular", "task_B_regular")

PRESETS: dict[str, list[Config]] = {
    "smoke": [Config(variant, size="tiny", steps=150) for variant in _TASKS],
    "default": [Config(variant, seed=seed) for variant in _TASKS for seed in FRESH_SEEDS],
    "paper": [
        Config(variant, method, seed=seed)
        for variant in _TASKS
        for method in ("faithful", "multi_query")
        for seed in PUBLISHED_SEEDS
    ],
}


def figures(results: Results) -> dict[str, Figure]:
    """Correlations and partial correlations with accuracy along training, by task."""
    from icl_lrt.experiments.dynamics_figures import draw

    return draw(results)
