"""Shares of draws, in per cent (of runs: `repro_shared.judging.share`)."""

from dataclasses import replace

import pandas as pd

from repro_shared.claims import Finding, verdict_from_interval
from repro_shared.judging import judge, per_seed


def share_of_draws(shares: pd.Series, draws: pd.Series, seeds: pd.Series, why: str, **threshold: float) -> Finding:
    """`judge` of the shares of so many draws each, mean over the rows of a seed.

    Draws of one seed share their heads, of which Wilson's interval of all draws knows nothing; Student's over seeds has
    no width where all seeds agree. The interval spans both.
    """
    shares = shares.astype(float)
    found = judge(100 * per_seed(shares, seeds, "mean"), why, **threshold)
    if found.n < 3:
        return found
    known = shares.notna()
    low, high = _wilson(round((shares * draws)[known].sum()), int(draws[known].sum()))
    low, high = max(0.0, min(low, found.low)), min(100.0, max(high, found.high))
    verdict = verdict_from_interval(low, high, **threshold)
    if verdict == "supported" and not known.all():
        verdict = "inconclusive"  # what is missing supports nothing
    return replace(found, low=low, high=high, verdict=verdict)


def _wilson(holds: int, n: int) -> tuple[float, float]:
    from scipy.stats import binomtest

    interval = binomtest(holds, n).proportion_ci(method="wilson")
    return 100 * interval.low, 100 * interval.high
