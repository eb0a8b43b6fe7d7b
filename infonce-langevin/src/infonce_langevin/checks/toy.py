"""The author's toy (experiment `toy`)."""

import numpy as np
import pandas as pd

from infonce_langevin.checks.judging import rows, seeds
from repro_shared.claims import Finding
from repro_shared.judging import Check, judge, within, worst
from repro_shared.results import Results

MASS = 0.02
"""Of a share: the step's error, .01 in a prototype, and as much for chance."""
HELD = 0.03
"""Of a share at the end of a schedule: as `MASS`, and .01 by which chains lag behind beta."""
CURVE = {1.823: 0.866, 2.922: 0.878, 5.177: 0.845, 7.828: 0.643, 10.28: 0.394, 14.37: 0.190, 25.0: 0.056,
         49.7: 0.012, 200.0: 0.004}  # fmt: skip
"""Rate -> published share of successes at the end point 10, mean of the author's two files of 1,024 runs."""
FAST = 14.0
"""Rates from here on end after 101 steps or fewer, where fewer than a fifth succeeded."""


def _gibbs(results: dict[str, Results], kind: str, end: float) -> pd.DataFrame:
    return rows(results, "toy", part="gibbs", kind=kind, end=end)


def stationary(method: str, end: float) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Share of chains below -1.5, from the uniform law, minus the exact Gibbs mass: 0, give or take `MASS`."""
        table = _gibbs(results, f"{method}, uniform", end)
        success, exact = seeds(table, "success"), seeds(table, "exact")
        return within(success - exact, 0.0, MASS, f"Chains {success.mean():.4f}, exact {exact.mean():.4f}.")

    return check


def starts(results: dict[str, Results]) -> Finding:
    """Share below -1.5 of chains that start at the minimum minus that of those at the maximum: 0, give or take
    `MASS`.
    """
    low, high = (seeds(_gibbs(results, f"langevin, {start}", 10.0), "success") for start in ("minimum", "maximum"))
    return within(low - high, 0.0, MASS, f"{low.mean():.4f} and {high.mean():.4f}.")


def stuck(results: dict[str, Results]) -> Finding:
    """Chains above -1.5 after a thousand steps at beta = 200, from the uniform law, per cent: more than 1 is our
    reading of "with positive probability"; the exact Gibbs mass up there is below 1e-30.
    """
    left = 100 * (1 - seeds(_gibbs(results, "langevin, uniform", 200.0), "success"))
    return judge(left, "The published runs have none of 2,048.", supported_above=1.0)


def hitting(kind: str, c: float, end: float, published: float, margin: float) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """The published mean, give or take three standard errors of theirs: 5 % at fixed beta, 10 % of an annealing.
        Chains that never hit count with the number of steps.
        """
        table = rows(results, "toy", part="hitting", kind=kind, c=c, end=end)
        why = f"Median {seeds(table, 'median').mean():.1f}; {100 * table['failure'].mean():.2f} % never hit."
        return within(seeds(table, "mean"), published, margin * published, why)

    return check


def failing(results: dict[str, Results]) -> Finding:
    """Chains that never hit at c = 10, per cent: the published 45.9, give or take 5, two standard errors of 512
    runs.
    """
    found = seeds(rows(results, "toy", part="hitting", kind="log", c=10.0, end=10.0), "failure")
    return within(100 * found, 45.9, 5.0, "beta ends at 10, after 172 steps.")


def _rates(results: dict[str, Results], end: float = 10.0) -> pd.DataFrame:
    return rows(results, "toy", part="rates", end=end)


def curve(results: dict[str, Results]) -> Finding:
    """Mean over seeds minus the published share, the largest of the rates that were run: at most .05, some four
    standard errors of theirs.
    """
    table = _rates(results)
    table = table[table["c"].isin(CURVE)]
    means = table.astype({"success": float}).groupby("c")["success"].agg(lambda held: held.mean(skipna=False))
    off = (means - pd.Series(CURVE)).reindex(means.index).abs()
    return worst(off, f"{len(off)} rates, c = {means.index.min():g} to {means.index.max():g}.", most=0.05)


def _exact(results: dict[str, Results]) -> pd.Series:
    return seeds(_gibbs(results, "langevin, uniform", 10.0), "exact")


def plateau(results: dict[str, Results]) -> Finding:
    """Success at c = 2.922 minus the exact Gibbs mass at beta = 10: 0, give or take `HELD`."""
    table, exact = _rates(results), _exact(results)
    success = seeds(table[table["c"] == 2.922], "success")
    return within(success - exact, 0.0, HELD, f"Chains {success.mean():.3f}, exact {exact.mean():.3f}.")


def time_is_short(results: dict[str, Results]) -> Finding:
    """Success of the fast rates 2,000 steps later, minus the exact Gibbs mass: 0, give or take `HELD`."""
    table, exact = _rates(results), _exact(results)
    fast = table[table["c"] >= FAST]
    why = f"At the schedules' end {seeds(fast, 'success').mean():.3f}, later {seeds(fast, 'held').mean():.3f}."
    return within(seeds(fast, "held") - exact, 0.0, HELD, why)


def _half(table: pd.DataFrame) -> float:
    """The rate above which fewer than half succeed, by a line in ln c; NaN where that is not crossed."""
    table = table.sort_values("c")
    c, success = table["c"].to_numpy(float), table["success"].to_numpy(float)
    above = np.flatnonzero(success >= 0.5)
    if np.isnan(success).any() or not len(above) or above[-1] == len(c) - 1:
        return np.nan
    k = above[-1]
    share = (success[k] - 0.5) / (success[k] - success[k + 1])
    return float(c[k] * (c[k + 1] / c[k]) ** share)


def crossing(results: dict[str, Results]) -> Finding:
    """Rate of half success at the end point 40 over that at 20, by seed: 1, give or take 10 %, the spacing of rates. A
    mere number of steps would make it 2.
    """
    halves = [
        pd.Series({seed: _half(held) for seed, held in _rates(results, end).groupby("seed")}, dtype=float)
        for end in (20.0, 40.0)
    ]
    return within(halves[1] / halves[0], 1.0, 0.1, f"At {halves[0].mean():.1f} and {halves[1].mean():.1f}.")


def descents(results: dict[str, Results]) -> Finding:
    """Descents that end more than .003 above the minimum on the sphere, per cent, most of any energy and seed: none."""
    table = rows(results, "toy", part="descent", d=3)
    highest = table["highest"].max()
    return worst(100 * table["stuck"], f"{len(table)} batches; largest excess {highest:.1e}.", most=0.0)


def planar(results: dict[str, Results]) -> Finding:
    """The same on the circle, hard and infonce at tau = .1, per cent: more than .1; a prototype had .5 to .8."""
    table = rows(results, "toy", part="descent", d=2)
    table = table[table["kind"].isin(("hard", "infonce .1"))]
    return judge(100 * seeds(table, "stuck"), "The interleaved square is a trap there.", supported_above=0.1)


def string(results: dict[str, Results]) -> Finding:
    """Highest point of the string above its beginning on the sphere: at most 1e-6, rounding."""
    return worst(rows(results, "toy", part="string", d=3)["barrier"], "Best of four strings.", most=1e-6)


def string_control(results: dict[str, Results]) -> Finding:
    """The same on the circle: at least .02; the exact depth is .028, and 40 images miss some of it."""
    return worst(rows(results, "toy", part="string", d=2)["barrier"], "Best of four strings.", least=0.02)


def shape(noise: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Success of the linear minus the log schedule at 877 steps: 0, give or take .05, two standard errors of the
        author's difference of 512 runs.
        """
        found = {
            kind: seeds(rows(results, "toy", part="shapes", noise=noise, needed=877, kind=kind), "success")
            for kind in ("log", "linear")
        }
        why = f"log {found['log'].mean():.3f}, linear {found['linear'].mean():.3f}."
        return within(found["linear"] - found["log"], 0.0, 0.05, why)

    return check
