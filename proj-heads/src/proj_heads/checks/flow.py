"""Escape, growth and singularities along gradient flow (claim C5, experiment `flow`).

A path escapes once its spread is more than ten times the least until then. Of a path that was left at a singularity it
is known what it had done by then, and nothing else.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from proj_heads.checks.collapse import MOST, above
from proj_heads.experiments.collapse import ESCAPE
from repro_shared.claims import Finding
from repro_shared.judging import Check, factor, judge, per_seed, share
from repro_shared.results import Results

FORETOLD = 0.5
"""Rank correlation, our reading of "foretells": what two rankings share is no longer less than what they do not."""
PROLONGED = 0.1
"""A path ends where a tenfold limit prolongs it by less than this share: less than a tenth is no trend to us."""
NARROWED = 0.25
"""Over two tenfold limits the least output falls to less than this, a half each: where the rate is 1 / ||p||^2, as at a
zero, it falls to a tenth."""
LESS_OFTEN = 10.0
"""Percentage points of paths: less often by fewer than this is no less often. A tenth is no trend to us."""
AGREES = 1.1
"""Either way: a tenth. Halving the steps of the prototype's descent changed growth by 6 to 8 %."""


def _paths(results: dict[str, Results], *heads: str) -> pd.DataFrame:
    """Paths from true collapse, of some heads or of all. Missing is whether a path escaped or grew where the deviation
    between the flow's two tolerances, at both ends of the quotient, could have changed it; and how much it grew where
    it was left before the end.
    """
    table = results["flow"].table
    table = table[(table["start"] == "mean_shift") & (table["activation"].isin(heads) if heads else True)]
    margin = 2 * np.log1p(table["error"].astype(float))
    exact = {
        quotient: np.log(table[quotient].astype(float) / limit).abs() > margin
        for quotient, limit in (("rise", ESCAPE), ("growth", 1.0))
    }
    return table.assign(
        escaped=table["escaped"].astype(float).where(exact["rise"]),
        growth=table["growth"].astype(float).where(exact["growth"] & ~_left(table)),
    )


def _left(paths: pd.DataFrame) -> pd.Series:
    """Before the end, which is an answer only where they had escaped by then. What is not known counts as left."""
    return paths["stopped"].astype(float) != 0


def flow_escape(wanted: bool, head: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Share of paths that escape by the end: `MOST`."""
        paths = _paths(results, head)
        left = paths[_left(paths)]
        why = (
            f"{len(left)} of {len(paths)} paths were left at a singularity, {left['escaped'].sum():.0f} of which had "
            f"escaped; of the others {(paths['growth'] > 1).sum()} have grown by the end, the median one "
            f"{paths['growth'].median():.2g} times."
        )
        return share(paths["escaped"], why, **{above(wanted): MOST})

    return check


def flow_growth(wanted: bool, *heads: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Spread at the end over that at the start, geometric mean over heads and seeds: on the claim's side of 1."""
        paths = _paths(results, *heads)
        logs = np.log(paths["growth"])
        means = np.exp(logs.groupby(paths["activation"]).mean())
        by = ", ".join(f"{name} {value:.3g}" for name, value in means.items())
        seeds = np.exp(per_seed(logs, paths["seeds"], "mean"))
        return factor(seeds, f"Geometric means over seeds: {by}.", **{above(wanted): 1.0})

    return check


def flow_no_less_often(results: dict[str, Results]) -> Finding:
    """Percentage of paths of the flow that escape minus that of descents in steps of .5 from the same starts, mean over
    heads: above minus `LESS_OFTEN`.
    """
    paths = _paths(results)
    steps = paths["escaped_0.5"].astype(float)
    why = f"{paths['escaped'].sum():.0f} of {len(paths)} paths escape, and {steps.sum():.0f} in steps of 0.5."
    return judge(per_seed(100 * (paths["escaped"] - steps), paths["seeds"], "mean"), why, supported_above=-LESS_OFTEN)


def flow_small_steps(results: dict[str, Results]) -> Finding:
    """Factor between growth by descent in steps of .05 and by the flow, whichever is larger, geometric mean over the
    heads whose paths last to the end: below `AGREES`.
    """
    paths = results["flow"].table[results["flow"].table["start"] == "mean_shift"]
    lasting = paths[~_left(paths)]
    apart = np.log(lasting["growth_0.05"].astype(float) / lasting["growth"].astype(float)).abs()
    larger = (lasting["growth_0.05"] > lasting["growth"]).sum()
    why = (
        f"{len(lasting)} of {len(paths)} paths last; descent grows more from {larger} of their starts, and differs "
        f"by up to {np.exp(apart.max()):.2g} times."
    )
    return factor(np.exp(per_seed(apart, lasting["seeds"], "mean")), why, supported_below=AGREES)


def foretold(rate: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Spearman's correlation between a linearised rate and growth by the end, over all heads and seeds, of paths
        that last to the end: above `FORETOLD`. The interval is Student's of the jackknife over seeds, as the heads of a
        seed share its batch.
        """
        paths = results["flow"].table[results["flow"].table["start"] == "mean_shift"]
        paths = paths.astype({rate: float, "growth": float})
        lasting, left = paths[~_left(paths)], paths[_left(paths)]
        agree = ((lasting[rate] > 0) == (lasting["growth"] > 1)).sum()
        why = (
            f"{len(lasting)} of {len(paths)} paths last. The rate is positive for {(lasting[rate] > 0).sum()}, "
            f"{(lasting['growth'] > 1).sum()} grow, and the sign is right for {agree}. Of the others "
            f"{(left['growth'] > 1).sum()} had grown when they were left, and one cannot say by how much they would."
        )
        values = _jackknife(lambda held: held[rate].corr(held["growth"], "spearman"), lasting)
        known = per_seed(lasting[rate] + lasting["growth"], lasting["seeds"], "sum").notna()
        return judge(values.where(known), why, supported_above=FORETOLD)

    return check


def _jackknife(statistic: Callable[[pd.DataFrame], float], table: pd.DataFrame) -> pd.Series:
    """Pseudo-values n s - (n - 1) s_i by seed, s_i: the statistic without seed i. Their mean is the statistic without
    its bias of order 1/n. One seed has the statistic itself.
    """
    whole, seeds = statistic(table), sorted(table["seeds"].unique())
    if len(seeds) == 1:
        return pd.Series(whole, seeds)
    without = pd.Series({seed: statistic(table[table["seeds"] != seed]) for seed in seeds})
    return len(seeds) * whole - (len(seeds) - 1) * without


def flow_singular(results: dict[str, Results]) -> Finding:
    """Share of seeds of which the paths of all heads but ReLU, whose field jumps, end at a zero of the predictor: above
    `MOST`. A path does if a limit ten times higher prolongs it by less than `PROLONGED`, and the least output falls to
    less than `NARROWED` over two such limits. One that lasts, or goes on, does not; of one that was given up before the
    last limit nothing is known.
    """
    paths = results["flow"].table
    paths = paths[(paths["start"] == "pseudo") & (paths["activation"] != "relu")]
    first, middle, last = (f"{rate:g}" for rate in paths["stiffest"].iloc[0])
    ends, outputs = ({rate: paths[f"{kind}_{rate}"].astype(float) for rate in (first, middle, last)}
                     for kind in ("met", "nearest"))  # fmt: skip
    prolonged, narrowed = ends[last] / ends[middle] - 1, outputs[last] / outputs[first]
    known = (prolonged + narrowed).notna() | ~_left(paths)
    zero = ((prolonged < PROLONGED) & (narrowed < NARROWED)).astype(float).where(known)
    by = ", ".join(f"{name} {held.sum():.0f} of {len(held)}" for name, held in zero.groupby(paths["activation"]))
    why = (
        f"{by}. A limit of {last} for {middle} prolongs paths by {100 * prolonged.median():.2g} % (median; at most "
        f"{100 * prolonged.max():.2g} %). The median one ends at t = {ends[last].median():.2g} with a least output of "
        f"{outputs[last].median():.2g} times the mean one ({outputs[first].median():.2g} at a limit of {first})."
    )
    return share(per_seed(zero, paths["seeds"], "min"), why, supported_above=MOST)
