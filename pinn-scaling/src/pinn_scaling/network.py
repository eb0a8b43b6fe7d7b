"""The single-layer network with its derivatives in closed form (paper, section 2).

u(z) = sum_j v_j sigma(zeta_j) + c,    zeta_j = w_j . z + b_j,    d^n u / dq^n = sum_j v_j w_{q,j}^n sigma^(n)(zeta_j)

All derivatives at a point come from the same zeta and the same tanh, so one pass over (points x neurons) serves a whole
equation; nested automatic differentiation builds a graph per order.
"""

from functools import partial
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from pinn_scaling.pdes.base import Derivatives, Domain

Activation = Literal["tanh", "relu"]
Law = Literal["published", "spread"]

_dot = partial(jnp.matmul, precision="highest")  # GPUs would take fewer digits


class Parameters(NamedTuple):
    """theta of N neurons with d inputs; its dtype is the precision of all that is computed with it."""

    w: Float[Array, "*batch N d"]
    b: Float[Array, "*batch N"]
    v: Float[Array, "*batch N"]
    c: Float[Array, "*batch"]


def initialise(
    key: Key[Array, ""],
    width: int,
    domain: Domain,
    activation: Activation = "tanh",
    law: Law = "published",
    dtype: DTypeLike = jnp.float32,
) -> Parameters:
    """Random parameters, c = 0; the same ones, but for rounding, in every precision.

    published   b = 0; for tanh (Xavier) w ~ N(0, 2/(d + N)) and v ~ N(0, 2/(N + 1)), for relu (Kaiming) w ~ N(0, 2/d)
                and v ~ N(0, 2/N)
    spread      (ours) v the same; slopes that do not fall with the width, w_p ~ N(0, 4) per half length of the domain
                along p; b such that the hinge w . z + b = 0 passes through a uniform point of the domain

    Raises ValueError for a width below 1, an unknown name, and float64 where it is disabled.
    """
    if width < 1:
        raise ValueError(f"width = {width}: a network has one neuron or more")
    for given, known in ((activation, Activation), (law, Law)):
        if given not in get_args(known):
            raise ValueError(f"{given!r} is unknown: choose from {', '.join(get_args(known))}")
    if jnp.dtype(dtype) == jnp.float64 and not jax.config.jax_enable_x64:
        raise ValueError("float64 is needed here but disabled: leave JAX_ENABLE_X64 alone, which the package sets")
    d = len(domain)
    w_variance, v_variance = (2 / (d + width), 2 / (width + 1)) if activation == "tanh" else (2 / d, 2 / width)
    normal = jax.random.normal(key, (width, d + 1), jnp.float32).astype(dtype)
    w, v = normal[:, :d], v_variance**0.5 * normal[:, d]
    if law == "published":
        return Parameters(w_variance**0.5 * w, jnp.zeros_like(v), v, jnp.zeros_like(v[0]))
    low, high = jnp.asarray(domain, dtype).T
    w = 2 * w / ((high - low) / 2)
    centres = low + (high - low) * jax.random.uniform(jax.random.fold_in(key, 1), (width, d), jnp.float32)
    return Parameters(w, -jnp.sum(w * centres, axis=1), v, jnp.zeros_like(v[0]))


def activations(name: Activation, zeta: Float[Array, "*shape"], highest: int) -> list[Float[Array, "*shape"]]:
    """[sigma, sigma', ..., sigma^(highest)] at zeta, highest <= 5.

    tanh: polynomials in s = tanh zeta. relu: zero from the second derivative on, as automatic differentiation has it.
    """
    if name == "relu":
        step = (zeta > 0).astype(zeta.dtype)
        return [zeta * step, step, *[jnp.zeros_like(zeta)] * 4][: highest + 1]
    s = jnp.tanh(zeta)
    q = s * s
    slope = 1 - q
    found = [s, slope, -2 * s * slope, (6 * q - 2) * slope, 8 * s * (2 - 3 * q) * slope]
    return [*found, (16 - 120 * q * slope) * slope][: highest + 1]


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def derivatives(
    parameters: Parameters, z: Float[Array, "points d"], names: tuple[str, ...], activation: Activation = "tanh"
) -> Derivatives:
    """The derivatives of these names (fields of `Derivatives`) at the points.

    Gradients of a loss made of them are in closed form too, twice as fast as those that JAX would derive.
    """
    return _summed(parameters, _sigmas(parameters, z, names, activation), names)


def jacobian(
    parameters: Parameters, z: Float[Array, "points d"], weights: Derivatives, activation: Activation = "tanh"
) -> Parameters:
    """Rows sum_D g_D(point) dD/dtheta(point) over the derivatives D that have weights g; leading axis points.

    A weight of 1 for one D gives the rows of that derivative, weights dF/dD those of an equation F.
    """
    names = tuple(name for name, g in weights._asdict().items() if g is not None)
    sigmas = _sigmas(parameters, z, names, activation, beyond=1)

    def row(*point):
        return _pulled_back(parameters, *jax.tree.map(lambda leaf: leaf[None], point), names)[0]

    return jax.vmap(row)(z, sigmas, weights)


def _axis_and_order(name: str) -> tuple[int, int]:
    """(q as column of z, n) of d^n u / dq^n: t is the first column, x the last one."""
    return (0 if name.startswith("u_t") else -1), len(name.removeprefix("u").removeprefix("_"))


def _sigmas(parameters, z, names, activation, beyond=0):
    """sigma^(n) at zeta, (points, N) each, for all orders n of the names and `beyond`."""
    w, b, _, _ = parameters
    return activations(activation, _dot(z, w.T) + b, max(_axis_and_order(name)[1] for name in names) + beyond)


def _summed(parameters, sigmas, names) -> Derivatives:
    """sum_j v_j w_{q,j}^n sigma^(n)(zeta_j)."""
    w, _, v, c = parameters
    found = {}
    for name in names:
        q, n = _axis_and_order(name)
        found[name] = _dot(sigmas[n], v * w[:, q] ** n) + (c if n == 0 else 0)
    return Derivatives(**found)


def _pulled_back(parameters, z, sigmas, weights: Derivatives, names):
    """Gradients of sum_points sum_D g_D D with respect to theta and to z. For D = d^n u / dq^n

    dD/dv_j = w_q^n sigma^(n),    dD/db_j = v_j w_q^n sigma^(n+1),    dD/dc = [n = 0],
    dD/dw_{p,j} = v_j (w_q^n sigma^(n+1) z_p + n w_q^(n-1) sigma^(n) [p = q]),    dD/dz_p = sum_j w_p dD/db_j
    """
    w, _, v, c = parameters
    moments = jnp.stack([jnp.ones_like(z[:, 0]), *z.T])  # (1 + d, points)
    at_w, at_v, at_zeta, at_c, at_z = jnp.zeros_like(w), 0, 0, jnp.zeros_like(c), 0
    for name in names:
        (q, n), g = _axis_and_order(name), getattr(weights, name)
        power = w[:, q] ** n
        first = _dot(g, sigmas[n])
        at_v += power * first
        at_zeta += v * power * _dot(g * moments, sigmas[n + 1])  # (1 + d, N)
        at_z += g[:, None] * _dot(sigmas[n + 1], (v * power)[:, None] * w)
        if n == 0:
            at_c += g.sum()
        else:
            at_w = at_w.at[:, q].add(n * v * w[:, q] ** (n - 1) * first)
    return Parameters(at_w + at_zeta[1:].T, at_zeta[0], at_v, at_c), at_z


def _forward(parameters, z, names, activation):
    sigmas = _sigmas(parameters, z, names, activation, beyond=1)
    return _summed(parameters, sigmas, names), (parameters, z, sigmas)


def _backward(names, activation, saved, weights):
    return _pulled_back(*saved, weights, names)


derivatives.defvjp(_forward, _backward)
