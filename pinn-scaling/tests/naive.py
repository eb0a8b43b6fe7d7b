"""The network and the losses written down a second time, as slowly and plainly as can be: nested automatic
differentiation at single points, and every loss of section 3 of the fact sheet in full.
"""

import jax
import jax.numpy as jnp

SIGMA = {"tanh": jnp.tanh, "relu": lambda x: jnp.maximum(x, 0.0)}


def u(parameters, z, activation="tanh"):
    """u at one point z."""
    w, b, v, c = parameters
    return v @ SIGMA[activation](w @ z + b) + c


def derivative(function, axis, order):
    """d^order f / dz_axis^order of a function of one point, as a function of one point."""
    if order == 0:
        return function
    lower = derivative(function, axis, order - 1)
    return lambda z: jax.grad(lower)(z)[axis]


def everywhere(function, points):
    """A function of one point at many."""
    return jax.jit(jax.vmap(function))(points)


def loss_terms(name, parameters, points, kappa, activation="tanh"):
    """(L_pde, L_bc, L_ic) of a problem."""

    def at(z, axis=0, order=0):
        return everywhere(derivative(lambda p: u(parameters, p, activation), axis, order), z)

    def mean(x):
        return jnp.mean(x**2)

    inside, left, right, start, across = points.interior, points.left, points.right, points.initial, points.across
    if name == "poisson":
        x = inside[:, 0]
        return mean(at(inside, 0, 2) + jnp.sin(jnp.pi * x)), at(left)[0] ** 2 + at(right)[0] ** 2, 0.0
    if name == "allen_cahn":
        value = at(inside)
        pde = at(inside, 0, 1) - at(inside, 1, 2) / kappa + value * (value**2 - 1)
        front = jnp.tanh(start[:, 1] * (kappa / 2) ** 0.5)
        return mean(pde), mean(at(left) + 1) + mean(at(right) - 1), mean(at(start) - front)
    if name == "sine_gordon":
        pde = at(inside, 0, 2) - at(inside, 1, 2) + kappa * jnp.sin(at(inside))
        both = jnp.concatenate([left, right])
        kink = lambda z: 4 * jnp.arctan(jnp.exp(kappa**0.5 * z[:, 1]))  # noqa: E731
        return mean(pde), mean(at(both) - kink(both)), mean(at(start) - kink(start)) + mean(at(start, 0, 1))
    if name in ("kdv", "kdv_published"):
        pde = at(inside, 0, 1) + kappa * at(inside) * at(inside, 1, 1) + at(inside, 1, 3)
        if name == "kdv_published":
            crest = kappa / jnp.cosh((kappa / 2) ** 0.5 * start[:, 1]) ** 2
            jumps = mean(at(left) - at(across)) + mean(at(left, 1, 1) - at(across, 1, 1))
            return mean(pde), jumps, mean(at(start) - crest)
        soliton = lambda z: 1 / jnp.cosh((kappa / 12) ** 0.5 * (z[1] + 10 - kappa * z[0] / 3)) ** 2  # noqa: E731
        ends = [mean(at(z) - everywhere(soliton, z)) for z in (left, right, start)]
        slope = mean(at(right, 1, 1) - everywhere(derivative(soliton, 1, 1), right))
        return mean(pde), ends[0] + ends[1] + slope, ends[2]
    if name == "burgers":
        pde = at(inside, 0, 1) + at(inside) * at(inside, 1, 1) - at(inside, 1, 2) / kappa
        jumps = mean(at(left) - at(across)) + mean(at(left, 1, 1) - at(across, 1, 1))
        return mean(pde), jumps, mean(at(start) + jnp.sin(jnp.pi * start[:, 1]))
    raise KeyError(name)
