"""The loss of a PINN and its gradient, and both again as a least-squares problem (paper, section 2).

L = L_pde + L_bc + L_ic, all weights 1; each is a sum of means of squares, one mean per equation and site.
"""

from functools import partial
from math import gcd
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from pinn_scaling.network import Activation, Parameters, derivatives, jacobian
from pinn_scaling.pdes.base import Condition, Pde
from pinn_scaling.points import Points, at


class Loss(NamedTuple):
    """Its three terms."""

    pde: Float[ArrayLike, "*batch"]
    bc: Float[ArrayLike, "*batch"]
    ic: Float[ArrayLike, "*batch"]

    @property
    def total(self) -> Float[ArrayLike, "*batch"]:
        """L_pde + L_bc + L_ic."""
        return self.pde + self.bc + self.ic


def loss_and_gradient(
    pde: Pde, parameters: Parameters, points: Points, kappa: Float[ArrayLike, ""], activation: Activation = "tanh"
) -> tuple[Loss, Parameters]:
    """The terms of the loss and the gradient of their sum.

    One pass over the points inside, which are most of them, and one over all others. A pass takes its points in equal
    parts, so small (`_parts`) that what the neurons do there stays in the cache.
    """
    zero = (Loss(*jnp.zeros((3,), parameters.c.dtype)), jax.tree.map(jnp.zeros_like, parameters))
    found = zero
    for conditions in (pde.terms[:1], pde.terms[1:]):
        sites = [at(points, condition.site) for condition in conditions]
        counts = [len(z) for z, *_ in sites]
        slope = jax.grad(partial(_mean_squares, conditions, counts), has_aux=True)

        def add(found, sites, slope=slope):
            gradient, loss = slope(parameters, sites, kappa, activation)
            return jax.tree.map(jnp.add, found, (loss, gradient)), None

        parts = _parts(counts, len(parameters.b))
        in_parts = jax.tree.map(lambda z, parts=parts: z.reshape(parts, -1, z.shape[1]), sites)
        found = jax.tree.map(jnp.add, found, jax.lax.scan(add, zero, in_parts)[0])
    return found


def residuals(
    pde: Pde, parameters: Parameters, points: Points, kappa: Float[ArrayLike, ""], activation: Activation = "tanh"
) -> Float[Array, " rows"]:
    """r with ||r||^2 = L: every equation at every point, over the root of the number of points."""
    sites = [at(points, condition.site) for condition in pde.terms]
    rows = [
        equation(d, z, kappa) / len(z) ** 0.5
        for condition, (d, z) in zip(pde.terms, _seen(pde.terms, parameters, sites, activation), strict=True)
        for equation in condition.equations
    ]
    return jnp.concatenate(rows)


def residual_jacobian(
    pde: Pde, parameters: Parameters, points: Points, kappa: Float[ArrayLike, ""], activation: Activation = "tanh"
) -> Float[Array, "rows P"]:
    """dr / dtheta, columns as `jax.flatten_util.ravel_pytree` has them: dF/dD by JAX, dD/dtheta in closed form."""
    sites = [at(points, condition.site) for condition in pde.terms]
    rows = []
    for condition, (d, z), own in zip(pde.terms, _seen(pde.terms, parameters, sites, activation), sites, strict=True):
        for equation in condition.equations:
            value, pull = jax.vjp(lambda d, equation=equation, z=z: equation(d, z, kappa), d)
            (weights,) = pull(jnp.full_like(value, len(z) ** -0.5))
            here, *there = [jacobian(parameters, some, weights, activation) for some in own]
            here = jax.tree.map(jnp.subtract, there[0], here) if there else here
            rows.append(jnp.concatenate([leaf.reshape(len(z), -1) for leaf in here], axis=1))
    return jnp.concatenate(rows)


def _seen(conditions: tuple[Condition, ...], parameters, sites, activation):
    """(D, z) for each condition: what its equations see at its points, from one evaluation of the network."""
    names = tuple(dict.fromkeys(name for condition in conditions for name in condition.derivatives))
    everywhere = jnp.concatenate([z for own in sites for z in own])
    found, start, seen = derivatives(parameters, everywhere, names, activation), 0, []
    for own in sites:
        parts = []
        for z in own:
            parts.append(jax.tree.map(lambda d, start=start, z=z: d[start : start + len(z)], found))
            start += len(z)
        seen.append((parts[0] if len(parts) == 1 else jax.tree.map(lambda here, there: there - here, *parts), own[0]))
    return seen


def _mean_squares(conditions: tuple[Condition, ...], counts: list[int], parameters, sites, kappa, activation):
    """The part of the loss that these points add to means over `counts` points, as a sum and by its terms."""
    terms = dict.fromkeys(Loss._fields, jnp.zeros_like(parameters.c))
    seen = _seen(conditions, parameters, sites, activation)
    for condition, count, (d, z) in zip(conditions, counts, seen, strict=True):
        kind = {"interior": "pde", "initial": "ic"}.get(condition.site, "bc")
        terms[kind] += sum(jnp.sum(equation(d, z, kappa) ** 2) for equation in condition.equations) / count
    loss = Loss(**terms)
    return loss.total, loss


def _parts(counts: list[int], width: int) -> int:
    """In how many equal parts to take so many points: as few as have 8192 (point, neuron) pairs at most or, for wide
    networks, 32 points, as far as the counts allow; on a GPU 4 million pairs."""
    most = max(8192 // width, 32) if jax.default_backend() == "cpu" else max(2**22 // width, 32)
    possible = gcd(*counts)
    divisors = [parts for parts in range(1, possible + 1) if possible % parts == 0]
    return next((parts for parts in divisors if sum(counts) // parts <= most), possible)
