"""Annealing schedules: the inverse temperature beta at time t.

    Log          c ln(t + K)            Hajek: converges if c <= c* = 1 / d*, d* the critical depth; smaller c is slower
    Sqrt         c sqrt t
    Linear       c t
    Exponential  b0 (b_T / b0)^(t / T)
    Cosine       b_T (1 - cos(pi t / T)) / 2
    Fixed        b
    Tabulated    linear in between; `constant_speed` makes one that is adapted to the energy's fluctuations

A schedule is called with times of any shape; numbers and tensors of one entry per chain may be mixed in its fields.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

Rate = float | Float[Tensor, " chains"]
Numbers = Sequence[float] | Float[np.ndarray, " betas"]


def check_positive(**values: Rate) -> None:
    """Raise ValueError where a number is not positive and finite."""
    for name, value in values.items():
        held = torch.as_tensor(value)
        if not ((held > 0) & held.isfinite()).all():
            raise ValueError(f"{name} = {held.tolist()}: choose finite numbers > 0")


def on_same_device(value: Rate, t: Tensor) -> Tensor:
    return torch.as_tensor(value, dtype=t.dtype, device=t.device)


@dataclass(frozen=True)
class Log:
    """beta = c ln(t + K). K = 1 starts at beta = 0: the first steps forget where they started; K = 2 does not."""

    c: Rate
    offset: float = 1.0

    def __post_init__(self):
        check_positive(c=self.c)
        if not 1 <= self.offset < math.inf:
            raise ValueError(f"offset = {self.offset}: choose a finite K >= 1, or beta is negative at first")

    def __call__(self, t: Tensor) -> Tensor:
        return on_same_device(self.c, t) * (t + self.offset).log()

    def steps_to(self, beta: float, dt: float) -> int:
        """Steps until beta is reached: ceil((exp(beta / c) - K) / dt)."""
        return math.ceil((math.exp(beta / float(self.c)) - self.offset) / dt)


@dataclass(frozen=True)
class Sqrt:
    c: Rate

    def __post_init__(self):
        check_positive(c=self.c)

    def __call__(self, t: Tensor) -> Tensor:
        return on_same_device(self.c, t) * t.sqrt()


@dataclass(frozen=True)
class Linear:
    c: Rate

    def __post_init__(self):
        check_positive(c=self.c)

    def __call__(self, t: Tensor) -> Tensor:
        return on_same_device(self.c, t) * t


@dataclass(frozen=True)
class Exponential:
    """From `start` to `end` in the time `horizon`, by equal factors, and constant afterwards."""

    end: Rate
    horizon: Rate
    start: Rate = 0.5

    def __post_init__(self):
        check_positive(end=self.end, horizon=self.horizon, start=self.start)

    def __call__(self, t: Tensor) -> Tensor:
        start, end = on_same_device(self.start, t), on_same_device(self.end, t)
        return start * (end / start) ** (t / on_same_device(self.horizon, t)).clamp_max(1)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 0 to `end` in the time `horizon`, and constant afterwards."""

    end: Rate
    horizon: Rate

    def __post_init__(self):
        check_positive(end=self.end, horizon=self.horizon)

    def __call__(self, t: Tensor) -> Tensor:
        share = (t / on_same_device(self.horizon, t)).clamp_max(1)
        return on_same_device(self.end, t) * (1 - (math.pi * share).cos()) / 2


@dataclass(frozen=True)
class Fixed:
    beta: Rate

    def __post_init__(self):
        check_positive(beta=self.beta)

    def __call__(self, t: Tensor) -> Tensor:
        return on_same_device(self.beta, t) * torch.ones_like(t)


@dataclass(frozen=True)
class Tabulated:
    """Linear between (times[i], betas[i]), constant outside."""

    times: tuple[float, ...]
    betas: tuple[float, ...]

    def __post_init__(self):
        if len(self.times) != len(self.betas) or len(self.times) < 2 or not (np.diff(self.times) > 0).all():
            raise ValueError("a table needs two or more increasing times and as many betas")
        if not (np.isfinite(self.betas).all() and min(self.betas) >= 0):
            raise ValueError("the betas of a table must be finite numbers >= 0")

    def __call__(self, t: Tensor) -> Tensor:
        times, betas = t.new_tensor(self.times), t.new_tensor(self.betas)
        t = t.clamp(times[0], times[-1])
        i = torch.searchsorted(times, t, right=True).clamp(1, len(times) - 1)
        return betas[i - 1] + (betas[i] - betas[i - 1]) * (t - times[i - 1]) / (times[i] - times[i - 1])


Schedule = Log | Sqrt | Linear | Exponential | Cosine | Fixed | Tabulated

SHAPES = ("log", "sqrt", "linear", "exponential", "cosine", "fixed")


def ending_at(shape: str, beta: Rate, horizon: Rate, offset: float = 1.0) -> Schedule:
    """The schedule of this shape that is at `beta` at the time `horizon`: for comparisons at an equal end point.

    For log c = beta / ln(T + K): at a fixed end point it is the one that cools fastest early.
    """
    check_positive(beta=beta, horizon=horizon)
    match shape:
        case "log":
            last = horizon + offset
            return Log(beta / (last.log() if isinstance(last, Tensor) else math.log(last)), offset)
        case "sqrt":
            return Sqrt(beta / horizon**0.5)
        case "linear":
            return Linear(beta / horizon)
        case "exponential":
            return Exponential(beta, horizon)
        case "cosine":
            return Cosine(beta, horizon)
        case "fixed":
            return Fixed(beta)
    raise ValueError(f"unknown schedule {shape!r}: choose from {', '.join(SHAPES)}")


def constant_speed(betas: Numbers, spread: Numbers, horizon: float, relaxation: Numbers | None = None) -> Tabulated:
    """Adaptive annealing (ours): beta'(t) = v / (spread(beta) relaxation(beta)), v such that it ends at `horizon`.

    `spread` is the standard deviation of U under exp(-beta U) at each of `betas`, measured or exact: a step d beta
    changes the law by the thermodynamic length spread d beta. `relaxation` is the relaxation time, by default the same
    everywhere. Integrated by the trapezoidal rule.
    """
    check_positive(horizon=horizon)
    cost = np.asarray(spread, float) * (1.0 if relaxation is None else np.asarray(relaxation, float))
    betas = np.asarray(betas, float)
    if cost.shape != betas.shape or not (np.isfinite(cost).all() and (cost > 0).all()):
        raise ValueError("give one finite spread > 0, and one relaxation time > 0 if any, for each beta")
    length = np.concatenate([[0], np.cumsum((cost[1:] + cost[:-1]) / 2 * np.diff(betas))])
    return Tabulated(tuple((horizon * length / length[-1]).tolist()), tuple(betas.tolist()))
