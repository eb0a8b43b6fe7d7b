"""The finite-time bound, and shapes at a finite horizon (experiments `bound` and `shapes`)."""

import numpy as np
import pandas as pd

from infonce_langevin.checks.judging import rows, seeds
from repro_shared.claims import Finding
from repro_shared.judging import Check, judge, worst
from repro_shared.results import Results

LOG = "log"
ANNEALED = ("sqrt", "linear", "cosine", "exponential")
POINT = 0.01
"""A share that some ten thousand chains could tell: our reading of "better" and "worse" between exact numbers."""

# ---- C5


def valid(results: dict[str, Results]) -> Finding:
    """Bound over exact probability of failure, the least of all rates, times and grids: at least 1, to the 1e-3 that
    the exact one's time steps are off by.
    """
    curves = results["bound"].curves
    ratio = curves["bound"].astype(float) / curves["exact"]
    return worst(ratio, f"{len(ratio)} rates, times and grids.", least=1 - 1e-3)


def tight(results: dict[str, Results]) -> Finding:
    """The same quotient at c d* <= .75 and t >= 1,000, the most: at most 3; a prototype had 2.3."""
    curves = results["bound"].curves
    curves = curves[(curves["ratio"] <= 0.75) & (curves["step"] >= 1000)]
    ratio = curves["bound"].astype(float) / curves["exact"]
    return worst(ratio, f"c d* = {curves['ratio'].min():.2g} to {curves['ratio'].max():.2g}.", most=3.0)


def exponent(results: dict[str, Results]) -> Finding:
    """Exponent of the exact failure over two decades of time minus c eps, c d* <= .75, the largest: at most .1; powers
    of ln t are what it may be off by.
    """
    table = rows(results, "bound")
    table = table[table["ratio"] <= 0.75]
    off = (table["exponent"].astype(float) - table["predicted"]).abs()
    by = ", ".join(f"{ratio:.2g}: {held.mean():.2f}" for ratio, held in table.groupby("ratio")["exponent"])
    return worst(off, f"Measured, by c d*: {by}.", most=0.1)


def recommended(results: dict[str, Results]) -> Finding:
    """The bound of the recommended rate at the latest time over the least bound of all rates, most of any grid: at most
    2, our reading of "near".
    """
    table = rows(results, "bound").astype({"last_bound": float})
    chosen = table["recommended"].astype(bool)
    least = table.groupby("size")["last_bound"].agg(lambda held: held.min(skipna=False))
    ratio = table[chosen].set_index("size")["last_bound"] / least
    return worst(ratio, f"c d* = {table.loc[chosen, 'ratio'].mean():.3f}.", most=2.0)


# ---- C8


def _success(results: dict[str, Results]) -> pd.DataFrame:
    """Exact success, a row for each grid and setting, a column for each shape."""
    table = rows(results, "shapes", part="exact").astype({"success": float})
    return table.pivot(index=["size", "horizon", "end"], columns="kind", values="success")


def log_is_worst(results: dict[str, Results]) -> Finding:
    """Success of the other annealed shapes minus that of log, the least of all: at least `POINT`."""
    table = _success(results)
    gaps = table[list(ANNEALED)].sub(table[LOG], axis=0)
    why = f"log {table[LOG].min():.3f} to {table[LOG].max():.3f}, nearest {gaps.stack().idxmin()[-1]}."
    return worst(gaps.to_numpy().ravel(), why, least=POINT)


def better(shape: str, than: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Success of one shape minus that of another, the least of all settings and grids: at least `POINT`."""
        table = _success(results)
        why = f"Means {table[shape].mean():.3f} and {table[than].mean():.3f}."
        return worst(table[shape] - table[than], why, least=POINT)

    return check


def exponential_is_best(results: dict[str, Results]) -> Finding:
    """Success of the exponential schedule minus the best of log, sqrt, linear and cosine, the least of all: at least
    -.001; where several reach 1, rounding must not decide.
    """
    table = _success(results)
    others = table[[LOG, "sqrt", "linear", "cosine"]]
    best = pd.Series(np.max(others.to_numpy(), axis=1), table.index)
    return worst(table["exponential"] - best, f"Least success {table['exponential'].min():.4f}.", least=-1e-3)


def budget(kind: str, than: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Share of successes of one way to spend the steps minus that of another, by seed: above 0."""
        first, second = (seeds(rows(results, "shapes", part="budget", kind=name), "success") for name in (kind, than))
        return judge(first - second, f"{first.mean():.4f} and {second.mean():.4f}.", supported_above=0.0)

    return check
