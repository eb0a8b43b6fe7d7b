"""How good a decision rule is, and how it compares with references on the same queries (ours).

A rule answers each query with a score, its log-odds of label 1. References are rules too: the oracle (the true
log-likelihood ratio) says what is lost for want of the parameters, the exact Bayes predictive what is lost by the rule,
because no rule that sees the context alone can do better. Gaps are paired, and standard errors are over episodes.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression
from torch import Tensor

from icl_lrt.estimates import Estimate, correlation, jackknife, mean, spearman

BINS = 15
"""Of the expected calibration error: equal numbers of queries, by predicted probability."""


class Against(NamedTuple):
    """A rule beside one reference."""

    accuracy_gap: Estimate
    """Reference minus rule, a share."""
    bce_gap: Estimate
    """Rule minus reference, nats: regret where the reference is the Bayes predictive."""
    agreement: Estimate
    """Share of equal decisions."""
    pearson: Estimate
    spearman: Estimate
    slope: Estimate
    """Least squares, of the rule's score on the reference's."""
    isotonic_r2: Estimate
    """Share of the score's variance that a monotone function of the reference explains."""


class Comparison(NamedTuple):
    """A rule by itself, and against each reference."""

    accuracy: Estimate
    bce: Estimate
    """Binary cross-entropy, nats."""
    calibration_slope: Estimate
    """b of the logistic regression P(label 1) = sigmoid(a + b score): 1 if calibrated, below 1 if over-confident."""
    calibration_intercept: Estimate
    """a; 0 if calibrated."""
    ece: Estimate
    """Expected calibration error. Its noise is positive: a calibrated rule has about sqrt(BINS / queries) / 3."""
    against: dict[str, Against]


def compare(
    score: Float[Tensor, "batch m"],
    label: Float[Tensor, "batch m"],
    references: Mapping[str, Float[Tensor, "batch m"]],
) -> Comparison:
    """Everything above for a rule's scores, 0/1 labels and the scores of references, such as {"oracle": llr,
    "bayes": log_odds}. The decision is 1 where the score is > 0.
    """
    score, label = score.double().cpu(), label.double().cpu()
    return Comparison(
        mean(right(score, label)),
        mean(bce(score, label)),
        jackknife(lambda s, y: calibration(s, y)[0], score, label),
        jackknife(lambda s, y: calibration(s, y)[1], score, label),
        jackknife(expected_calibration_error, score, label),
        {name: _against(score, label, reference.double().cpu()) for name, reference in references.items()},
    )


def _against(score: Tensor, label: Tensor, reference: Tensor) -> Against:
    return Against(
        mean(right(reference, label) - right(score, label)),
        mean(bce(score, label) - bce(reference, label)),
        mean(((score > 0) == (reference > 0)).double()),
        correlation(score, reference),
        correlation(score, reference, spearman),
        jackknife(slope, score, reference),
        jackknife(isotonic_r2, score, reference),
    )


def right(score: Float[Tensor, "batch m"], label: Float[Tensor, "batch m"]) -> Float[Tensor, "batch m"]:
    """1 where the decision (1 iff score > 0) is the label."""
    return ((score > 0) == (label > 0)).double()


def bce(score: Float[Tensor, "batch m"], label: Float[Tensor, "batch m"]) -> Float[Tensor, "batch m"]:
    """Binary cross-entropy of each query, nats."""
    return F.binary_cross_entropy_with_logits(score, label, reduction="none")


def slope(score: Float[Tensor, "batch m"], reference: Float[Tensor, "batch m"]) -> Float[Tensor, ""]:
    """Least-squares slope of the score on the reference, with an intercept."""
    centred = reference - reference.mean()
    return (score * centred).sum() / centred.square().sum()


def isotonic_r2(score: Float[Tensor, "batch m"], reference: Float[Tensor, "batch m"]) -> Float[Tensor, ""]:
    """1 - residual / total sum of squares of the increasing regression of the score on the reference, in sample."""
    fit = IsotonicRegression().fit_transform(reference.flatten().numpy(), score.flatten().numpy())
    return 1 - (score.flatten() - torch.from_numpy(fit)).square().sum() / (score - score.mean()).square().sum()


def calibration(score: Float[Tensor, "batch m"], label: Float[Tensor, "batch m"]) -> tuple[float, float]:
    """Slope and intercept of the logistic regression of the label on the score, by maximum likelihood."""
    s, y = score.flatten().numpy(), label.flatten().numpy()
    spread = s.std()
    design = np.stack([s / spread, np.ones_like(s)], 1)

    def derivatives(weights):
        z = design @ weights
        p = 1 / (1 + np.exp(-np.clip(z, -700, None)))
        hessian = (design * (p * (1 - p))[:, None]).T @ design
        return np.mean(np.logaddexp(0, z) - y * z), design.T @ (p - y) / len(y), hessian / len(y)

    found = minimize(
        lambda w: derivatives(w)[:2], np.zeros(2), jac=True, hess=lambda w: derivatives(w)[2], method="trust-exact"
    )
    return float(found.x[0] / spread), float(found.x[1])


def expected_calibration_error(score: Float[Tensor, "batch m"], label: Float[Tensor, "batch m"]) -> Float[Tensor, ""]:
    """sum_b n_b / n |mean predicted probability - share of label 1|, over `BINS` bins of equal numbers of queries."""
    order = score.flatten().argsort()
    excess = (score.sigmoid() - label).flatten()[order]
    return torch.stack([part.sum().abs() for part in excess.tensor_split(BINS)]).sum() / len(excess)
