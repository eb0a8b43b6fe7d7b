"""Hessians during training (claims C4 and C6, experiment `hessian`)."""

import numpy as np
import pandas as pd

from proj_heads.checks.theory import SMOOTH, STRAIGHT
from repro_shared.claims import Finding
from repro_shared.judging import judge, per_seed, worst
from repro_shared.results import Results

SETTLED = 60
"""Steps after which counts are taken (the prototype's choice): the first steps leave the initial state."""


def _counts(results: dict[str, Results], column: str, heads: tuple[str, ...]) -> pd.Series:
    """Mean of a curve over the settled steps, per run; pseudo-collapsed starts."""
    curves = results["hessian"].curves
    curves = curves[curves["activation"].isin(heads) & (curves["alpha"] < 1)]
    settled = curves[curves["step"] >= min(SETTLED, curves["step"].max())]
    return settled.groupby(["activation", "seed"])[column].agg(lambda held: held.mean(skipna=False))


def straight_heads(results: dict[str, Results]) -> Finding:
    """Negative eigenvalues under the squared error, the run with most: none."""
    counts = _counts(results, "squared_negative", STRAIGHT)
    return worst(counts, f"Mean over 32 samples and the steps from {SETTLED} on, squared error, worst run.", most=0)


def smooth_heads(results: dict[str, Results]) -> Finding:
    """Negative eigenvalues under the squared error, of 64: at least 10, the prototype's limit (it found 30)."""
    counts = _counts(results, "squared_negative", SMOOTH)
    by = ", ".join(f"{name} {mean:.1f}" for name, mean in counts.groupby(level="activation").mean().items())
    metric = _counts(results, "squared_metric_negative", SMOOTH).max()
    why = f"Of 64 eigenvalues: {by}; of G alone {metric:.0f}."
    return judge(per_seed(counts, counts.index.get_level_values("seed"), "mean"), why, supported_above=10.0)


def sign_tells(results: dict[str, Results]) -> Finding:
    """Negative eigenvalues of linear and ReLU heads under the loss that is trained; the claim needs none: below .05 per
    sample is our reading of none.
    """
    counts = _counts(results, "cosine_negative", STRAIGHT)
    smooth = _counts(results, "cosine_negative", SMOOTH).mean()
    why = (
        f"Of 64 eigenvalues, per sample; smooth heads {smooth:.0f}. One is the cosine loss's own: counts tell heads "
        "apart, the sign does not."
    )
    return judge(per_seed(counts, counts.index.get_level_values("seed"), "mean"), why, supported_below=0.05)


def spread_and_condition(results: dict[str, Results]) -> Finding:
    """Spearman's correlation along training of the backbone outputs' std and the published condition number, mean over
    Swish runs of a seed: above 0. The covariance of 2 x 128 outputs in 64 dimensions is not singular here; the
    published one was, so that its condition number was 1e7 lambda_max, which is what is correlated.
    """
    from scipy.stats import spearmanr

    found: dict[int, list[float]] = {}
    curves = results["hessian"].curves
    for (_, seed), run in curves[curves["activation"] == "swish"].groupby(["row", "seed"]):
        found.setdefault(seed, []).append(float(spearmanr(run["std"], run["lambda_max"]).statistic))
    values = [float(np.mean(runs)) for runs in found.values()]
    return judge(values, "std against lambda_max, Swish, with and without pseudo-collapse.", supported_above=0.0)
