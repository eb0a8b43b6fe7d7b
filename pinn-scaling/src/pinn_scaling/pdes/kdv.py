"""Korteweg-de Vries equation, as published and with a solution that is one (ours).

u_t + kappa u u_x + u_xxx = 0,    t in [0, 5], x in [-20, 20]

A soliton of amplitude a has the speed a kappa / 3 and the width of sech^2(sqrt(a kappa / 12) x). The published "truth",
kappa sech^2(sqrt(kappa / 2) (x - kappa t)), would need kappa = 3 for its speed and kappa = 6 for its width: it is never
a solution. And its periodic conditions are two where the equation needs three. The corrected problem has the soliton of
amplitude 1, and conditions enough.
"""

import jax.numpy as jnp

from pinn_scaling.pdes.base import Condition, Pde

DOMAIN = ((0.0, 5.0), (-20.0, 20.0))
KAPPAS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
START = -10.0
"""x of the crest at t = 0, corrected problem; for kappa = 16 it ends at 16.7, inside the domain."""


def residual(d, z, kappa):
    """u_t + kappa u u_x + u_xxx."""
    return d.u_t + kappa * d.u * d.u_x + d.u_xxx


def published_truth(z, kappa):
    """kappa sech^2(sqrt(kappa / 2) (x - kappa t)), which is not a solution."""
    return kappa * (1 - jnp.tanh(jnp.sqrt(kappa / 2) * (z[..., -1] - kappa * z[..., 0])) ** 2)


def published_start(d, z, kappa):
    """u = kappa sech^2(sqrt(kappa / 2) x) at t = 0."""
    return d.u - published_truth(z, kappa)


def same_value(d, z, kappa):
    """u has no jump from right to left."""
    return d.u


def same_slope(d, z, kappa):
    """u_x has no jump from right to left."""
    return d.u_x


KDV_PUBLISHED = Pde(
    name="kdv_published",
    domain=DOMAIN,
    kappas=KAPPAS,
    kappa_range=(0.01, 64.0),
    derivatives=("u", "u_t", "u_x", "u_xxx"),
    residual=residual,
    conditions=(
        Condition("initial", ("u",), (published_start,)),
        Condition("jump", ("u", "u_x"), (same_value, same_slope)),
    ),
    truth=published_truth,
)


def _profile(z, kappa):
    """tanh of sqrt(kappa / 12) (x - start - kappa t / 3)."""
    return jnp.tanh(jnp.sqrt(kappa / 12) * (z[..., -1] - START - kappa / 3 * z[..., 0]))


def truth(z, kappa):
    """u* = sech^2(sqrt(kappa / 12) (x + 10 - kappa t / 3))."""
    return 1 - _profile(z, kappa) ** 2


def value(d, z, kappa):
    """u = u* at t = 0 and at both ends."""
    return d.u - truth(z, kappa)


def slope(d, z, kappa):
    """u_x = u*_x = -2 sqrt(kappa / 12) tanh sech^2 at the right end."""
    return d.u_x + 2 * jnp.sqrt(kappa / 12) * _profile(z, kappa) * truth(z, kappa)


KDV = Pde(
    name="kdv",
    domain=DOMAIN,
    kappas=KAPPAS,
    kappa_range=(0.01, 18.0),  # above, the crest leaves the domain
    derivatives=("u", "u_t", "u_x", "u_xxx"),
    residual=residual,
    conditions=(
        Condition("initial", ("u",), (value,)),
        Condition("left", ("u",), (value,)),
        Condition("right", ("u", "u_x"), (value, slope)),
    ),
    truth=truth,
)
