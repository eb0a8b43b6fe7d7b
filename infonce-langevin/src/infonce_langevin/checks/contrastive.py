"""Contrastive training (experiment `contrastive`). All differences are paired: runs of a seed share weights,
batches and views. What was measured of a run that diverged is missing.
"""

import pandas as pd

from infonce_langevin.checks.judging import rows, seeds
from repro_shared.claims import Finding
from repro_shared.judging import Check, judge, within
from repro_shared.results import Results


def _by_seed(results: dict[str, Results], plan: str, optimizer: str, column: str) -> pd.Series:
    """`random` has no optimizer: it is the same network for all."""
    where = {"plan": plan} if plan == "random" else {"plan": plan, "optimizer": optimizer}
    return seeds(rows(results, "contrastive", **where), column)


def difference(plan: str, than: str, optimizer: str, column: str = "accuracy", **threshold: float) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Of one plan minus another, by seed: above, or below, 0."""
        first, second = (_by_seed(results, name, optimizer, column) for name in (plan, than))
        return judge(first - second, f"Means {first.mean():.2f} and {second.mean():.2f}.", **threshold)

    return check


def alike(plan: str, than: str, optimizer: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Probe accuracy of one plan minus another, points: 0, give or take 1, which is ten times the published
        difference of log and sqrt.
        """
        first, second = (_by_seed(results, name, optimizer, "accuracy") for name in (plan, than))
        return within(first - second, 0.0, 1.0, f"Means {first.mean():.2f} and {second.mean():.2f}.")

    return check
