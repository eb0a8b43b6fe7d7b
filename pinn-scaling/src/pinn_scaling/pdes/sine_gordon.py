"""Sine-Gordon equation and its kink, at rest (paper) or moving (in the author's code, not in his results).

u_tt - u_xx + kappa sin u = 0,    t in [0, 10], x in [-20, 20]
u* = 4 arctan exp(s),    s = sqrt(kappa / (1 - c^2)) (x - c t),    from 0 to 2 pi

(x, t) -> sqrt(kappa) (x, t) maps kappa to 1 on a larger domain: kappa is the length of the domain in kink widths.
"""

from functools import partial

import jax.numpy as jnp

from pinn_scaling.pdes.base import Condition, Pde, sine


def residual(d, z, kappa):
    """u_tt - u_xx + kappa sin u."""
    return d.u_tt - d.u_xx + kappa * sine(d.u)


def _phase(z, kappa, speed):
    """s."""
    return jnp.sqrt(kappa / (1 - speed**2)) * (z[..., -1] - speed * z[..., 0])


def truth(z, kappa, speed):
    """u* = pi + 4 arctan tanh(s / 2), which is 4 arctan exp(s) without its overflow."""
    return jnp.pi + 4 * jnp.arctan(jnp.tanh(_phase(z, kappa, speed) / 2))


def value(d, z, kappa, speed):
    """u = u* at t = 0, and at both ends (one mean over both)."""
    return d.u - truth(z, kappa, speed)


def velocity(d, z, kappa, speed):
    """u_t = u*_t = -2 c sqrt(kappa / (1 - c^2)) sech s at t = 0."""
    decay = jnp.exp(-jnp.abs(_phase(z, kappa, speed)))
    return d.u_t + 4 * speed * jnp.sqrt(kappa / (1 - speed**2)) * decay / (1 + decay**2)


def kink(name: str, speed: float) -> Pde:
    """The problem with the kink of this speed, |c| < 1."""
    given = partial(value, speed=speed)
    return Pde(
        name=name,
        domain=((0.0, 10.0), (-20.0, 20.0)),
        kappas=(0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0),
        kappa_range=(0.01, 1024.0),  # above, one kink is narrower than a thousandth of the domain
        derivatives=("u", "u_tt", "u_xx"),
        residual=residual,
        conditions=(
            Condition("initial", ("u", "u_t"), (given, partial(velocity, speed=speed))),
            Condition("faces", ("u",), (given,)),
        ),
        truth=partial(truth, speed=speed),
    )


SINE_GORDON = kink("sine_gordon", speed=0.0)
SINE_GORDON_MOVING = kink("sine_gordon_moving", speed=0.5)
