"""Is a rule a kernel smoother? A test that knows what the best rule would score (ours).

The published test correlates the logit with one Nadaraya-Watson output and takes a low r for "not a kernel smoother".
But good rules correlate with each other through the answer, and the exact Bayes predictive, which is no smoother, has
the same r with that kernel. Here the logit is first regressed on the Bayes log-odds; what is left tells:

    partial r = r(logit - E[logit | Bayes], kernel - E[kernel | Bayes])

0 where the logit is a function of the Bayes log-odds, with or without noise of its own; 1 for the smoother itself. With
power: the interval says how large a partial r the queries at hand could have missed.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import ndtri
from sklearn.isotonic import IsotonicRegression
from sklearn.preprocessing import SplineTransformer
from torch import Tensor

from icl_lrt.estimates import Estimate, correlation, jackknife, pearson, ranks, spearman

Adjustment = Literal["linear", "isotonic", "spline"]
"""How E[. | Bayes] is fit. Task B's logit saturates while the Bayes log-odds run to hundreds: a line leaves curvature
there that every saturating kernel shares, so linear is right for task A alone.
"""

_KNOTS = 20


class KernelTest(NamedTuple):
    """One kernel's outputs beside a rule's scores."""

    raw: Estimate
    """Pearson's r of score and kernel: the published test."""
    bayes: Estimate
    """Pearson's r of the exact Bayes log-odds with the same kernel: its control."""
    partial: Estimate
    """Partial r of score and kernel, given the Bayes log-odds."""


def kernel_test(
    score: Float[Tensor, "batch m"],
    bayes: Float[Tensor, "batch m"],
    kernel: Float[Tensor, "batch m"],
    adjustment: Adjustment = "spline",
) -> KernelTest:
    """For a Nadaraya-Watson output in [-1, 1] on the same queries; standard errors over episodes."""
    score, bayes, kernel = (values.double().cpu() for values in (score, bayes, kernel))
    partial = jackknife(
        lambda s, b, k: pearson(residual(s, b, adjustment), residual(k, b, adjustment)), score, bayes, kernel
    )
    return KernelTest(correlation(score, kernel), correlation(bayes, kernel), partial)


def added_r2(
    score: Float[Tensor, "batch m"],
    bayes: Float[Tensor, "batch m"],
    kernels: Mapping[str, Float[Tensor, "batch m"]],
    adjustment: Adjustment = "spline",
) -> Estimate:
    """Share of the score's variance that several kernels together explain beyond the Bayes log-odds, in sample.

    The residual of the score is regressed on those of the kernels. k kernels add k / queries of the rest by chance.
    """
    stacked = torch.stack([values.double().cpu() for values in kernels.values()], -1)

    def added(s: Tensor, b: Tensor, k: Tensor) -> Tensor:
        rest = residual(s, b, adjustment)
        others = torch.stack([residual(one, b, adjustment) for one in k.unbind(-1)], -1)
        left = _without(rest, others)
        return (rest.square().sum() - left.square().sum()) / (s - s.mean()).square().sum()

    return jackknife(added, score.double().cpu(), bayes.double().cpu(), stacked)


def residual(
    values: Float[Tensor, "batch m"], given: Float[Tensor, "batch m"], adjustment: Adjustment
) -> Float[Tensor, " queries"]:
    """values - E[values | given], flattened.

    linear: least squares. isotonic: the monotone function, in the direction of Spearman's rho. spline: a cubic one with
    knots at quantiles, of the normal scores of `given` (Phi^-1 of its ranks), so that its tails have no leverage.
    """
    values, given = values.flatten(), given.flatten()
    if adjustment == "linear":
        return _without(values, torch.stack([torch.ones_like(given), given], -1))
    if adjustment == "isotonic":
        upwards = bool(spearman(values, given) >= 0)
        fit = IsotonicRegression(increasing=upwards).fit_transform(given.numpy(), values.numpy())
        return values - torch.from_numpy(fit)
    normal = ndtri((ranks(given) / (len(given) + 1)).numpy())[:, None]
    basis = SplineTransformer(_KNOTS, knots="quantile").fit_transform(normal)
    return _without(values, torch.from_numpy(np.asarray(basis)))


def _without(values: Float[Tensor, " queries"], regressors: Float[Tensor, "queries k"]) -> Float[Tensor, " queries"]:
    """What least squares leaves."""
    coefficients = torch.linalg.lstsq(regressors, values[:, None]).solution
    return values - (regressors @ coefficients)[:, 0]
