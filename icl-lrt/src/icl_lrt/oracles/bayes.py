"""The exact Bayes posterior predictive of both tasks (ours): no rule that sees the context alone can do better.

The score of a query is the log-odds ln p(label 1 | x_q, context) - ln p(label 0 | x_q, context) under the task's prior
on its parameters, with equal odds for the query's label. A context of n = 0 points gives exactly 0.
"""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from icl_lrt.oracles.integrals import log_scale_integral, log_sphere_mgf


def bayes_shifted_mean(
    x: Float[Tensor, "batch n d"], y: Float[Tensor, "batch n"], query: Float[Tensor, "batch m d"], sigma_k: float
) -> Float64[Tensor, "batch m"]:
    """Log-odds for x | y ~ N(s mu + k, I), s = 2 y - 1, mu uniform on the unit sphere, k ~ N(0, sigma_k^2 I):

        evidence(context and query with s = 1) - evidence(context and query with s = -1).

    sigma_k: from 0 (k = 0 is known) to inf (nothing is known: translations of all points together change nothing).
    """
    x, query, s = x.double(), query.double(), signs(y)[:, None]
    signed, total = s @ x, x.sum(1, keepdim=True) + query  # (batch, 1, d), (batch, m, d)
    one, zero = (
        log_evidence(signed + sign * query, s.sum(-1) + sign, total, x.shape[1] + 1, sigma_k) for sign in (1, -1)
    )
    return one - zero


def log_evidence(
    signed: Float64[Tensor, "*#batch d"],
    sign: Float64[Tensor, "*#batch"],
    total: Float64[Tensor, "*#batch d"],
    count: int,
    sigma_k: float,
) -> Float64[Tensor, "*batch"]:
    """ln p(points | labels) of the shifted mean task, up to what does not depend on the labels:

        c S^2 / 2 + log Z_d(|T - c S X|),   c = sigma_k^2 / (1 + N sigma_k^2).

    signed, sign, total: T = sum s_i x_i, S = sum s_i and X = sum x_i over `count` = N points. The integral over k is
    Gaussian; |mu| = 1 makes the quadratic term in mu a constant; Z_d integrates exp over the sphere.
    """
    c = shrinkage(count, sigma_k)
    return c * sign.square() / 2 + log_sphere_mgf((signed - c * sign[..., None] * total).norm(dim=-1), total.shape[-1])


def shrinkage(count: int, sigma_k: float) -> float:
    """c = sigma_k^2 / (1 + N sigma_k^2), the posterior variance of k after N points; 1 / N for sigma_k = inf."""
    return 0.0 if sigma_k == 0 else 1 / (count + sigma_k**-2)


def signs(y: Float[Tensor, "*batch"]) -> Float64[Tensor, "*batch"]:
    """s = 2 y - 1: labels 0 and 1 as -1 and 1."""
    return 2 * y.double() - 1


def bayes_variance(
    x: Float[Tensor, "batch n d"],
    y: Float[Tensor, "batch n"],
    query: Float[Tensor, "batch m d"],
    low: float,
    high: float,
    nodes: int = 64,
) -> Float64[Tensor, "batch m"]:
    """Log-odds for x | y ~ N(0, sigma_y^2 I), sigma_0 and sigma_1 uniform on [low, high]: the classes do not meet, and

        p(x_q | j, context) ~ I(d (n_j + 1), Q_j + |x_q|^2) / I(d n_j, Q_j),   I(D, Q) = int s^-D exp(-Q / (2 s^2)) ds,

    with n_j points of class j and Q_j the sum of their squared norms. `nodes` of the quadrature for each integral.
    """
    d, energy = x.shape[-1], query.double().square().sum(-1)
    count, total = class_energies(x, y)
    before = log_scale_integral(d * count, total, low, high, nodes)[..., None]
    power = (d * (count + 1))[..., None].expand(-1, -1, query.shape[1])
    after = log_scale_integral(power, total[..., None] + energy[:, None], low, high, nodes)
    zero, one = (after - before).unbind(1)
    return one - zero


def class_energies(
    x: Float[Tensor, "batch n d"], y: Float[Tensor, "batch n"]
) -> tuple[Float64[Tensor, "batch 2"], Float64[Tensor, "batch 2"]]:
    """n_j and Q_j = sum |x_i|^2 of the points of class j = 0, 1."""
    members = torch.stack([1 - y.double(), y.double()], 1)
    return members.sum(-1), (members * x.double().square().sum(-1)[:, None]).sum(-1)
