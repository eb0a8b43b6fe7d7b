"""A finite-time guarantee for annealing that one can compute (ours; the argument is Holley and Stroock's).

Let f = d mu_t / d pi_beta(t) be the density of the annealed law with respect to the Gibbs law of the moment and
y = (int (f - 1)^2 d pi)^(1/2). With lam(beta) the spectral gap, sig(beta) the standard deviation of U under pi_beta,
and M(beta) = max U - E U,

    y' <= -lam y + beta' (M y / 2 + sig)
    P(U(Z_t) >= min U + eps) <= q + y sqrt(q (1 - q)),     q = pi_beta(U >= min U + eps)

for beta' >= 0. All of it is exact for the jump process on a landscape too, so the bound and the failure probability of
`fokker_planck.evolve` can be compared on the same grid.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from infonce_langevin.oracles.fokker_planck import gibbs_law, relaxation_rates
from infonce_langevin.oracles.landscapes import Landscape
from infonce_langevin.schedules import Log, Schedule, check_positive


class Bound(NamedTuple):
    """At each of the times asked for."""

    failure: Float[np.ndarray, " t"]
    """Upper bound of P(U >= min U + eps), at most 1."""
    gibbs: Float[np.ndarray, " t"]
    """q: what would remain if the law kept up with beta."""
    distance: Float[np.ndarray, " t"]
    """Upper bound of y."""


def chi_square_bound(
    landscape: Landscape,
    schedule: Schedule,
    law: Float[np.ndarray, " m"],
    times: Sequence[float] | Float[np.ndarray, " t"],
    eps: float,
    nodes: int = 100,
    points: int = 20_000,
) -> Bound:
    """The bound for a schedule that never heats up and starts above beta = 0, from `law` at time 0.

    lam, sig and M are computed at `nodes` betas between those at time 0 and at the end, and interpolated (ln lam and
    the others linearly in beta). y follows the equality at `points` times that grow by equal factors: in each interval
    with constants that are the worst at its ends, so that rounding goes upwards.
    """
    check_positive(eps=eps)
    times = np.asarray(times, float)
    grid = np.unique(np.concatenate([[0.0], np.geomspace(min(1e-3, times[0]), times[-1], points), times]))
    beta = schedule(torch.from_numpy(grid)).numpy()
    if not (beta[0] > 0 and (np.diff(beta) >= 0).all()):
        raise ValueError(f"beta goes from {beta[0]:g} to {beta[-1]:g}: the bound is for schedules that start above 0")
    gap, spread, span = _along(landscape, beta, nodes)
    slope = np.pad(np.diff(beta) / np.diff(grid), 1, mode="edge")
    rate = np.maximum(np.maximum(slope[:-2], slope[1:-1]), slope[2:])  # at least beta' if that rises or falls
    growth = rate * np.maximum(span[:-1], span[1:]) / 2 - np.minimum(gap[:-1], gap[1:])
    source = rate * np.maximum(spread[:-1], spread[1:])
    y = [np.sqrt(max((law**2 / gibbs_law(landscape, beta[0])).sum() - 1, 0.0))]
    for step, a, b in zip(np.diff(grid).tolist(), growth.tolist(), source.tolist(), strict=True):
        grown = np.exp(min(a * step, 700.0))  # e^700 is enough to say nothing
        y.append(y[-1] * grown + (b * (grown - 1) / a if a else b * step))
    at = np.searchsorted(grid, times)
    high = landscape.energy >= landscape.energy.min() + eps
    q, distance = np.array([gibbs_law(landscape, b)[high].sum() for b in beta[at]]), np.array(y)[at]
    return Bound(np.minimum(q + distance * np.sqrt(q * (1 - q)), 1.0), q, distance)


def _along(landscape: Landscape, beta: Float[np.ndarray, " points"], nodes: int) -> list[Float[np.ndarray, " points"]]:
    """lam, sig and M at these increasing betas."""
    u, held = landscape.energy, np.unique(np.linspace(beta[0], beta[-1], nodes))
    laws = [gibbs_law(landscape, b) for b in held]
    means = np.array([pi @ u for pi in laws])
    spread = np.array([np.sqrt(pi @ (u - mean) ** 2) for pi, mean in zip(laws, means, strict=True)])
    log_gap = np.log([relaxation_rates(landscape, b, 1)[0] for b in held])
    return [
        np.exp(np.interp(beta, held, log_gap)),
        np.interp(beta, held, spread),
        np.interp(beta, held, u.max() - means),
    ]


class Recommendation(NamedTuple):
    """A logarithmic schedule and what the bound promises of it."""

    schedule: Log
    exponent: float
    """The failure probability falls like T^-exponent, up to powers of ln T."""
    scale: float
    """T^-exponent."""


def recommend_schedule(depth: float, eps: float, horizon: float) -> Recommendation:
    """beta = c ln(t + 2) with the c for which the bound falls fastest (ours).

    With lam ~ exp(-beta m), m the depth, and beta = c ln t, the two parts of the bound fall like t^-(c eps) and
    t^-(1 - c m + c eps / 2): equal, and best, at c = 1 / (m + eps / 2), which is below c* = 1 / m.
    """
    check_positive(eps=eps, horizon=horizon)
    if not 0 <= depth < np.inf:
        raise ValueError(f"depth = {depth}: choose a finite number >= 0; it is 0 where there are no traps")
    c = 1 / (depth + eps / 2)
    return Recommendation(Log(c, 2.0), c * eps, horizon ** -(c * eps))
