"""A stabilised explicit integrator for large stiff systems without a Jacobian: RKC, of order two.

    dy/dt = f(y)

Gradient flows of networks are stiff: a few directions relax a hundred thousand times faster than the motion of
interest. An explicit Runge-Kutta method pays for them with tiny steps, an implicit one with a Jacobian of all
parameters. A Runge-Kutta-Chebyshev step of s stages is stable up to a distance of about (2/3)(s^2 - 1) along the
negative real axis instead, so its cost grows with the square root of the stiffness. (Sommeijer, Shampine and Verwer,
"RKC: an explicit solver for parabolic PDEs", J. Comput. Appl. Math. 88, 1997: formulas 2.1 to 2.9. scipy has no such
method.)

Systems are the rows of y (m, p): they share their steps, and each one's error must be within the tolerance.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

Field = Callable[[Float[Tensor, "m p"]], Float[Tensor, "m p"]]

_DAMPING = 2 / 13
"""Epsilon of the method: how far its stability polynomial stays below 1."""
_REFRESH = 25
"""Steps after which the spectral radius is estimated anew."""
_ITERATIONS = 12
"""Of the power method at most; each estimate starts from the directions of the one before."""
_MOST_STAGES = 300
_STABLE = 0.65
"""A step of s stages is stable to (s^2 - 1) times this."""


class Solution(NamedTuple):
    """States at the times asked for, and what they cost."""

    states: Float[Tensor, "t m p"]
    """NaN after a row's end."""
    last: Float[Tensor, "m p"]
    """Each row at its end."""
    end: Float[Tensor, " m"]
    """Time that each row was followed to: the last one, unless it became too stiff or took too long."""
    stiffness: Float[Tensor, " m"]
    """Largest spectral radius of each row's Jacobian that was met (estimate)."""
    met_at: Float[Tensor, "limits m"]
    """Time at which each row was first found to be stiffer than each of the limits; NaN where it never was."""
    met: Float[Tensor, "limits m p"]
    """Its state then."""
    steps: int
    rejected: int
    evaluations: int
    """Of the field, those for estimates of its stiffness included."""


def integrate(
    field: Field,
    start: Float[Tensor, "m p"],
    times: Sequence[float] | Float[np.ndarray, " t"],
    tolerance: float = 1e-3,
    floor: float = 1e-3,
    stiffest: Sequence[float] = (math.inf,),
    limit: int = 10_000_000,
) -> Solution:
    """The states at `times` (ascending; the first one is that of `start`).

    tolerance: of the estimated error of a step, relative to each number or, where that is smaller, to `floor`; its root
        mean square over a row counts, for the worst row. Check a result with half of it.
    stiffest: spectral radii of a row's Jacobian, ascending. Where it has a larger one than the last of them, for
        instance because it runs into a singularity of the field, it is not followed any further; the others go on. The
        ones before say how it got there (`met_at`).
    limit: evaluations of the field after which no row is followed any further.
    """
    times = np.asarray(times, dtype=float)
    if not (np.diff(times) > 0).all():
        raise ValueError("times must ascend: give the time of the start first")
    calls, active = 0, torch.ones(len(start), 1, dtype=torch.bool, device=start.device)

    def moving(y: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return field(y).where(active, 0.0)

    y, derivative, states = start, moving(start), [start]
    radius, direction = spectral_radius(moving, y, derivative, derivative)
    step, accepted, rejected, largest = 0.25 / max(float(radius.max()), 1e-12), 0, 0, radius
    since = 0  # steps from the last estimate of the radius
    limits = torch.tensor(stiffest, dtype=start.dtype, device=start.device)[:, None]
    met_at = torch.full((len(limits), len(start)), torch.nan, dtype=start.dtype, device=start.device)
    met = torch.full((len(limits), *start.shape), torch.nan, dtype=start.dtype, device=start.device)
    end = torch.full((len(start),), float(times[-1]), dtype=start.dtype, device=start.device)
    for time, target in zip(times, times[1:], strict=False):
        while target - time > 1e-12 * target and active.any():
            stiff = float(radius.max())
            longest = min(step, _STABLE * (_MOST_STAGES**2 - 1) / max(stiff, 1e-12))
            h = min(longest, target - time)
            new = chebyshev_step(moving, y, derivative, h, stages(h * stiff))
            slope = moving(new)
            error = _error(y, new, derivative, slope, h, tolerance, floor)
            if error <= 1:
                time, y, derivative, accepted, since = time + h, new, slope, accepted + 1, since + 1
            else:
                rejected += 1
            if error > 1 or h == longest:  # a step cut short to meet a time says nothing about the next
                step = h * min(2.0, max(0.1, 0.8 * max(error, 1e-9) ** (-1 / 3)))
            if since and (error > 1 or since == _REFRESH):
                radius, direction = spectral_radius(moving, y, derivative, direction)
                largest, since = torch.maximum(largest, radius), 0
                first = (radius > limits) & met_at.isnan()
                met_at, met = met_at.where(~first, time), met.where(~first[..., None], y)
            left = active[:, 0] & met_at[-1].isfinite() if calls <= limit else active[:, 0]
            if left.any():
                end = end.where(~left, time)
                active &= ~left[:, None]
                derivative, radius = derivative.where(active, 0.0), radius.where(~left, 0.0)
        states.append(y.where(active, torch.nan))
    return Solution(torch.stack(states), y, end, largest, met_at, met, accepted, rejected, calls)


def stages(reach: float) -> int:
    """The least s (>= 2) whose stability interval covers step x spectral radius = `reach`."""
    return max(2, math.ceil(math.sqrt(1 + reach / _STABLE)))


def chebyshev_step(
    field: Field, y: Float[Tensor, "m p"], derivative: Float[Tensor, "m p"], h: float, s: int
) -> Float[Tensor, "m p"]:
    """One step of s >= 2 stages from y, where the field is `derivative`; s - 1 further evaluations.

    Y_j = (1 - mu_j - nu_j) Y_0 + mu_j Y_{j-1} + nu_j Y_{j-2} + mu~_j h f(Y_{j-1}) + gamma~_j h f(Y_0)
    """
    w0 = 1 + _DAMPING / s**2
    t, dt, ddt = _chebyshev(s, w0)
    w1 = dt[s] / ddt[s]
    b = [ddt[max(j, 2)] / dt[max(j, 2)] ** 2 for j in range(s + 1)]
    before, now = y, y + b[1] * w1 * h * derivative
    for j in range(2, s + 1):
        mu, nu = 2 * b[j] * w0 / b[j - 1], -b[j] / b[j - 2]
        slope = 2 * b[j] * w1 / b[j - 1] * h
        initial = -(1 - b[j - 1] * t[j - 1]) * slope
        following = mu * now + nu * before
        following.add_(y, alpha=1 - mu - nu).add_(field(now), alpha=slope).add_(derivative, alpha=initial)
        before, now = now, following
    return now


def _chebyshev(s: int, w: float) -> tuple[list[float], list[float], list[float]]:
    """T_0 ... T_s at w, and their first two derivatives."""
    t, dt, ddt = [1.0, w], [0.0, 1.0], [0.0, 0.0]
    for j in range(2, s + 1):
        t.append(2 * w * t[j - 1] - t[j - 2])
        dt.append(2 * t[j - 1] + 2 * w * dt[j - 1] - dt[j - 2])
        ddt.append(4 * dt[j - 1] + 2 * w * ddt[j - 1] - ddt[j - 2])
    return t, dt, ddt


def _error(y, new, derivative, slope, h: float, tolerance: float, floor: float) -> float:
    """The estimate 0.8 (y - y') + 0.4 h (f(y) + f(y')) in units of what is allowed; infinite where it is not finite."""
    allowed = tolerance * torch.maximum(y.abs(), new.abs()).clamp_min(floor)
    estimate = 0.8 * (y - new) + 0.4 * h * (derivative + slope)
    error = float((estimate / allowed).square().mean(1).sqrt().max())
    return error if math.isfinite(error) else math.inf


def spectral_radius(
    field: Field, y: Float[Tensor, "m p"], derivative: Float[Tensor, "m p"], direction: Float[Tensor, "m p"]
) -> tuple[Float[Tensor, " m"], Float[Tensor, "m p"]]:
    """Of the field's Jacobian at each row of y, where the field is `derivative`, with a margin of a tenth: by the power
    method on differences. And the directions that it ends with, to start the next one from.
    """
    size, radius = 1e-5 * y.norm(dim=1, keepdim=True).clamp_min(1e-3), y.new_zeros(len(y))
    for _ in range(_ITERATIONS):
        direction = direction / direction.norm(dim=1, keepdim=True).clamp_min(torch.finfo(y.dtype).tiny)
        direction = (field(y + size * direction) - derivative) / size
        last, radius = radius, direction.norm(dim=1)
        if abs(float(radius.max() - last.max())) <= 0.02 * float(radius.max()):
            break
    return 1.1 * radius, direction
