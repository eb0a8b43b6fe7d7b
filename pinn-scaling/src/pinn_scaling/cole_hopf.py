"""Solution of Burgers' equation by the transformation of Cole and Hopf, for any viscosity without overflow.

u_t + u u_x = u_xx / kappa with u(0, x) = -sin(pi x) becomes the heat equation, and its kernel gives

    u(t, x) = - sum_i p_i sin(pi y_i) / sum_i p_i,    y_i = x - 2 sqrt(t / kappa) s_i,
    log p_i = -s_i^2 - kappa cos(pi y_i) / (2 pi)

over nodes s_i, a quotient of two integrals. Ours: a softmax for the quotient, and the trapezoidal rule, which converges
exponentially here; 150 Gauss-Hermite nodes leave 1e-7 at kappa = 1 and fail beyond 1024.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

NODES = 200
"""Absolute error of u below 2e-14 for 1 <= kappa <= 1024 (against 4096 nodes)."""


def cole_hopf(z: Float[Array, "*points 2"], kappa: Float[ArrayLike, ""]) -> Float[Array, "*points"]:
    """u at points (t, x), t >= 0; kappa > 0 is one over the viscosity. Derivatives exist for t > 0.

    cos varies by 2: p is below exp(-49) of its largest value where |s| > sqrt(kappa / pi) + 7.
    """

    def at(z: Float[Array, "2"]) -> Float[Array, ""]:
        t, x = z
        s = jnp.linspace(-1, 1, NODES, dtype=z.dtype) * (jnp.sqrt(kappa / jnp.pi) + 7)
        y = x - 2 * jnp.sqrt(t / kappa) * s
        p = jax.nn.softmax(-(s**2) - kappa / (2 * jnp.pi) * jnp.cos(jnp.pi * y))
        return -(p * jnp.sin(jnp.pi * y)).sum()

    return jnp.vectorize(at, signature="(d)->()")(z)
