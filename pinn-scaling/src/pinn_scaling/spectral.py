"""Spectral solvers in float64, so that a claimed solution can be compared with one that was computed.

periodic    u_t + c u u_x = L u with constant coefficients in L (KdV, Burgers): Fourier modes, 2/3 dealiasing, and the
            exponential Runge-Kutta method ETDRK4 of Cox and Matthews (2002) as evaluated by Kassam and Trefethen
            (2005), which is exact for L
clamped     u_t or u_tt = F(u, u_xx) with u given at both ends (Allen-Cahn, Sine-Gordon): a straight line between
            the ends plus a sine series, and the explicit method DOP853 of order 8
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Complex, Float, Int
from scipy.fft import dst, idst
from scipy.integrate import solve_ivp

Times = Float[np.ndarray, " times"]
Points = Float[np.ndarray, " points"]
Grid = Float[np.ndarray, " grid"]
Table = Float[np.ndarray, "times points"]


class Evolution(NamedTuple):
    """A periodic solution, with what KdV conserves as a check."""

    u: Table
    mass: Times
    """Mean of u over the period."""
    energy: Times
    """Mean of u^2 over the period."""


def periodic(
    start: Callable[[Grid], Grid],
    ends: tuple[float, float],
    symbol: Callable[[np.ndarray], np.ndarray],
    advection: float,
    times: Times,
    points: Points,
    step: float,
    modes: int,
    frame: float = 0.0,
) -> Evolution:
    """Solution at `times`, equally spaced from 0, and `points`, where its trigonometric polynomial is evaluated.

    L exp(ikx) = symbol(k) exp(ikx); `advection` is c; `step` is the longest time step h; `modes` grid points. Error
    O(h^4), and exponentially small in `modes`. `frame` is the speed of the axes in which the steps are made: a wave of
    that speed is at rest there, and exponential Runge-Kutta steps leave a state at rest exactly as it is.
    ValueError where the times are not equally spaced from 0.
    """
    spacing = times[-1] / (len(times) - 1)
    if not np.allclose(times, spacing * np.arange(len(times))):
        raise ValueError("the times have to be equally spaced from 0, for instance np.linspace(0, 5, 31)")
    left, right = ends
    k = 2 * np.pi / (right - left) * np.arange(modes // 2 + 1)
    steps = int(np.ceil(spacing / step))
    scheme = _scheme(symbol(k) + 1j * k * frame, spacing / steps)
    factor = -0.5j * advection * k * (np.arange(len(k)) <= modes // 3)  # of the transform of u^2
    first = np.fft.rfft(start(left + (right - left) / modes * np.arange(modes)))
    spectra = np.asarray(_march(jnp.asarray(first), scheme, jnp.asarray(factor), steps, len(times))) / modes
    spectra = spectra * np.exp(-1j * k * frame * times[:, None])  # [times, k]
    weight = np.where(k > 0, 2, 1)  # each k > 0 stands for -k too
    waves = weight[:, None] * np.exp(1j * k[:, None] * (points - left))  # [k, points]
    return Evolution((spectra @ waves).real, spectra[:, 0].real, np.abs(spectra) ** 2 @ weight)


class _Scheme(NamedTuple):
    """Coefficients of ETDRK4 at every wave number, with z = h L(k)."""

    whole: Complex[Array, " k"]
    """exp(z)."""
    half: Complex[Array, " k"]
    """exp(z / 2)."""
    stage: Complex[Array, " k"]
    """h (exp(z / 2) - 1) / z."""
    first: Complex[Array, " k"]
    middle: Complex[Array, " k"]
    last: Complex[Array, " k"]
    """Weights of the four slopes, h / 6, h / 3 (twice) and h / 6 as z -> 0."""


def _scheme(symbol: Complex[np.ndarray, " k"], h: float) -> _Scheme:
    """Means over a circle around z, free of the cancellation near z = 0."""
    z = h * symbol[:, None] + np.exp(2j * np.pi * (np.arange(32) + 0.5) / 32)  # [k, circle]
    e = np.exp(z)
    weights = [
        (np.exp(z / 2) - 1) / z,
        (-4 - z + e * (4 - 3 * z + z**2)) / z**3,
        (2 + z + e * (z - 2)) / z**3,
        (-4 - 3 * z - z**2 + e * (4 - z)) / z**3,
    ]
    columns = [np.exp(h * symbol), np.exp(h * symbol / 2), *(h * weight.mean(axis=1) for weight in weights)]
    return _Scheme(*map(jnp.asarray, columns))


@partial(jax.jit, static_argnames="rows")
def _march(
    v: Complex[Array, " k"], scheme: _Scheme, factor: Complex[Array, " k"], steps: Int[ArrayLike, ""], rows: int
) -> Complex[Array, "rows k"]:
    """Spectra at the start and after every `steps` steps."""

    def slope(v):
        return factor * jnp.fft.rfft(jnp.fft.irfft(v, 2 * (len(v) - 1)) ** 2)

    def step(_, v):
        at_v = slope(v)
        a = scheme.half * v + scheme.stage * at_v
        at_a = slope(a)
        b = scheme.half * v + scheme.stage * at_a
        at_b = slope(b)
        c = scheme.half * a + scheme.stage * (2 * at_b - at_v)
        return scheme.whole * v + scheme.first * at_v + 2 * scheme.middle * (at_a + at_b) + scheme.last * slope(c)

    def row(v, _):
        return jax.lax.fori_loop(0, steps, step, v), v

    return jax.lax.scan(row, v, length=rows)[1]


def clamped(
    rate: Callable[[Grid, Grid], Grid],
    start: tuple[Callable[[Grid], Grid], ...],
    ends: tuple[float, float],
    faces: Callable[[float], tuple[float, float]],
    times: Times,
    points: Points,
    modes: int,
) -> Table:
    """Solution at `times` (rising from 0) and `points` of u_t = rate(u, u_xx), or of u_tt with two starts, u and u_t.

    `faces`(t) are the values at the ends. The odd extension of u minus the line has a jump in the second derivative of
    the size of u_xx at the ends: the error is exponentially small in `modes` for fronts that are flat there. Tolerances
    in time 1e-10 (relative) and 1e-12.
    """
    left, right = ends
    inside = np.arange(1, modes) / modes  # fraction of the domain
    k = np.pi / (right - left) * np.arange(1, modes)
    order = len(start)

    def line(t: float, fraction: np.ndarray) -> np.ndarray:
        at_left, at_right = faces(t)
        return at_left + (at_right - at_left) * fraction

    def slope(t: float, state: np.ndarray) -> np.ndarray:
        u, *velocity = state.reshape(order, -1)
        u_xx = idst(-(k**2) * dst(u - line(t, inside), type=1), type=1)
        return np.concatenate([*velocity, rate(u, u_xx)])

    first = np.concatenate([part(left + (right - left) * inside) for part in start])
    run = solve_ivp(slope, (0, times[-1]), first, "DOP853", t_eval=times, rtol=1e-10, atol=1e-12)
    fraction = (points - left) / (right - left)
    waves = np.sin(k[:, None] * (points - left)) / modes  # [k, points]
    rows = zip(times, run.y.T[:, : modes - 1], strict=True)
    return np.array([line(t, fraction) + dst(u - line(t, inside), type=1) @ waves for t, u in rows])
