"""Gauss-Newton methods for min_theta ||r(theta)||^2: Levenberg-Marquardt, and with the outer weights eliminated (ours).

They show what a network of a given width can do when optimisation is not the obstacle. All need float64: the normal
equations square the condition number of a Jacobian that is nearly singular.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Float

Residual = Callable[[Float[Array, " P"]], Float[Array, " rows"]]
Jacobian = Callable[[Float[Array, " P"]], Float[Array, "rows P"]]

DAMPING, LEAST_DAMPING, MOST_DAMPING = 1e-2, 1e-16, 1e12
"""At the start, and its bounds; beyond the upper one steps are lost to rounding, and the method has ended."""
EASE, TIGHTEN, TRIES = 3, 4, 15
"""The damping is divided by EASE after a step that helped, and multiplied by TIGHTEN after each that did not."""

ELIMINATIONS = 4
CUT = 1e-13
"""Singular values of J_outer below this fraction of the largest one count as zero."""


class Descent(NamedTuple):
    """Where a method has got to, and how."""

    theta: Float[Array, " P"]
    loss: Float[Array, " iterations"]
    """||r||^2 after each iteration; it never rises."""


def levenberg_marquardt(
    residual: Residual,
    jacobian: Jacobian,
    start: Float[Array, " P"],
    iterations: int,
    correct: Callable[[Float[Array, " P"]], Float[Array, " P"]] = lambda theta: theta,
) -> Descent:
    """theta <- correct(theta - (J'J + damping I)^(-1) J'r), where that lowers ||r||^2; else more damping, and again.

    An iteration is one Jacobian and up to TRIES steps. Runs under `vmap` and with any residual, by JAX or by hand.
    """

    def loss_at(theta):
        return jnp.sum(residual(theta) ** 2)

    def iteration(state, _):
        theta, loss, damping = state
        rows = jacobian(theta)
        normal, slope = rows.T @ rows, rows.T @ residual(theta)

        def attempt(tried):
            _, _, damping, tries = tried
            factor = cho_factor(normal + damping * jnp.eye(len(theta)))
            trial = correct(theta - cho_solve(factor, slope))  # NaN where Cholesky fails: no better than a bad step
            trial_loss = loss_at(trial)
            better = trial_loss < loss
            damping = jnp.where(better, jnp.maximum(damping / EASE, LEAST_DAMPING), damping * TIGHTEN)
            return jnp.where(better, trial, theta), jnp.where(better, trial_loss, loss), damping, tries + 1

        def unsuccessful(tried):
            _, tried_loss, damping, tries = tried
            return ~(tried_loss < loss) & (tries < TRIES) & (damping < MOST_DAMPING)

        theta, loss, damping, _ = jax.lax.while_loop(unsuccessful, attempt, (theta, loss, damping, 0))
        return (theta, loss, damping), loss

    state = (start, loss_at(start), jnp.asarray(DAMPING, start.dtype))
    (theta, _, _), history = jax.lax.scan(iteration, state, length=iterations)
    return Descent(theta, history)


def variable_projection(
    residual: Residual, jacobian: Jacobian, start: Float[Array, " P"], outer: int, iterations: int
) -> Descent:
    """Levenberg-Marquardt on the hidden weights alone; the last `outer` entries of theta follow by least squares.

    Steps use Kaufman's Jacobian (I - Q Q') J_hidden, Q an orthonormal basis of the columns of J_outer. Where r is
    linear in the outer weights (linear equations) one least-squares step eliminates them, and the method goes far
    below Levenberg-Marquardt. Elsewhere they take up to ELIMINATIONS Gauss-Newton steps, and minima may be worse.
    """
    hidden = start.shape[0] - outer

    def eliminated(theta):
        def step(_, theta):
            best = jnp.linalg.lstsq(jacobian(theta)[:, hidden:], residual(theta), rcond=CUT)[0]
            trial = theta.at[hidden:].add(-best)
            return jnp.where(jnp.sum(residual(trial) ** 2) < jnp.sum(residual(theta) ** 2), trial, theta)

        return jax.lax.fori_loop(0, ELIMINATIONS, step, theta)

    def projected(theta):
        rows = jacobian(theta)
        at_hidden, at_outer = rows[:, :hidden], rows[:, hidden:]
        basis, sizes, _ = jnp.linalg.svd(at_outer, full_matrices=False)
        basis = jnp.where(sizes > CUT * sizes[0], basis, 0)
        return jnp.concatenate([at_hidden - basis @ (basis.T @ at_hidden), jnp.zeros_like(at_outer)], axis=1)

    return levenberg_marquardt(residual, projected, eliminated(start), iterations, eliminated)
