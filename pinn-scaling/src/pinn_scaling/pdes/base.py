"""What a PDE problem consists of: equation, domain, initial and boundary conditions, solution.

Points z are (t, x), in this order, or x alone; the last coordinate is always x. The hardness kappa may be a number or a
traced array, so that one compiled program serves all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float


class Derivatives(NamedTuple):
    """u and its partial derivatives at some points; None where nobody asked for it."""

    u: Float[Array, "*points"] | None = None
    u_t: Float[Array, "*points"] | None = None
    u_tt: Float[Array, "*points"] | None = None
    u_x: Float[Array, "*points"] | None = None
    u_xx: Float[Array, "*points"] | None = None
    u_xxx: Float[Array, "*points"] | None = None
    u_xxxx: Float[Array, "*points"] | None = None


Domain = tuple[tuple[float, float], ...]
"""Ends of each coordinate: t (where there is one), then x."""

Equation = Callable[[Derivatives, Float[Array, "*points d"], Float[ArrayLike, ""]], Float[Array, "*points"]]
"""F(D, z, kappa), to be zero at every point."""

Site = Literal["interior", "initial", "left", "right", "faces", "jump"]
"""Where a condition holds: inside, at t = 0, at an end of x, at both ends (one mean over the points of both), or
from end to end, where D stands for the jumps D(t, right) - D(t, left)."""


@dataclass(frozen=True)
class Condition:
    """Equations that hold at a site; each adds the mean of its squares over the site's points to the loss."""

    site: Site
    derivatives: tuple[str, ...]
    """Fields of `Derivatives` that the equations read."""
    equations: tuple[Equation, ...]


@dataclass(frozen=True)
class Pde:
    """A problem: F(D, z, kappa) = 0 inside, conditions around, and the solution that errors are measured against."""

    name: str
    domain: Domain
    kappas: tuple[float, ...]
    """The published hardness values, rising; (1,) for a problem without kappa."""
    kappa_range: tuple[float, float]
    """Smallest and largest kappa for which the conditions pose the problem that `truth` solves."""
    derivatives: tuple[str, ...]
    """Fields of `Derivatives` that the residual reads."""
    residual: Equation
    conditions: tuple[Condition, ...]
    truth: Callable[[Float[Array, "*points d"], Float[ArrayLike, ""]], Float[Array, "*points"]]
    """u*(z, kappa)."""
    density: int = 10
    """Interior points per neuron and step: M = density * N."""
    sampling: Literal["uniform", "sobol"] = "uniform"
    """How interior points are drawn."""

    @property
    def terms(self) -> tuple[Condition, ...]:
        """The equation itself and its conditions: all that the loss is made of."""
        return (Condition("interior", self.derivatives, (self.residual,)), *self.conditions)

    def checked(self, kappa: float) -> float:
        """kappa, if this problem is posed for it."""
        low, high = self.kappa_range
        if not low <= kappa <= high:
            raise ValueError(f"kappa = {kappa:g} is out of range for {self.name}: choose {low:g} <= kappa <= {high:g}")
        return float(kappa)


def sine(x: Float[Array, "*points"]) -> Float[Array, "*points"]:
    """sin x; in float32 by reduction to [-pi/2, pi/2] and a polynomial, with an error of 1e-6 for |x| < 20.

    XLA's sine is a scalar function on a CPU, evaluated wherever the residual is: it would double the time of a step.
    """
    if x.dtype != jnp.float32:
        return jnp.sin(x)
    turns = jnp.round(x / jnp.pi)
    r = x - jnp.pi * turns
    q = r * r
    odd = r * (1 - q / 6 * (1 - q / 20 * (1 - q / 42 * (1 - q / 72 * (1 - q / 110)))))
    return odd * (1 - 2 * (turns % 2))
