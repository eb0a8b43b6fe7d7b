"""Collocation points: how many, where, and drawn how (paper, section 3).

M = 10 N points inside (Poisson 20 N), max(10, M // 10) at t = 0, max(10, M // 40) at each end of x, fresh ones at every
step. So the sample grows with the width, and gradient noise falls with it: give the counts of one width to all of them
to hold M fixed instead.
"""

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Float32, Key, UInt32
from scipy.stats import qmc

from pinn_scaling.pdes.base import Pde, Site


class Counts(NamedTuple):
    """Numbers of points inside, at t = 0 and at each end of x."""

    interior: int
    initial: int
    boundary: int


class Points(NamedTuple):
    """Points z where the terms of the loss are evaluated; without t there are just the two ends of x."""

    interior: Float[Array, "m d"]
    left: Float[Array, "n d"]
    right: Float[Array, "n d"]
    initial: Float[Array, "k d"] | None = None
    across: Float[Array, "n d"] | None = None
    """The points of `left` moved to the other end, for periodic conditions."""


def published_counts(pde: Pde, width: int) -> Counts:
    """The paper's numbers for one step of a network of this width."""
    m = pde.density * width
    return Counts(m, max(10, m // 10), max(10, m // 40))


def dense_counts(width: int) -> Counts:
    """Ours, for points that stay the same: 400 at t = 0, 200 at each end, 4000 inside, more for more than 200 neurons.

    Between 1000 the sharpest soliton (KdV, kappa = 16) may vanish unseen, with a loss of 1e-5 and an error of 1.
    """
    m = max(4000, 20 * width)
    return Counts(m, m // 10, m // 20)


def draw(key: Key[Array, ""], pde: Pde, counts: Counts, dtype: DTypeLike = jnp.float32) -> Points:
    """Random points, uniform or (Poisson, inside) a Sobol net; the same ones, but for rounding, in every precision."""
    low, high = np.asarray(pde.domain, dtype).T
    (m, k, n), d, uniform = counts, len(low), pde.sampling == "uniform"
    # one draw for all, because each costs compilation time
    numbers = jax.random.uniform(key, (uniform * m * d + k + 2 * n,), jnp.float32).astype(dtype)
    inside, start, left, right = jnp.split(numbers, np.cumsum([uniform * m * d, k, n]))
    inside = inside.reshape(m, d) if uniform else shifted(sobol(m, d), jax.random.fold_in(key, 1)).astype(dtype)
    inside = low + (high - low) * inside
    if d == 1:
        return Points(inside, left=jnp.asarray(low[None]), right=jnp.asarray(high[None]))
    left, right = (low[0] + (high[0] - low[0]) * t for t in (left, right))
    return Points(
        inside,
        left=_columns(left, low[1]),
        right=_columns(right, high[1]),
        initial=_columns(low[0], low[1] + (high[1] - low[1]) * start),
        across=_columns(left, high[1]),
    )


def _columns(*coordinates):
    """Points from their coordinates, of which one may be a number."""
    return jnp.stack(jnp.broadcast_arrays(*coordinates), axis=1)


def at(points: Points, site: Site) -> tuple[Float[Array, "n d"], ...]:
    """The points of a site; two sets, left and across, for the jump between them."""
    if site == "jump":
        return points.left, points.across
    if site == "faces":
        return (jnp.concatenate([points.left, points.right]),)
    return (getattr(points, site),)


@cache
def sobol(count: int, d: int) -> UInt32[np.ndarray, "count d"]:
    """The first points of the Sobol sequence, as binary fractions of 32 digits."""
    net = qmc.Sobol(d, scramble=False).random_base2(max(count - 1, 1).bit_length())
    return (net[:count] * 2.0**32).astype(np.uint32)


def shifted(net: UInt32[np.ndarray, "count d"], key: Key[Array, ""]) -> Float32[Array, "count d"]:
    """The net with a random digital shift (exclusive or with one random number per coordinate), in [0, 1).

    Each point is uniform, and every dyadic interval keeps its number of points. The author's scrambling also mixes
    the digits by a random triangular matrix, which keeps the same numbers.
    """
    bits = net ^ jax.random.bits(key, (net.shape[1],), jnp.uint32)
    return (bits >> 8).astype(jnp.float32) * 2.0**-24  # as many digits as float32 has
