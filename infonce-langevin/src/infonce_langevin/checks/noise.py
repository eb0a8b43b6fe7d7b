"""Anisotropic noise (experiment `noise`)."""

import pandas as pd

from infonce_langevin.checks.judging import rows, seeds
from repro_shared.claims import Finding
from repro_shared.judging import Check, judge, within, worst
from repro_shared.results import Results

NOTHING = 0.02
"""A share that we call no difference: chance on 16,384 chains and, beside exact masses, the step's error of .01."""


def _fixed(results: dict[str, Results], kind: str, end: float, column: str = "success") -> pd.Series:
    return seeds(rows(results, "noise", part="fixed", kind=kind, end=end), column)


def published(kind: str, **threshold: float) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Success at fixed beta = 10 minus that of isotropic noise with A = I, as published: above, or below, 0."""
        model, plain = _fixed(results, kind, 10.0), _fixed(results, "isotropic", 10.0)
        return judge(model - plain, f"{model.mean():.4f} and {plain.mean():.4f}; the trace differs, too.", **threshold)

    return check


def equal_trace(kind: str, end: float) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Success at fixed beta minus that of isotropic noise with the same trace: 0, give or take `NOTHING`."""
        model, matched = _fixed(results, kind, end), _fixed(results, f"{kind}, matched", end)
        return within(model - matched, 0.0, NOTHING, f"{model.mean():.4f} and {matched.mean():.4f}.")

    return check


def explained(results: dict[str, Results]) -> Finding:
    """Of the published effect of Aniso-Small at beta = 10, what isotropic noise of its trace has too, per cent: above
    90, "almost all of it".
    """
    plain = _fixed(results, "isotropic", 10.0)
    whole, trace = (_fixed(results, kind, 10.0) - plain for kind in ("small", "small, matched"))
    return judge(100 * trace / whole, f"{trace.mean():.4f} of {whole.mean():.4f}.", supported_above=90.0)


def curve(results: dict[str, Results]) -> Finding:
    """Success at the end of a schedule minus that with isotropic noise of the same trace, means over seeds, the largest
    of both matrices and all rates: at most .05, four standard errors of a difference of 4,096 chains.
    """
    table = rows(results, "noise", part="rates").astype({"success": float})
    means = table.groupby(["c", "kind"])["success"].agg(lambda held: held.mean(skipna=False)).unstack()
    off = pd.concat([(means[kind] - means[f"{kind}, matched"]).abs() for kind in ("small", "large")])
    return worst(off, f"{len(means)} rates, c = {means.index.min():g} to {means.index.max():g}.", most=0.05)


def law(kind: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Success at fixed beta = 10 minus the exact Gibbs mass, at the temperature that the trace says or, with the
        corrected drift, at beta: 0, give or take `NOTHING`.
        """
        success, exact = _fixed(results, kind, 10.0), _fixed(results, kind, 10.0, "exact")
        return within(success - exact, 0.0, NOTHING, f"Chains {success.mean():.4f}, exact {exact.mean():.4f}.")

    return check
