"""What a trained network decides, beside the two best rules there are (claims C1, C2, C3, C5 and regrets).

One cell is one trained network, asked on fresh episodes. Two yardsticks: the oracle knows the parameters, and the exact
Bayes predictive is the best that any rule can do with the context alone. A kernel smoother is a third rule, with the
Bayes predictive as the control of how alike any two good rules are. Expect 100 s (task A) and 50 s (B) per cell of
`default` on one core, for training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from icl_lrt.experiments.trained import Training, trained

SHOWN = 2_000
"""Queries whose scores are kept, for the scatter plots (as published)."""


@dataclass(frozen=True)
class Config(Training):
    episodes: int = 5_000
    """Fresh episodes of the evaluation."""
    queries: int = 4
    """Queries of an episode; standard errors are over episodes."""

    def __post_init__(self):
        super().__post_init__()
        if self.episodes < 100 or self.queries < 1:
            raise ValueError(f"{self.episodes} episodes of {self.queries} queries; choose at least 100 of 1")


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record: `accuracy`, `bce`, ... of the network, `<rule>_accuracy`, `<rule>_bce` of the oracle, Bayes and the
    plug-in rule, gaps and correlations `<reference>_<statistic>` with their `_se`, the kernel tests
    `<kernel>_{raw,bayes,partial}`, and the scores of some queries.
    """
    from icl_lrt.comparison import bce, compare, right
    from icl_lrt.estimates import mean
    from icl_lrt.kernel_test import kernel_test
    from icl_lrt.mechanism import logits
    from icl_lrt.seeds import generator

    kept = trained(cell, scratch)
    task = cell.task()
    episodes = task.sample(cell.episodes, cell.recipe().n, cell.queries, generator(cell.seed, "evaluation"))
    given = episodes.x, episodes.y, episodes.query
    score, bayes = logits(kept.model, episodes).double().cpu(), task.log_odds(*given)
    rules = {"oracle": episodes.llr, "bayes": bayes, "plugin": _plugin(cell, *given)}
    record = {"diverged": kept.diverged, "parameters": sum(p.numel() for p in kept.model.parameters())}
    for rule, values in rules.items():
        record |= _estimates(f"{rule}_accuracy", mean(right(values, episodes.label)))
        record |= _estimates(f"{rule}_bce", mean(bce(values, episodes.label)))
    found = compare(score, episodes.label, {name: rules[name] for name in ("oracle", "bayes")})
    for name in ("accuracy", "bce", "calibration_slope", "calibration_intercept", "ece"):
        record |= _estimates(name, getattr(found, name))
    for reference, against in found.against.items():
        for name, value in against._asdict().items():
            record |= _estimates(f"{reference}_{name}", value)
    for kernel, values in _kernels(cell, *given).items():
        test = kernel_test(score, bayes, values)
        for name, value in test._asdict().items():
            record |= _estimates(f"{kernel}_{name}", value)
    first = {"logit": score, "llr": episodes.llr, "bayes": bayes}
    record |= {f"shown_{name}": values[:SHOWN, 0].float().numpy() for name, values in first.items()}
    curves = kept.history._asdict()
    return [record | {f"history_{name}": np.asarray(values) for name, values in curves.items()}]


def _estimates(name: str, estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_se": estimate.se}


def _plugin(cell: Config, x, y, query):
    from icl_lrt.oracles.plugin import lda, plugin_variance

    return lda(x, y, query) if cell.task_name == "A" else plugin_variance(x, y, query)


def _kernels(cell: Config, x, y, query) -> dict:
    """Nadaraya-Watson estimates: the published kernel (task A), and a fair one with its best bandwidth."""
    from icl_lrt.oracles import kernels

    fair, bandwidths = {
        "A": (kernels.rbf, (1.0, 1.5, 2.0, 3.0, 4.0)),
        "B": (kernels.norm_kernel, (2.0, 3.0, 5.0, 8.0, 12.0)),
    }[cell.task_name]
    bandwidth = kernels.choose_bandwidth(fair, x[:500], y[:500], bandwidths)
    scores = {"dot": kernels.dot_product(x, query), "fair": fair(x, query, bandwidth)}
    return {name: kernels.nadaraya_watson(score, y) for name, score in scores.items()}


_SEEDS = (0, 1, 2)
_TASKS = ("task_A_regular", "task_B_regular")
_SMOKE = {"size": "tiny", "steps": 150, "episodes": 400, "queries": 2}

PRESETS: dict[str, list[Config]] = {
    "smoke": [Config(variant, **_SMOKE) for variant in _TASKS],
    "default": [Config(variant, seed=seed) for variant in _TASKS for seed in _SEEDS],
    "paper": [
        Config(variant, method, seed=seed, episodes=20_000, queries=1)
        for variant in _TASKS
        for method in ("faithful", "multi_query")
        for seed in _SEEDS
    ],
}
