"""Masses of the Gibbs law exp(-beta U) of free embeddings, by importance sampling from the uniform law."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from scipy.stats import gamma
from torch import Tensor

from infonce_langevin.energies import Energy
from infonce_langevin.schedules import check_positive
from infonce_langevin.seeds import generator
from infonce_langevin.spheres import uniform

_BLOCK = 1 << 16


class Mass(NamedTuple):
    """Estimates for each beta."""

    value: Float[Tensor, "betas levels"]
    """pi_beta(U < level)."""
    error: Float[Tensor, "betas levels"]
    """Standard error."""
    effective: Float[Tensor, " betas"]
    """Effective number of draws, (sum w)^2 / sum w^2: estimates with few are worth nothing."""
    spread: Float[Tensor, " betas"]
    """Standard deviation of U, what `schedules.constant_speed` asks for."""


def gibbs_mass(
    energy: Energy,
    n: int,
    d: int,
    betas: Sequence[float],
    levels: Sequence[float],
    draws: int,
    seed: int,
    floor: float,
    device: str | torch.device = "cpu",
) -> Mass:
    """pi_beta(U < level) for all betas and levels from the same draws, weighted by exp(-beta (U - floor)).

    `floor` is min U or a lower bound of it, which keeps the weights finite. The error is that of a ratio of means,

        sum w^2 (1[U < level] - value)^2 / (sum w)^2
    """
    check_positive(betas=torch.tensor(betas))
    stream = generator(seed, "gibbs", device=device)
    beta = torch.tensor(betas, dtype=torch.float64, device=device)
    moments = torch.zeros(4, len(betas), dtype=torch.float64, device=device)  # w, w^2, w U, w U^2
    inside = torch.zeros(2, len(betas), len(levels), dtype=torch.float64, device=device)  # w 1, w^2 1
    for start in range(0, draws, _BLOCK):
        u = energy.value(uniform(n, d, min(_BLOCK, draws - start), stream)).double() - floor
        w = (-beta[:, None] * u).exp()
        moments += torch.stack([w.sum(1), w.square().sum(1), w @ u, w @ u.square()])
        hits = torch.stack([u < level - floor for level in levels], 1).double()
        inside += torch.stack([w @ hits, w.square() @ hits])
    total, squares, first, second = moments
    value = inside[0] / total[:, None]
    error = (inside[1] * (1 - 2 * value) + squares[:, None] * value.square()).clamp_min(0).sqrt() / total[:, None]
    spread = (second / total - (first / total).square()).clamp_min(0).sqrt()
    return Mass(value, error, total.square() / squares, spread)


def low_temperature_law(beta: float, height: float, d: int) -> float:
    """pi_beta(U < -2 + height) of `hard` with two pairs as beta grows (ours): a Gamma law of shape 3 (d - 1) / 2.

    Near its minimum U + 2 is homogeneous of degree 2 in the 3 (d - 1) directions across the rotations.
    """
    return float(gamma.cdf(beta * height, 3 * (d - 1) / 2))
