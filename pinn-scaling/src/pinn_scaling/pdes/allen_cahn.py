"""Allen-Cahn equation with diffusion 1/kappa and its static front (paper).

u_t = u_xx / kappa - u (u^2 - 1),    t in [0, 5], x in [-5, 5],    u* = tanh(x sqrt(kappa / 2))

One tanh neuron is the solution. Rescaling x maps kappa to a longer domain: kappa is the sharpness of the front.
"""

import jax.numpy as jnp

from pinn_scaling.pdes.base import Condition, Pde


def residual(d, z, kappa):
    """u_t - u_xx / kappa + u (u^2 - 1)."""
    return d.u_t - d.u_xx / kappa + d.u * (d.u**2 - 1)


def truth(z, kappa):
    """u* = tanh(x sqrt(kappa / 2))."""
    return jnp.tanh(z[..., -1] * jnp.sqrt(kappa / 2))


def start(d, z, kappa):
    """u = u* at t = 0."""
    return d.u - truth(z, kappa)


def lower(d, z, kappa):
    """u = -1 at x = -5."""
    return d.u + 1


def upper(d, z, kappa):
    """u = 1 at x = 5."""
    return d.u - 1


ALLEN_CAHN = Pde(
    name="allen_cahn",
    domain=((0.0, 5.0), (-5.0, 5.0)),
    kappas=(4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0),
    kappa_range=(4.0, 4096.0),  # below, the front does not reach -1 and 1 at the ends; above, float32 loses it
    derivatives=("u", "u_t", "u_xx"),
    residual=residual,
    conditions=(
        Condition("initial", ("u",), (start,)),
        Condition("left", ("u",), (lower,)),
        Condition("right", ("u",), (upper,)),
    ),
    truth=truth,
)
