"""What is measured of a network: errors on grids and per frequency band, and the spectrum of its tangent kernel.

Grids are arrays (times, places, d); a problem without t has one time. Errors are relative to the solution.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from pinn_scaling.loss import residual_jacobian
from pinn_scaling.network import Activation, Parameters, derivatives
from pinn_scaling.pdes.base import Pde
from pinn_scaling.points import Points

BANDS = ((0, 4), (4, 8), (8, 16), (16, 32), (32, 64), (64, 128))
"""Ranges of modes; mode m has m half periods in the domain."""


def published_grid(pde: Pde) -> Float[np.ndarray, "times places d"]:
    """The paper's test points, ends included: 1001 places, or 31 times x 31 places.

    In Sine-Gordon and KdV 31 places are 1.3 apart, more than a sharp front is wide: errors are hidden or exaggerated.
    """
    return grid(pde, 31, 31) if len(pde.domain) == 2 else grid(pde, 1, 1001)


def fine_grid(pde: Pde) -> Float[np.ndarray, "times places d"]:
    """Ours, which resolves every front: 2001 places at 41 times."""
    return grid(pde, 41, 2001)


def grid(pde: Pde, times: int, places: int, midpoints: bool = False) -> Float[np.ndarray, "times places d"]:
    """Uniform points, the ends of both coordinates included; `midpoints` are those of so many equal intervals of x."""
    *t, (left, right) = pde.domain
    if midpoints:
        half = (right - left) / places / 2
        left, right = left + half, right - half
    x = np.linspace(left, right, places)
    if not t:
        return x[None, :, None]
    return np.stack(np.meshgrid(np.linspace(*t[0], times), x, indexing="ij"), axis=-1)


def values(
    parameters: Parameters, where: Float[ArrayLike, "times places d"], activation: Activation = "tanh"
) -> Float[Array, "times places"]:
    """u on a grid, one time after the other."""
    where = jnp.asarray(where, parameters.w.dtype)
    return jax.lax.map(lambda z: derivatives(parameters, z, ("u",), activation).u, where)


def relative_error(found: Float[Array, "*points"], truth: Float[Array, "*points"]) -> Float[Array, ""]:
    """||u - u*|| / ||u*||, the error of the paper; NaN where ||u*|| < 1e-9, as published."""
    size = jnp.sqrt(jnp.sum(truth**2))
    return jnp.where(size < 1e-9, jnp.nan, jnp.sqrt(jnp.sum((found - truth) ** 2)) / size)


class Errors(NamedTuple):
    """What the author logs of u - u* on a grid; only the first is analysed."""

    l2: Float[Array, ""]
    """Relative."""
    l1: Float[Array, ""]
    """Relative."""
    largest: Float[Array, ""]
    """Relative to the largest |u*|."""
    largest_absolute: Float[Array, ""]
    median_absolute: Float[Array, ""]
    ninetieth_absolute: Float[Array, ""]
    """90th percentile."""


def errors(found: Float[Array, "*points"], truth: Float[Array, "*points"]) -> Errors:
    """All of them."""
    off = jnp.abs(found - truth)
    return Errors(
        relative_error(found, truth),
        off.sum() / jnp.abs(truth).sum(),
        off.max() / jnp.abs(truth).max(),
        off.max(),
        jnp.median(off),
        jnp.percentile(off, 90),
    )


def band_errors(found: Float[Array, "times places"], truth: Float[Array, "times places"]) -> Float[Array, " bands"]:
    """Relative error of each band of modes (`BANDS`) of the discrete cosine transform along x; 128 midpoints or more.

    Spectral bias shows as errors that grow with the frequency; a solution that is wrong as a whole, as equal errors.
    """

    def per_band(u):
        energy = jnp.sum(jax.scipy.fft.dct(u, type=2, norm="ortho", axis=1) ** 2, axis=0)
        return jnp.stack([energy[low:high].sum() for low, high in BANDS])

    return jnp.sqrt(per_band(found - truth) / per_band(truth))


def swings(error: Float[np.ndarray, "*runs logs"], log_every: int, last: int = 5000) -> Float[np.ndarray, "*runs 3"]:
    """Smallest, median and largest logged error of the last steps: how much the last iterate is a matter of luck."""
    tail = error[..., -max(1, last // log_every) :]
    return np.stack([tail.min(axis=-1), np.median(tail, axis=-1), tail.max(axis=-1)], axis=-1)


def tangent_spectrum(
    pde: Pde, parameters: Parameters, points: Points, kappa: Float[ArrayLike, ""], activation: Activation = "tanh"
) -> Float[Array, " k"]:
    """Eigenvalues of J J', J = dr / dtheta with ||r||^2 = L; falling, as many as can be other than zero.

    This is the neural tangent kernel of the residuals: gradient flow on L moves r by -2 J J' r.
    """
    rows = residual_jacobian(pde, parameters, points, jnp.asarray(kappa, parameters.w.dtype), activation)
    return jnp.linalg.svd(rows, compute_uv=False) ** 2


def effective_rank(eigenvalues: Float[ArrayLike, "*batch k"], cut: float = 1e-6) -> Int[Array, "*batch"]:
    """How many eigenvalues are above `cut` times the largest one."""
    eigenvalues = jnp.asarray(eigenvalues)
    return jnp.sum(eigenvalues > cut * eigenvalues.max(axis=-1, keepdims=True), axis=-1)
