"""Polyhedral regularisers and their proximal maps (paper, section 3.3).

prox_{t g}(x) = argmin_y  g(y) + ||y - x||^2 / (2 t)

A regulariser knows its faces. `face` names the face of x by a number in {-1, 0, 1} per coordinate, `free` says which
coordinates may move on it (the others sit at a kink or a bound), `slope` is the gradient of g along those.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int8


def soft_threshold(
    x: Float[ArrayLike, "*batch d"], threshold: Float[ArrayLike, "*#batch #d"]
) -> Float[Array, "*batch d"]:
    """Proximal map of the weighted l1 norm, g(x) = sum_j w_j |x_j|.

    `threshold` is t * w (step times weight, the unit of x, >= 0). The result is exactly zero where |x_j| <=
    threshold_j: identification of the face relies on that.
    """
    return jnp.sign(x) * jnp.maximum(jnp.abs(x) - threshold, 0.0)


class WeightedL1(NamedTuple):
    """g(x) = sum_j w_j |x_j|; its faces are the sign patterns."""

    weights: Float[Array, " d"]
    """w_j >= 0 in the unit of the gradient: lambda for the LASSO, lambda w_j for the adaptive one."""

    def value(self, x: Float[ArrayLike, " d"]) -> Float[Array, ""]:
        """g(x)."""
        return self.weights @ jnp.abs(x)

    def prox(self, x: Float[ArrayLike, " d"], step: Float[ArrayLike, ""]) -> Float[Array, " d"]:
        """prox_{step g}(x)."""
        return soft_threshold(x, step * self.weights)

    def face(self, x: Float[ArrayLike, " d"]) -> Int8[Array, " d"]:
        """The signs of x."""
        return jnp.sign(x).astype(jnp.int8)

    @staticmethod
    def free(face):
        """The support, (..., d) bool, of faces (..., d)."""
        return face != 0

    def room(self, x: Float[ArrayLike, " d"]) -> Float[Array, " d"]:
        """|x_j|: how far a free coordinate is from the kink."""
        return jnp.abs(x)

    def snapped(self, x: Float[ArrayLike, " d"], distance: float) -> Float[Array, " d"]:
        """x with the coordinates that are within `distance` of the kink at it."""
        return jnp.where(jnp.abs(x) <= distance, 0.0, x)

    def slope(self, x: Float[ArrayLike, " d"]) -> Float[Array, " d"]:
        """w_j sign(x_j)."""
        return self.weights * jnp.sign(x)

    def excess(
        self, x: Float[ArrayLike, " d"], optimum: Float[ArrayLike, " d"], gradient: Float[ArrayLike, " d"]
    ) -> Float[Array, ""]:
        """g(x) - g(x*) + <grad f(x*), x - x*>, a sum of terms >= 0 at an optimum x*."""
        terms = self.weights * (jnp.abs(x) - jnp.abs(optimum)) + gradient * (x - optimum)
        return jnp.maximum(terms, 0.0).sum()

    def change(self, x: Float[ArrayLike, " d"], moved: Float[ArrayLike, " d"]) -> Float[Array, ""]:
        """g(x + moved) - g(x), without the rounding of either sum."""
        return self.weights @ (jnp.abs(x + moved) - jnp.abs(x))

    def slack(self, x: Float[ArrayLike, " d"], gradient: Float[ArrayLike, " d"]) -> Float[Array, " d"]:
        """w_j - |grad_j f(x)| where x_j = 0, infinite elsewhere; at an optimum its minimum is the margin."""
        return jnp.where(self.free(self.face(x)), jnp.inf, self.weights - jnp.abs(gradient))

    def violation(self, x: Float[ArrayLike, " d"], gradient: Float[ArrayLike, " d"]) -> Float[Array, ""]:
        """max_j dist(-grad_j f(x), subdifferential of g at x_j): the KKT violation, in the unit of the gradient."""
        on_face = jnp.abs(gradient + self.slope(x))
        return jnp.where(self.free(self.face(x)), on_face, jnp.maximum(jnp.abs(gradient) - self.weights, 0.0)).max()


class Box(NamedTuple):
    """g(x) = 0 for lower <= x <= upper, infinite elsewhere; a face fixes some coordinates at their bounds."""

    lower: Float[Array, " d"]
    upper: Float[Array, " d"]

    def value(self, x: Float[ArrayLike, " d"]) -> Float[Array, ""]:
        """0 inside, infinite outside."""
        inside = (self.lower <= x) & (x <= self.upper)
        return jnp.where(inside.all(), 0.0, jnp.inf)

    def prox(self, x: Float[ArrayLike, " d"], step: Float[ArrayLike, ""]) -> Float[Array, " d"]:
        """The nearest point of the box, whatever the step."""
        return jnp.clip(x, self.lower, self.upper)

    def face(self, x: Float[ArrayLike, " d"]) -> Int8[Array, " d"]:
        """-1 at the lower bound, 1 at the upper one, 0 between them."""
        return (x >= self.upper).astype(jnp.int8) - (x <= self.lower).astype(jnp.int8) * (self.lower < self.upper)

    @staticmethod
    def free(face):
        """Coordinates strictly between their bounds, (..., d) bool, of faces (..., d)."""
        return face == 0

    def room(self, x: Float[ArrayLike, " d"]) -> Float[Array, " d"]:
        """How far a free coordinate is from the nearer bound."""
        return jnp.minimum(x - self.lower, self.upper - x)

    def snapped(self, x: Float[ArrayLike, " d"], distance: float) -> Float[Array, " d"]:
        """x with the coordinates that are within `distance` of a bound, on either side of it, at that bound."""
        x = jnp.where(jnp.abs(x - self.lower) <= distance, self.lower, x)
        return jnp.where(jnp.abs(x - self.upper) <= distance, self.upper, x)

    def slope(self, x: Float[ArrayLike, " d"]) -> Float[Array, " d"]:
        """0: g is constant on its faces."""
        return jnp.zeros_like(x)

    def excess(
        self, x: Float[ArrayLike, " d"], optimum: Float[ArrayLike, " d"], gradient: Float[ArrayLike, " d"]
    ) -> Float[Array, ""]:
        """<grad f(x*), x - x*>, a sum of terms >= 0 for feasible x at an optimum x*."""
        return jnp.maximum(gradient * (x - optimum), 0.0).sum()

    def change(self, x: Float[ArrayLike, " d"], moved: Float[ArrayLike, " d"]) -> Float[Array, ""]:
        """0 from a point of the box to another."""
        return jnp.zeros(())

    def slack(self, x: Float[ArrayLike, " d"], gradient: Float[ArrayLike, " d"]) -> Float[Array, " d"]:
        """The KKT multiplier of the bound that x_j sits at (>= 0 at an optimum), infinite where x_j is free."""
        at_lower = jnp.where(x <= self.lower, gradient, jnp.inf)
        at_upper = jnp.where(x >= self.upper, -gradient, jnp.inf)
        return jnp.where(self.lower == self.upper, jnp.inf, jnp.minimum(at_lower, at_upper))

    def violation(self, x: Float[ArrayLike, " d"], gradient: Float[ArrayLike, " d"]) -> Float[Array, ""]:
        """max_j dist(-grad_j f(x), normal cone at x_j); infinite outside the box."""
        outside = ~jnp.isfinite(self.value(x))
        worst = jnp.where(self.free(self.face(x)), jnp.abs(gradient), jnp.maximum(-self.slack(x, gradient), 0.0)).max()
        return jnp.where(outside, jnp.inf, worst)
