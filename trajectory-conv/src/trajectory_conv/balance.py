"""Splitting a penalty budget Lambda = lambda_1 + lambda_2 of the elastic net, and where the support is recovered.

G is the Gram matrix A'A / n, S the true support, g_x = ||G_{S^c S}||_2, xi = ||A_{S^c}' noise||_inf / n the noise
floor.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float

from trajectory_conv.hoffman import require_blocks
from trajectory_conv.problems import checked, require


def unconstrained_split(budget: float, cross_norm: float) -> float:
    """lambda_1 that minimises max(1 / lambda_2, (1 + g_x / lambda_2) / lambda_1) over lambda_1 + lambda_2 = Lambda.

    (Lambda + g_x) / 2 for g_x <= Lambda / 3, else Lambda + g_x - sqrt(g_x (Lambda + g_x)).
    """
    require(0 < budget < np.inf, f"budget = {budget}: choose a penalty budget > 0")
    require(0 <= cross_norm < np.inf, f"cross_norm = {cross_norm}: give a norm, >= 0")
    if cross_norm <= budget / 3:
        return (budget + cross_norm) / 2
    return budget + cross_norm - np.sqrt(cross_norm * (budget + cross_norm))


def constrained_split(budget: float, cross_norm: float, floor: float) -> float:
    """lambda_1 of `unconstrained_split`, but at least the noise floor xi; the budget has to exceed that."""
    _require_above(budget, floor)
    return max(unconstrained_split(budget, cross_norm), floor)


def _require_above(budget: float, floor: float) -> None:
    require(floor >= 0, f"floor = {floor}: give a noise floor >= 0")
    require(
        budget > floor,
        f"budget = {budget} <= noise floor {floor}: nothing is left for lambda_2, choose a larger budget",
    )


def statistical_threshold(
    lam2: Float[np.ndarray, " points"],
    active: Float[np.ndarray, "s s"],
    cross: Float[np.ndarray, "m s"],
    target: Float[np.ndarray, " s"],
    floor: float,
) -> Float[np.ndarray, " points"]:
    """lambda_stat(lambda_2) = xi + lambda_2 ||G_{S^c S} (G_SS + lambda_2 I)^{-1} b*_S||_inf: the least lambda_1 that
    keeps every inactive feature out in spite of the l2 bias.
    """
    require_blocks(active, cross)
    target = checked("target", target, ndim=1)
    require(len(target) == len(active), f"{len(target)} targets for {len(active)} active features: give one for each")
    require(floor >= 0 and np.min(lam2, initial=0.0) >= 0, "floor or lambda_2 is negative or NaN: give numbers >= 0")
    values, vectors = np.linalg.eigh(active)
    shrunk = (vectors.T @ target)[:, None] / (values[:, None] + lam2)  # (s, points)
    return floor + lam2 * np.abs(cross @ vectors @ shrunk).max(0, initial=0.0)


def coupled_split(
    budget: float,
    cross_norm: float,
    active: Float[np.ndarray, "s s"],
    cross: Float[np.ndarray, "m s"],
    target: Float[np.ndarray, " s"],
    floor: float,
) -> float:
    """lambda_1 = max(l1_unc, t) with t the point of 200 between xi and .99 Lambda nearest to lambda_stat(Lambda -
    t).
    """
    _require_above(budget, floor)
    grid = np.linspace(floor, 0.99 * budget, 200)
    distance = np.abs(grid - statistical_threshold(budget - grid, active, cross, target, floor))
    return max(unconstrained_split(budget, cross_norm), grid[distance.argmin()])


class Witness(NamedTuple):
    """The elastic net restricted to S, and whether it solves the whole problem."""

    coefficients: Float[Array, " s"]
    recovered: Bool[Array, ""]
    """Whether the solution has the support S and the given signs on it."""


@jax.jit
def primal_dual_witness(
    active: Float[ArrayLike, "s s"],
    cross: Float[ArrayLike, "m s"],
    linear: Float[ArrayLike, " s"],
    linear_off: Float[ArrayLike, " m"],
    signs: Float[ArrayLike, " s"],
    lam1: Float[ArrayLike, ""],
    lam2: Float[ArrayLike, ""],
) -> Witness:
    """Closed form: b_S = (G_SS + lambda_2 I)^{-1} (c_S - lambda_1 signs) is the solution, with support S, exactly when
    its signs are `signs` and |c_j - G_{jS} b_S| < lambda_1 for all j not in S. c = A'y / n (`linear` on S,
    `linear_off` off it).
    """
    require_blocks(active, cross)
    shapes = [np.shape(vector) for vector in (linear, signs, linear_off)]
    fit = shapes == [(len(active),), (len(active),), (len(cross),)]
    require(fit, "linear, signs and linear_off are {}, {} and {}: give s, s and m numbers".format(*shapes))
    b = jnp.linalg.solve(active + lam2 * jnp.eye(active.shape[0]), linear - lam1 * signs)
    dual = jnp.abs(linear_off - cross @ b).max(initial=0.0)
    return Witness(b, (b * signs > 0).all() & (dual < lam1))
