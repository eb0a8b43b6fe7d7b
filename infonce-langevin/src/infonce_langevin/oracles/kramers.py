"""Escape from a trap at low temperature (Eyring and Kramers), and which schedules leave it in the end.

    k = (|mu| / 2 pi) sqrt( prod lambda_i(trap) / prod |lambda_i(saddle)| ) exp(-beta (U(saddle) - U(trap)))

per saddle, for dZ = -grad U dt + sqrt(2 / beta) dW; lambda are the eigenvalues of U's Hessian and mu the negative one
at the saddle. Only smooth energies have it: at a kink the exponent holds, the factor does not.
"""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from infonce_langevin.energies import Energy
from infonce_langevin.schedules import Schedule
from infonce_langevin.spheres import on_circle


def angular_hessian(energy: Energy, angles: Float[Tensor, " n"]) -> Float[Tensor, "n n"]:
    """Second derivatives of U with respect to the angles of points on the circle, by automatic differentiation."""
    return torch.func.hessian(lambda at: energy.value(on_circle(at[:, None]))[0])(angles.double())


def escape_rate(
    trap: Float[np.ndarray, " n"],
    saddle: Float[np.ndarray, " n"],
    climb: float,
    beta: float,
    saddles: int = 1,
    symmetries: int = 0,
) -> float:
    """Rate over `saddles` equal saddles `climb` above the trap, from the Hessians' eigenvalues.

    `symmetries` eigenvalues are zero at both points and are left out: points on the circle can be turned together.
    """
    low, high = (np.sort(np.abs(values))[symmetries:] for values in (np.asarray(trap), np.asarray(saddle)))
    negative = np.asarray(saddle)[np.asarray(saddle) < -np.abs(np.asarray(saddle)).max() * 1e-9]
    if len(negative) != 1:
        raise ValueError(f"{len(negative)} negative eigenvalues at the saddle: it needs exactly one")
    factor = abs(negative[0]) / (2 * math.pi) * math.exp((np.log(low).sum() - np.log(high).sum()) / 2)
    return saddles * factor * math.exp(-beta * climb)


def stays_trapped(factor: float, climb: float, schedule: Schedule, horizon: float, points: int = 20_000) -> float:
    """P(still in the trap at `horizon`), from the trap, if escapes follow the rate of the moment (ours, adiabatic).

    exp(-int factor exp(-beta(t) climb) dt): it tends to a positive number as the horizon grows exactly where the rates
    are summable, for beta = c ln t where c > 1 / climb.
    """
    t = np.concatenate([[0.0], np.geomspace(min(1e-3, horizon / 10), horizon, points)])
    rate = factor * np.exp(-climb * schedule(torch.from_numpy(t)).numpy())
    return math.exp(-np.trapezoid(rate, t))
