"""What a network of a given width can do: its loss on fixed points, minimised by better optimisers than Adam (ours).

lbfgs             limited-memory BFGS of scipy, 50 corrections, until it can do no better
lm                Levenberg-Marquardt with the closed-form Jacobian
lm-continuation   the same along a ladder of kappa, each solution the start of the next
varpro            variable projection: v and c by least squares, Levenberg-Marquardt for w and b
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float
from scipy.optimize import minimize as scipy_minimize
from threadpoolctl import threadpool_limits

from pinn_scaling.gauss_newton import Descent, levenberg_marquardt, variable_projection
from pinn_scaling.loss import loss_and_gradient, residual_jacobian, residuals
from pinn_scaling.network import Activation, Law, Parameters, initialise
from pinn_scaling.pdes.base import Pde
from pinn_scaling.points import dense_counts, draw
from pinn_scaling.seeds import key

FullBatchMethod = Literal["lbfgs", "lm", "lm-continuation", "varpro"]
STEPS = {"lbfgs": 5000, "lm": 300, "lm-continuation": 120, "varpro": 100}
"""Iterations, of the continuation at each kappa."""


class Minimum(NamedTuple):
    """Leading axis: seeds."""

    parameters: Parameters
    loss: Float[Array, "seeds iterations"]
    """L after each iteration (each stage after the other; the last value repeated where L-BFGS ended early)."""


def minimise(
    pde: Pde,
    width: int,
    kappa: float,
    method: FullBatchMethod = "lm",
    seeds: Sequence[int] = (1, 2, 3, 4, 5),
    steps: int | None = None,
    law: Law = "published",
    activation: Activation = "tanh",
) -> Minimum:
    """A minimum for each seed, with its own points and initial network, those that training has from this seed.

    All seeds at once, but L-BFGS one by one. Raises ValueError for a width or kappa out of range or without float64.
    """
    stages = ladder(pde, kappa) if method == "lm-continuation" else [pde.checked(kappa)]
    initial_keys, point_keys = (jnp.stack([key(seed, name) for seed in seeds]) for name in ("init", "points"))
    start = jax.vmap(lambda k: initialise(k, width, pde.domain, activation, law, jnp.float64))(initial_keys)
    theta, losses = jax.vmap(lambda own: ravel_pytree(own)[0])(start), []
    descend = _lbfgs if method == "lbfgs" else partial(_gauss_newton, eliminate=method == "varpro")
    with threadpool_limits(1):  # the matrices are small: threads of LAPACK would only wait for each other
        for stage in stages:
            theta, loss = descend(pde, width, activation, steps or STEPS[method], float(stage), theta, point_keys)
            losses.append(jax.block_until_ready(loss))
    return Minimum(jax.vmap(_unravel(pde, width))(theta), jnp.concatenate(losses, axis=1))


def ladder(pde: Pde, kappa: float) -> list[float]:
    """The smallest published kappa and its doubles, as far as they are below this kappa; and this kappa."""
    rungs, rung = [], pde.kappas[0]
    while rung < pde.checked(kappa):
        rungs.append(rung)
        rung *= 2
    return [*rungs, kappa]


def _unravel(pde: Pde, width: int):
    """The inverse of `ravel_pytree`: w, b, then the outer weights v and c."""
    return ravel_pytree(initialise(jax.random.key(0), width, pde.domain, dtype=jnp.float64))[1]


@partial(jax.jit, static_argnames=("pde", "width", "activation", "steps", "eliminate"))
def _gauss_newton(pde, width, activation, steps, kappa, theta, point_keys, eliminate) -> Descent:
    unravel = _unravel(pde, width)

    def one(start, point_key):
        points = draw(point_key, pde, dense_counts(width), start.dtype)

        def residual(theta):
            return residuals(pde, unravel(theta), points, kappa, activation)

        def jacobian(theta):
            return residual_jacobian(pde, unravel(theta), points, kappa, activation)

        if eliminate:
            return variable_projection(residual, jacobian, start, width + 1, steps)
        return levenberg_marquardt(residual, jacobian, start, steps)

    return jax.vmap(one)(theta, point_keys)


def _lbfgs(pde, width, activation, steps, kappa, theta, point_keys) -> Descent:
    unravel = _unravel(pde, width)

    @jax.jit
    def loss_and_slope(theta, points):
        loss, gradient = loss_and_gradient(pde, unravel(theta), points, kappa, activation)
        return loss.total, ravel_pytree(gradient)[0]

    def one(start, point_key):
        points, history = draw(point_key, pde, dense_counts(width), start.dtype), []
        end = scipy_minimize(
            lambda theta: [np.asarray(x) for x in loss_and_slope(theta, points)],
            start,
            jac=True,
            method="L-BFGS-B",
            callback=lambda intermediate_result: history.append(intermediate_result.fun),
            options={"maxiter": steps, "maxfun": 20 * steps, "maxcor": 50, "ftol": 0, "gtol": 0},
        )
        history += [end.fun] * (steps - len(history))
        return Descent(jnp.asarray(end.x), jnp.asarray(history))

    runs = [one(*run) for run in zip(theta, point_keys, strict=True)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *runs)
