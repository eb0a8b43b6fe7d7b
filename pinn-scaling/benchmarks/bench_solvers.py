"""Levenberg-Marquardt: closed-form derivatives and Jacobian against nested automatic differentiation, one seed."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from pinn_scaling.gauss_newton import levenberg_marquardt
from pinn_scaling.loss import residual_jacobian, residuals
from pinn_scaling.network import initialise
from pinn_scaling.pdes import PDES, Derivatives
from pinn_scaling.points import at, dense_counts, draw
from pinn_scaling.seeds import key
from repro_shared.benchmarks import entry, in_turns

ITERATIONS = 20


def nested(pde, parameters, points, kappa):
    """`loss.residuals` by `jax.grad` of `jax.grad` at single points."""

    def derivative(name: str, z):
        function = lambda z: parameters.v @ jnp.tanh(parameters.w @ z + parameters.b) + parameters.c  # noqa: E731
        for letter in name.removeprefix("u").removeprefix("_"):
            function = (lambda inner, axis: lambda z: jax.grad(inner)(z)[axis])(function, 0 if letter == "t" else -1)
        return jax.vmap(function)(z)

    rows = []
    for condition in pde.terms:
        (z,) = at(points, condition.site)
        d = Derivatives(**{name: derivative(name, z) for name in condition.derivatives})
        rows += [equation(d, z, kappa) / len(z) ** 0.5 for equation in condition.equations]
    return jnp.concatenate(rows)


def iterations(name: str, kappa: float, width: int) -> dict:
    """Milliseconds of an iteration, 4000 points inside; both descend to the same loss."""
    pde, losses = PDES[name], {}
    theta, unravel = ravel_pytree(initialise(key(1, "init"), width, pde.domain, dtype=jnp.float64))
    points = draw(key(1, "points"), pde, dense_counts(width), jnp.float64)

    def ours(theta):
        return residuals(pde, unravel(theta), points, kappa)

    def closed_form(theta):
        return residual_jacobian(pde, unravel(theta), points, kappa)

    def peer(theta):
        return nested(pde, unravel(theta), points, kappa)

    def descend(label: str, residual, jacobian):
        run = jax.jit(lambda theta: levenberg_marquardt(residual, jacobian, theta, ITERATIONS).loss)

        def work() -> None:
            losses[label] = run(theta).block_until_ready()

        return work

    seconds = in_turns(descend("ours", ours, closed_form), descend("peer", peer, jax.jacfwd(peer)), 3)
    np.testing.assert_allclose(losses["ours"], losses["peer"], rtol=1e-4)
    mine, theirs = (1e3 * second / ITERATIONS for second in seconds)
    label = f"a Levenberg-Marquardt iteration, {name}, N = {width}"
    return entry(label, mine, theirs, "nested jax.grad, jax.jacfwd", "ms", "none: a measurement")


def run() -> list[dict]:
    """The sharp front and the soliton."""
    return [iterations("allen_cahn", 16.0, 16), iterations("kdv", 4.0, 16), iterations("kdv", 4.0, 32)]
