"""Collapse and escape by SGD, conditioning and time scales (claims C5 to C7, experiment `collapse`).

A run escapes if its spread ends at more than ten times its least, the experiment's rule, fixed before any run.
"""

from dataclasses import replace

import pandas as pd

from repro_shared.claims import Finding
from repro_shared.judging import Check, factor, judge, per_seed, share
from repro_shared.results import Results

PUBLISHED = {"collapse": "pseudo", "norm": False, "lr": 0.05, "objective": "simsiam"}
"""The authors' start at their base rate, without batch norm."""
MEASURED = (
    "collapsed", "ends_collapsed", "escaped", "ever_escaped", "rise", "spearman_condition", "spearman_effective_rank",
    "timescale", "timescale_median", "mean_update_head", "mean_update_backbone",
)  # fmt: skip
"""Columns of `collapse`; missing for runs that diverged."""
MOST = 50.0
""""Heads of this kind escape" reads: most of their runs do; "do not" reads: most do not. Per cent."""
FASTER = 10.0
"""Head over backbone, our reading of "much faster": an order of magnitude."""
PARITY = 3.0
"""Either way, our reading of "parity": the least round factor that the published values, .47 to 2.7, keep to."""


def above(wanted: bool) -> str:
    return "supported_above" if wanted else "supported_below"


# ---- C5


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
        return share(runs["escaped"], why, **{above(wanted): MOST})

    return check


def rescued(note: str = "", **settings) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Share of runs that end with less than a tenth of the possible spread, the experiment's rule: below `MOST`."""
        runs = _runs(results, **settings)
        why = f"{runs['collapsed'].sum():.0f} of {len(runs)} runs are collapsed at some time.{note}"
        return share(runs["ends_collapsed"], why, supported_below=MOST)

    return check


def prevented(**settings) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Share of runs that are collapsed at any time: below `MOST`. Where none is, there is nothing to rescue."""
        runs = _runs(results, **settings)
        why = f"{runs['collapsed'].sum():.0f} of {len(runs)} runs are collapsed at some time."
        return share(runs["collapsed"], why, supported_below=MOST)

    return check


def spared(results: dict[str, Results]) -> Finding:
    """Share of seeds of which a head that was not scaled ever collapses: below `MOST`."""
    runs = _runs(results, collapse="none")
    by = ", ".join(f"{name} {held.sum():.0f} of {len(held)}" for name, held in runs.groupby("activation")["collapsed"])
    return share(per_seed(runs["collapsed"], runs["seeds"], "max"), f"{by}.", supported_below=MOST)


def true_escape(wanted: bool, head: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """`escape` from collapsed representations; inconclusive unless most runs of the control escape, which are the
        same members under InfoNCE for a tenth of the steps: else the study might not be able to see an escape.
        """
        runs = {"activation": head, "collapse": "mean_shift"}
        found, control = escape(wanted, **runs)(results), escape(True, **runs, objective="infonce")(results)
        verdict = found.verdict if control.verdict == "supported" else "inconclusive"
        return replace(found, verdict=verdict, why=f"{found.why} Under InfoNCE: {control.why}")

    return check


def control_escapes(results: dict[str, Results]) -> Finding:
    """Share of seeds of which all heads escape from collapsed representations under InfoNCE: above `MOST`."""
    runs = _runs(results, collapse="mean_shift", objective="infonce")
    why = f"{runs['escaped'].sum():.0f} of {len(runs)} runs; the median one ends at {runs['rise'].median():.3g} times."
    return share(per_seed(runs["escaped"], runs["seeds"], "min"), why, supported_above=MOST)


# ---- C6


def together(measure: str, wanted: bool) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Spearman's correlation of the std with a measure along training, mean over heads: on the claim's side of 0.

        There are no more outputs than coordinates, as in the authors' runs, so that the published condition number is
        1e7 times the largest eigenvalue.
        """
        runs = _runs(results)
        values = runs[f"spearman_{measure}"]
        by = ", ".join(f"{name} {value:.2f}" for name, value in values.groupby(runs["activation"]).mean().items())
        return judge(per_seed(values, runs["seeds"], "mean"), f"By head: {by}.", **{above(wanted): 0.0})

    return check


# ---- C7


def faster(statistic: str = "timescale", **settings) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Relative update of the head over that of the backbone: above `FASTER`; means over all steps, as published, or
        medians over records, which a few large steps at the start do not decide (`timescale_median`).
        """
        runs = _runs(results, **settings)
        return factor(runs[statistic], _updates(runs, statistic), supported_above=FASTER)

    return check


def parity(**settings) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """The quotient of the means: between 1 / `PARITY` and `PARITY`."""
        runs = _runs(results, **settings)
        limits = {"supported_above": 1 / PARITY}, {"supported_below": PARITY}
        sides = [factor(runs["timescale"], _updates(runs, "timescale"), **limit) for limit in limits]
        return max(sides, key=lambda found: ("supported", "inconclusive", "contradicted").index(found.verdict))

    return check


def _updates(runs: pd.DataFrame, statistic: str) -> str:
    ratios = runs[statistic]
    between = f"Head over backbone {ratios.min():.2g} to {ratios.max():.2g}"
    if statistic == "timescale_median":
        return f"{between}; of the means over steps {runs['timescale'].median():.2g} (median over seeds)."
    head, backbone = (runs[f"mean_update_{part}"].median() for part in ("head", "backbone"))
    return f"{between}; mean relative update a step {head:.1e} and {backbone:.1e} (medians over seeds)."
