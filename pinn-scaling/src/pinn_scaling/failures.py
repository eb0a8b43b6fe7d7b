"""How networks fail (ours): what they solve instead of the problem, and where they sit.

relu        Its second and third derivatives vanish almost everywhere, so it is trained on the equation without them:
            Poisson's loss cannot fall below E sin^2(pi x) = 1/2, and Allen-Cahn loses its diffusion.
vacua       Constants with sin u = 0 solve Sine-Gordon away from the conditions; a network may sit on the wrong ones.
"""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

WRONG = 1.0
"""|u - u*| beyond which a point counts as wrong; vacua are pi apart."""
AT_VACUUM = 0.5
"""|sin u| below which a point is at a vacuum, stable or not; a third of all u are."""


def without_diffusion(z: Float[Array, "*points 2"], kappa: Float[ArrayLike, ""]) -> Float[Array, "*points"]:
    """Allen-Cahn with D = 0 from the same start: u_t = u - u^3, u(0, x) = u0 = tanh(x sqrt(kappa / 2)).

    u = u0 / sqrt(u0^2 + (1 - u0^2) exp(-2t)) at every x of its own: the front grows steeper.
    """
    u0 = jnp.tanh(z[..., 1] * jnp.sqrt(kappa / 2))
    return u0 / jnp.sqrt(u0**2 + (1 - u0**2) * jnp.exp(-2 * z[..., 0]))


def vacuum_share(found: Float[Array, "*points"], truth: Float[Array, "*points"]) -> Float[Array, ""]:
    """Share of the wrong points that are at a vacuum; NaN where no point is wrong."""
    wrong = jnp.abs(found - truth) > WRONG
    return jnp.sum(wrong & (jnp.abs(jnp.sin(found)) < AT_VACUUM)) / jnp.sum(wrong)
