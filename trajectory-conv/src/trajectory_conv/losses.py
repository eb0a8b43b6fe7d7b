"""Losses h(z) of the general problem h(Ax) + u'x + g(x), with what solvers and certificates ask of them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float


class LeastSquares(NamedTuple):
    """h(z) = ||z - y||^2 / (2n): 1/n-strongly convex and 1/n-smooth."""

    y: Float[Array, " n"]

    def value(self, z: Float[ArrayLike, " n"]) -> Float[Array, ""]:
        """h(z)."""
        return jnp.sum((z - self.y) ** 2) / (2 * self.y.shape[0])

    def gradient(self, z: Float[ArrayLike, " n"]) -> Float[Array, " n"]:
        """grad h(z)."""
        return (z - self.y) / self.y.shape[0]

    def conjugate(self, u: Float[ArrayLike, " n"]) -> Float[Array, ""]:
        """h*(u) = sup_z u'z - h(z)."""
        return self.y.shape[0] / 2 * (u @ u) + u @ self.y

    def curvature(self, z: Float[ArrayLike, " n"]) -> Float[Array, " n"]:
        """Diagonal of the Hessian of h."""
        return jnp.full_like(z, 1 / self.y.shape[0])

    def smoothness(self) -> float:
        """Largest curvature, sup h''."""
        return 1 / self.y.shape[0]


class Logistic(NamedTuple):
    """h(z) = sum_i log(1 + exp(-y_i z_i)) / n with labels y_i in {-1, 1}: strongly convex on bounded sets only."""

    y: Float[Array, " n"]

    def value(self, z: Float[ArrayLike, " n"]) -> Float[Array, ""]:
        """h(z)."""
        return jnp.mean(jnp.logaddexp(0.0, -self.y * z))

    def gradient(self, z: Float[ArrayLike, " n"]) -> Float[Array, " n"]:
        """grad h(z)."""
        return -self.y * jax.nn.sigmoid(-self.y * z) / self.y.shape[0]

    def conjugate(self, u: Float[ArrayLike, " n"]) -> Float[Array, ""]:
        """h*(u), finite for 0 <= p <= 1 with p_i = -n y_i u_i: the mean negative entropy of p."""
        p = -self.y.shape[0] * self.y * u
        return jnp.mean(jax.scipy.special.xlogy(p, p) + jax.scipy.special.xlogy(1 - p, 1 - p))

    def curvature(self, z: Float[ArrayLike, " n"]) -> Float[Array, " n"]:
        """Diagonal of the Hessian of h."""
        return jax.nn.sigmoid(z) * jax.nn.sigmoid(-z) / self.y.shape[0]

    def smoothness(self) -> float:
        """Largest curvature, sup h'' = 1 / (4n)."""
        return 1 / (4 * self.y.shape[0])
