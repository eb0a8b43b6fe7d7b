"""How a check turns numbers into a finding: by an interval over seeds, or by the worst value of all.

A missing value never helps a claim: a check that can say what a missing value means fills it in, or leaves it out by
name (`present`). What is still missing here is counted in the finding, and "supported" becomes "inconclusive".
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from repro_shared.claims import Finding, mean_interval, verdict_from_interval
from repro_shared.results import Results

Check = Callable[[dict[str, Results]], Finding]


def judge(values: Iterable[float], why: str, **threshold: float) -> Finding:
    """Finding from one number per seed, by its t-interval; fewer than three seeds decide nothing."""
    values = pd.Series(list(values), dtype=float)
    defined = values.dropna()
    if defined.empty:
        return Finding(None, None, None, 0, "inconclusive", f"{why} No seed has a value.")
    mean, low, high = mean_interval(defined)
    verdict = verdict_from_interval(low, high, **threshold) if len(defined) >= 3 else "inconclusive"
    return _with_missing(Finding(mean, low, high, len(defined), verdict, why), len(values))


def factor(ratios: pd.Series, why: str, **threshold: float) -> Finding:
    """`judge` of ratios by their logarithms: the mean over seeds is geometric."""
    found = judge(np.log(ratios.astype(float)), why, **{name: np.log(value) for name, value in threshold.items()})
    back = (None if value is None else float(np.exp(value)) for value in (found.measured, found.low, found.high))
    return Finding(*back, found.n, found.verdict, found.why)


def share(holds: pd.Series, why: str, **threshold: float) -> Finding:
    """`judge` of what is so (1) or is not (0) in each run, in per cent, by Wilson's 95 % interval of a share: that of
    Student has no width where all runs agree.
    """
    from scipy.stats import binomtest

    found = judge(100 * holds.astype(float), why, **threshold)
    if found.n < 3:
        return found
    interval = binomtest(int(holds.sum()), found.n).proportion_ci(method="wilson")
    low, high = 100 * interval.low, 100 * interval.high
    verdict = verdict_from_interval(low, high, **threshold)
    if found.n < len(holds) and verdict == "supported":
        verdict = "inconclusive"
    return replace(found, low=low, high=high, verdict=verdict)


def within(values: pd.Series, target: float, margin: float, why: str) -> Finding:
    """`judge` of "is `target`, give or take `margin`": supported when the whole interval is in there, contradicted when
    it is wholly outside.
    """
    above = judge(values, why, supported_above=target - margin)
    below = judge(values, why, supported_below=target + margin)
    verdicts = {above.verdict, below.verdict}
    verdict = "contradicted" if "contradicted" in verdicts else "inconclusive"
    return replace(above, verdict="supported" if verdicts == {"supported"} else verdict)


def worst(
    values: pd.Series | np.ndarray, why: str, *, most: float | None = None, least: float | None = None
) -> Finding:
    """A statement about every value: supported when the worst one keeps to the limit, contradicted otherwise."""
    values = pd.Series(np.asarray(values, dtype=float))
    defined = values.dropna()
    if defined.empty:
        return Finding(None, None, None, 0, "inconclusive", f"{why} Nothing was measured.")
    extreme = defined.max() if most is not None else defined.min()
    holds = extreme <= most if most is not None else extreme >= least
    verdict = "supported" if holds else "contradicted"
    return _with_missing(Finding(float(extreme), None, None, len(defined), verdict, why), len(values))


def _with_missing(found: Finding, count: int) -> Finding:
    """The finding of `count` values of which only `found.n` were there."""
    if found.n == count:
        return found
    why = f"{found.why} {count - found.n} of {count} values are missing, which supports nothing."
    return replace(found, verdict="inconclusive" if found.verdict == "supported" else found.verdict, why=why)


def present(values: pd.Series, reason: str) -> tuple[pd.Series, str]:
    """The values that are there, and a sentence on those that are not and why they may be left out."""
    kept = values.astype(float).dropna()
    missing = len(values) - len(kept)
    return kept, f" {missing} of {len(values)} are left out: {reason}." if missing else ""


def by_seed(table: pd.DataFrame, column: str, of: str = "mean") -> pd.Series:
    """Mean, or another statistic, over the rows of each seed; missing where one of them is."""
    return per_seed(table[column].astype(float), table["seed"], of)


def per_seed(values: pd.Series, seeds: pd.Series, of: str) -> pd.Series:
    """pandas' own statistics of groups leave NaN out."""
    return values.groupby(seeds).agg(lambda held: getattr(held, of)(skipna=False))


def part(results: dict[str, Results], experiment: str, name: str) -> pd.DataFrame:
    """The rows of one part of an experiment."""
    table = results[experiment].table
    return table[table["part"] == name]
