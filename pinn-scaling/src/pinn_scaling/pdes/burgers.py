"""Burgers' equation with viscosity 1/kappa (in the author's code, not in his results).

u_t + u u_x = u_xx / kappa,    t in [0, 1], x in [-1, 1],    u = -sin(pi x) at t = 0,    u and u_x periodic

A shock forms at x = 0 soon after t = 1/pi. The solution is that of Cole and Hopf (`cole_hopf`).
"""

import jax.numpy as jnp

from pinn_scaling.cole_hopf import cole_hopf
from pinn_scaling.pdes.base import Condition, Pde


def residual(d, z, kappa):
    """u_t + u u_x - u_xx / kappa."""
    return d.u_t + d.u * d.u_x - d.u_xx / kappa


def start(d, z, kappa):
    """u = -sin(pi x) at t = 0."""
    return d.u + jnp.sin(jnp.pi * z[..., -1])


def same_value(d, z, kappa):
    """u has no jump from right to left."""
    return d.u


def same_slope(d, z, kappa):
    """u_x has no jump from right to left."""
    return d.u_x


BURGERS = Pde(
    name="burgers",
    domain=((0.0, 1.0), (-1.0, 1.0)),
    kappas=(4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0),
    kappa_range=(1.0, 1024.0),
    derivatives=("u", "u_t", "u_x", "u_xx"),
    residual=residual,
    conditions=(
        Condition("initial", ("u",), (start,)),
        Condition("jump", ("u", "u_x"), (same_value, same_slope)),
    ),
    truth=cole_hopf,
)
