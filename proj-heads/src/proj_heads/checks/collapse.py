"""Collapse and escape, by SGD and by gradient flow (claims C5 to C7, experiments `collapse` and `flow`).

A run escapes if its spread ends at more than ten times its least, the rule of both experiments, fixed before any run.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from proj_heads.experiments.collapse import ESCAPE
from repro_shared.claims import Finding, verdict_from_interval
from repro_shared.judging import Check, factor, judge, per_seed, worst
from repro_shared.results import Results

PUBLISHED = {"collapse": "pseudo", "norm": False, "lr": 0.05}
"""The authors' start at their base rate, without batch norm."""
MEASURED = (
    "collapsed", "ends_collapsed", "escaped", "ever_escaped", "rise", "spearman_condition", "spearman_effective_rank",
    "timescale", "mean_update_head", "mean_update_backbone",
)  # fmt: skip
"""Columns of `collapse`; missing for runs that diverged."""
MOST = 50.0
""""Heads of this kind escape" reads: most of their runs do; "do not" reads: most do not. Per cent."""
FASTER = 10.0
"""Head over backbone, our reading of "much faster": an order of magnitude."""
PARITY = 3.0
"""Either way, our reading of "parity": the least round factor that the published values, .47 to 2.7, keep to."""


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
    if verdict == "supported" and found.n < len(holds):
        verdict = "inconclusive"  # what is missing supports nothing
    return replace(found, low=low, high=high, verdict=verdict)


def _above(wanted: bool) -> str:
    return "supported_above" if wanted else "supported_below"


# ---- C5: SGD


def _runs(results: dict[str, Results], **settings) -> pd.DataFrame:
    """One row per seed and head, the published setting unless said otherwise."""
    table = results["collapse"].table
    for name, value in (PUBLISHED | settings).items():
        table = table[table[name] == value]
    return table.astype(dict.fromkeys(MEASURED, float))


def escape(wanted: bool, note: str = "", **settings) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Share of runs that escape, of those that collapsed: only they have something to escape from; `MOST`."""
        runs = _runs(results, **settings)
        runs = runs[runs["collapsed"] != 0]
        if runs.empty:
            return judge([], "No run collapsed.")
        why = (
            f"Of {len(runs)} collapsed runs {runs['ever_escaped'].sum():.0f} were above ten times their least spread "
            f"at some time; at the end the median one is at {runs['rise'].median():.3g} times.{note}"
        )
        return share(runs["escaped"], why, **{_above(wanted): MOST})

    return check


def rescued(note: str = "", **settings) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Share of runs that end with less than a tenth of the possible spread, the experiment's rule: below `MOST`."""
        runs = _runs(results, **settings)
        why = f"{runs['collapsed'].sum():.0f} of {len(runs)} runs are collapsed at some time.{note}"
        return share(runs["ends_collapsed"], why, supported_below=MOST)

    return check


def spared(results: dict[str, Results]) -> Finding:
    """Share of seeds of which a head that was not scaled ever collapses: below `MOST`."""
    runs = _runs(results, collapse="none")
    by = ", ".join(f"{name} {held.sum():.0f} of {len(held)}" for name, held in runs.groupby("activation")["collapsed"])
    return share(per_seed(runs["collapsed"], runs["seeds"], "max"), f"{by}.", supported_below=MOST)


# ---- C5: gradient flow


def _paths(results: dict[str, Results], *heads: str) -> pd.DataFrame:
    """Paths from true collapse. Whether one escaped or grew is missing where the deviation between the flow's two
    tolerances, at both ends of the quotient, could have changed it.
    """
    table = results["flow"].table
    table = table[(table["start"] == "mean_shift") & table["activation"].isin(heads)]
    margin = 2 * np.log1p(table["error"].astype(float))
    for number, quotient, limit in (("escaped", "rise", ESCAPE), ("growth", "growth", 1.0)):
        distance = np.log(table[quotient].astype(float) / limit).abs()
        table = table.assign(**{number: table[number].astype(float).where(distance > margin)})
    return table


def flow_escape(wanted: bool, head: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Share of paths that escape: `MOST`."""
        paths = _paths(results, head)
        why = (
            f"{(paths['growth'] > 1).sum()} of {len(paths)} paths end with more spread than they start with, the "
            f"median one with {paths['growth'].median():.2g} times as much."
        )
        return share(paths["escaped"], why, **{_above(wanted): MOST})

    return check


def flow_growth(wanted: bool, *heads: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Spread at the end over that at the start, geometric mean over heads and seeds: on the claim's side of 1."""
        paths = _paths(results, *heads)
        logs = np.log(paths["growth"].astype(float))
        means = np.exp(logs.groupby(paths["activation"]).mean())
        by = ", ".join(f"{name} {value:.3g}" for name, value in means.items())
        seeds = np.exp(per_seed(logs, paths["seeds"], "mean"))
        return factor(seeds, f"Geometric means over seeds: {by}.", **{_above(wanted): 1.0})

    return check


def flow_singular(results: dict[str, Results]) -> Finding:
    """Rate of relaxation at the end of paths from the authors' start, over that at which the experiment takes the loss
    for singular: every path gets there. Without ReLU, whose field jumps, which ends some paths before.
    """
    paths = results["flow"].table
    paths = paths[paths["start"] == "pseudo"]
    by = ", ".join(f"{name} {held.median():.2g}" for name, held in paths.groupby("activation")["reached"])
    smooth = paths[paths["activation"] != "relu"]
    growth, nearest = smooth["growth"], smooth["nearest_zero"].median()
    why = (
        f"Least of {len(smooth)} paths. They end at t = {by} (medians; ReLU's also by jumps): the smallest output is "
        f"{nearest:.2g} times the mean one, the spread {growth.min():.2g} to {growth.max():.2g} times its first value."
    )
    return worst(smooth["stiffness"].astype(float) / smooth["stiffest"], why, least=1.0)


# ---- C6: spread and conditioning


def together(measure: str, wanted: bool) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Spearman's correlation of the std with a measure along training, mean over heads: on the claim's side of 0.

        There are no more outputs than coordinates, as in the authors' runs, so that the published condition number is
        1e7 times the largest eigenvalue.
        """
        runs = _runs(results)
        values = runs[f"spearman_{measure}"]
        by = ", ".join(f"{name} {value:.2f}" for name, value in values.groupby(runs["activation"]).mean().items())
        return judge(per_seed(values, runs["seeds"], "mean"), f"By head: {by}.", **{_above(wanted): 0.0})

    return check


# ---- C7: time scales


def faster(**settings) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Mean relative update of the head over that of the backbone, as published: above `FASTER`."""
        runs = _runs(results, **settings)
        return factor(runs["timescale"], _updates(runs), supported_above=FASTER)

    return check


def parity(**settings) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """The same quotient: between 1 / `PARITY` and `PARITY`."""
        runs = _runs(results, **settings)
        limits = {"supported_above": 1 / PARITY}, {"supported_below": PARITY}
        sides = [factor(runs["timescale"], _updates(runs), **limit) for limit in limits]
        return max(sides, key=lambda found: ("supported", "inconclusive", "contradicted").index(found.verdict))

    return check


def _updates(runs: pd.DataFrame) -> str:
    ratios = runs["timescale"]
    head, backbone = (runs[f"mean_update_{part}"].median() for part in ("head", "backbone"))
    return (
        f"Head over backbone {ratios.min():.2g} to {ratios.max():.2g}; median relative update a step {head:.1e} and "
        f"{backbone:.1e}."
    )
