"""Numbers with their uncertainty: standard errors that respect episodes, correlations, a permutation test.

Queries of one episode share its context and its parameters, so they are not independent: what is resampled here are
whole episodes, the leading dimension of every sample. Each task's experiments measure different statistics of the same
episodes; the jackknife gives all of them a standard error by the same rule, paired where two rules see equal episodes.
"""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy import stats
from torch import Tensor

GROUPS = 100
"""Groups of episodes that the jackknife leaves out in turn; its standard error is right to 1 / sqrt(2 GROUPS), 7 %."""

_EXACT_UP_TO = 8
"""Items whose n! orders are all gone through (40,320); more have that many orders drawn."""


class Estimate(NamedTuple):
    """A value, its standard error and its 95 % interval."""

    value: float
    se: float
    low: float
    high: float


def jackknife(statistic: Callable[..., Tensor], *samples: Float[Tensor, "episodes ..."]) -> Estimate:
    """statistic(*samples) with the standard error of the delete-a-group jackknife (ours).

    se^2 = (G - 1) / G sum_g (theta_g - mean theta)^2, with theta_g the statistic without the g-th of G groups of whole
    episodes; the interval is theta +- t_{G-1} se. For the mean of G = episodes this is the usual standard error of the
    episodes' means. Right for smooth statistics (means, correlations, regressions), not for medians.
    """
    episodes = len(samples[0])
    if episodes < 2:
        raise ValueError("1 episode has no standard error: give at least 2")
    groups = min(GROUPS, episodes)
    group = torch.arange(episodes, device=samples[0].device) % groups
    left_out = [float(statistic(*(s[group != g] for s in samples))) for g in range(groups)]
    se = math.sqrt((groups - 1) * np.var(left_out))
    value, half = float(statistic(*samples)), stats.t.ppf(0.975, groups - 1) * se
    return Estimate(value, se, value - half, value + half)


def mean(sample: Float[Tensor, "episodes ..."]) -> Estimate:
    """Mean over episodes and queries."""
    return jackknife(torch.mean, sample.double().cpu())


def pearson(a: Float[Tensor, "*#batch n"], b: Float[Tensor, "*#batch n"]) -> Float[Tensor, "*batch"]:
    """Pearson's r over the last dimension, in float64; NaN where one side is constant."""
    return (_standard(a) * _standard(b)).sum(-1)


def spearman(a: Float[Tensor, "*#batch n"], b: Float[Tensor, "*#batch n"]) -> Float[Tensor, "*batch"]:
    """Spearman's rho: Pearson's r of the ranks; ties have their mean rank."""
    return pearson(ranks(a), ranks(b))


def ranks(a: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
    """From 1, over the last dimension; ties have their mean rank."""
    return torch.from_numpy(stats.rankdata(a.numpy(force=True), axis=-1))


def _standard(a: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
    """Mean 0 and norm 1. What varies by rounding alone counts as constant."""
    a = a.double()
    centred = a - a.mean(-1, keepdim=True)
    norm = centred.norm(dim=-1, keepdim=True)
    return centred / torch.where(norm > 1e-12 * a.norm(dim=-1, keepdim=True), norm, torch.nan)


def correlation(
    a: Float[Tensor, "episodes ..."], b: Float[Tensor, "episodes ..."], of: Callable[[Tensor, Tensor], Tensor] = pearson
) -> Estimate:
    """`pearson` or `spearman` of all queries, pooled."""
    return jackknife(lambda a, b: of(a.flatten(), b.flatten()), a.double().cpu(), b.double().cpu())


def batched_correlation(
    a: Float[Tensor, "episodes m"],
    b: Float[Tensor, "episodes m"],
    generator: torch.Generator,
    of: Callable[[Tensor, Tensor], Tensor] = pearson,
    batch: int = 64,
    resamples: int = 2000,
) -> Estimate:
    """As published: the correlation within each batch of 64 episodes, mean over batches, with the percentile bootstrap
    over batches. With m > 1, a batch has one query of each episode, and batches of the same episodes stay together.
    """
    batches = len(a) // batch
    if batches < 2:
        raise ValueError(f"{len(a)} episodes make {batches} batches of {batch}: give at least {2 * batch}")
    a, b = (values[: batches * batch].unflatten(0, (batches, batch)).mT.cpu() for values in (a, b))
    within = of(a, b).mean(-1)  # of (batches, m, batch), mean over m
    drawn = torch.randint(batches, (resamples, batches), generator=generator, device=generator.device).cpu()
    means = within[drawn].mean(-1)
    low, high = np.quantile(means.numpy(), [0.025, 0.975])
    return Estimate(float(within.mean()), float(means.std()), float(low), float(high))


class PermutationTest(NamedTuple):
    """Correlation of a few pairs, and how often pairs made at random have one as large in size."""

    r: float
    p: float


def permutation_test(
    a: Float[Tensor, " n"],
    b: Float[Tensor, " n"],
    generator: torch.Generator,
    of: Callable[[Tensor, Tensor], Tensor] = pearson,
) -> PermutationTest:
    """Two-sided test of no association. For n <= 8 (the heads of the published network) over all n! orders, which makes
    p exact: it is at least 2 / 8! there. Beyond, over 8! drawn ones and the order as it is.
    """
    n, a, b = len(a), a.cpu(), b.cpu()
    if n <= _EXACT_UP_TO:
        orders = torch.tensor(list(itertools.permutations(range(n))))
    else:
        keys = torch.rand(math.factorial(_EXACT_UP_TO), n, generator=generator, device=generator.device).cpu()
        orders = torch.cat([torch.arange(n)[None], keys.argsort(-1)])
    r = of(a, b)
    return PermutationTest(float(r), share_as_extreme(r, of(a[orders], b)))


def share_as_extreme(value: Float[Tensor, ""], null: Float[Tensor, " draws"]) -> float:
    """Share of draws at least as large in size, up to rounding; an undefined (NaN) one counts."""
    return float((~(null.abs() < value.abs() - 1e-9)).double().mean())
