"""Poisson's equation, the linear control (paper): -u'' = sin(pi x) on [0, 1], u(0) = u(1) = 0. It has no kappa.

Interior points are a Sobol net, scrambled anew at every step, and twice as many as elsewhere.
"""

import jax.numpy as jnp

from pinn_scaling.pdes.base import Condition, Pde, sine


def residual(d, z, kappa):
    """u_xx + sin(pi x)."""
    return d.u_xx + sine(jnp.pi * z[..., -1])


def truth(z, kappa):
    """u* = sin(pi x) / pi^2."""
    return jnp.sin(jnp.pi * z[..., -1]) / jnp.pi**2


def value(d, z, kappa):
    """u = 0 at both ends, a square each."""
    return d.u


POISSON = Pde(
    name="poisson",
    domain=((0.0, 1.0),),
    kappas=(1.0,),
    kappa_range=(1.0, 1.0),
    derivatives=("u_xx",),
    residual=residual,
    conditions=(Condition("left", ("u",), (value,)), Condition("right", ("u",), (value,))),
    truth=truth,
    density=20,
    sampling="sobol",
)
