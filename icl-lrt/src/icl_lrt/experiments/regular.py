"""What a trained network decides, beside the two best rules there are (claims C1, C2, C3, C5 and regrets).

One cell is one trained network, asked on fresh episodes. Two yardsticks: the oracle knows the parameters, and the exact
Bayes predictive is the best that any rule can do with the context alone. A kernel smoother is a third rule, with the
Bayes predictive as the control of how alike any two good rules are. Expect 65 s (task A) and 45 s (B) per cell of
`default` on one core, for training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from icl_lrt.experiments.performance import Evaluation, estimates, fresh_episodes, performance, progress, rules
from icl_lrt.experiments.smoothers import smoothers
from icl_lrt.experiments.trained import FRESH_SEEDS, PUBLISHED_SEEDS, trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

SHOWN = 2_000
"""Queries whose scores are kept, for the scatter plots (as published)."""


@dataclass(frozen=True)
class Config(Evaluation):
    episodes: int = 5_000
    """Fresh episodes of the evaluation."""


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record: `accuracy`, `bce`, ... of the network, `<rule>_accuracy`, `<rule>_bce` of the oracle, Bayes and the
    plug-in rule, gaps and correlations `<reference>_<statistic>` with their `_se`, the ceilings
    `ceiling_{pearson,spearman}` that Bayes has with the log-likelihood ratio, the kernel tests
    `<kernel>_{raw,bayes,partial}`, the scores of some queries, and training as curves.
    """
    from icl_lrt.comparison import compare
    from icl_lrt.estimates import correlation, spearman
    from icl_lrt.kernel_test import kernel_test
    from icl_lrt.mechanism import logits

    kept, task = trained(cell, scratch), cell.task()
    episodes = fresh_episodes(cell, task)
    score, by = logits(kept.model, episodes).double().cpu(), rules(task, episodes)
    record = {"parameters": sum(p.numel() for p in kept.model.parameters())}
    for rule, values in by.items():
        record |= performance(values, episodes.label, f"{rule}_")
    found = compare(score, episodes.label, {name: by[name] for name in ("oracle", "bayes")})
    for name in ("accuracy", "bce", "calibration_slope", "calibration_intercept", "ece"):
        record |= estimates(name, getattr(found, name))
    for reference, against in found.against.items():
        for name, value in against._asdict().items():
            record |= estimates(f"{reference}_{name}", value)
    record |= estimates("ceiling_pearson", correlation(by["bayes"], by["oracle"]))
    record |= estimates("ceiling_spearman", correlation(by["bayes"], by["oracle"], spearman))
    for kernel, values in smoothers(cell, episodes.x, episodes.y, episodes.query).items():
        for name, value in kernel_test(score, by["bayes"], values)._asdict().items():
            record |= estimates(f"{kernel}_{name}", value)
    first = {"logit": score, "llr": episodes.llr, "bayes": by["bayes"]}
    record |= {f"shown_{name}": values[:SHOWN, 0].float().numpy() for name, values in first.items()}
    return [record | progress(kept)]


def figures(results: Results) -> dict[str, Figure]:
    """Logit against both yardsticks, performance, kernels, learning curves."""
    from icl_lrt.experiments.regular_figures import draw

    return draw(results)


_TASKS = ("task_A_regular", "task_B_regular")
_SMOKE = {"size": "tiny", "steps": 150, "episodes": 400, "queries": 2}

PRESETS: dict[str, list[Config]] = {
    "smoke": [Config(variant, **_SMOKE) for variant in _TASKS],
    "default": [Config(variant, seed=seed) for variant in _TASKS for seed in FRESH_SEEDS],
    "paper": [
        Config(variant, method, seed=seed, episodes=20_000, queries=1)
        for variant in _TASKS
        for method in ("faithful", "multi_query")
        for seed in PUBLISHED_SEEDS
    ],
}
