"""Working sets: the few coordinates that a run on a face has to touch, and a watch over the others.

For an l1 regulariser and a quadratic f, a coordinate outside the set S stays at zero as long as |grad_j f(x)| <= w_j.
With x zero outside S, |grad_j f| moves by at most ||H_jS|| ||x - x_0||: nobody outside has to be looked at before x has
moved by the smallest of the slacks over these norms.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from trajectory_conv.problems import Problem, Quadratic
from trajectory_conv.prox import WeightedL1

SIZES = (32, 128)
"""Sizes of working sets (ours): each one is compiled once, which costs more than a finer choice would save."""


class Outside(NamedTuple):
    """The coordinates outside a working set S: zero as long as |grad_j f| <= w_j."""

    cross: Float[Array, "k m"]
    """H between S and them."""
    linear: Float[Array, " m"]
    weights: Float[Array, " m"]

    def radius(self, v: Float[Array, " k"]) -> Float[Array, ""]:
        """min_j (w_j - |grad_j f|) / ||H_jS||: how far v may move before one wakes up; negative when one has."""
        slack = self.weights - jnp.abs(v @ self.cross - self.linear)
        return (slack / jnp.linalg.norm(self.cross, axis=0)).min()


def watched(outside: Outside, v, watch):
    """The watch (centre, radius, woken): within `radius` of `centre` nobody outside can wake up, farther off one looks
    again.
    """
    centre, radius, woken = watch

    def look(_):
        found = outside.radius(v)
        return v, found, woken | (found < 0)

    return jax.lax.cond(jnp.linalg.norm(v - centre) < radius, lambda _: watch, look, operand=None)


def sizes(needed: int, d: int):
    """Sizes of working sets to try in turn for `needed` coordinates: with some room for those that wake up."""
    yield from (size for size in SIZES if 1.25 * needed + 4 <= size < d)
    yield d


def working_set(problem: Problem, x, needed, size: int) -> tuple[Int[np.ndarray, " d"], Problem, Outside | None]:
    """(order, inside, outside): the needed coordinates come first in `order`, then those closest to activation; the
    first `size` of them make the problem inside.
    """
    if size == problem.dimension:
        return np.arange(size), problem, None
    smooth, weights = problem.smooth, np.asarray(problem.regulariser.weights)
    hessian, linear = np.asarray(smooth.hessian), np.asarray(smooth.linear)
    at = np.flatnonzero(x)
    slack = weights - np.abs(x[at] @ hessian[at] - linear)
    order = np.argsort(np.where(needed, -np.inf, slack), kind="stable")
    rows, others = order[:size], order[size:]
    inside = Quadratic(jnp.asarray(hessian[rows][:, rows]), jnp.asarray(linear[rows]), smooth.constant)
    outside = Outside(*map(jnp.asarray, (hessian[rows][:, others], linear[others], weights[others])))
    return order, problem._replace(smooth=inside, regulariser=WeightedL1(jnp.asarray(weights[rows]))), outside


def unfold(packed: UInt8[np.ndarray, "steps 2 bytes"], rows, d: int) -> UInt8[np.ndarray, "steps 2 all_bytes"]:
    """Packed faces of the working set as packed faces of all coordinates."""
    patterns, number = distinct(packed)
    bits = np.zeros((len(patterns), 2, d), dtype=np.uint8)
    bits[..., rows] = np.unpackbits(patterns, axis=2, count=len(rows))
    return np.packbits(bits, axis=2)[number]


def distinct(
    faces: UInt8[np.ndarray, "steps 2 bytes"],
) -> tuple[UInt8[np.ndarray, "faces 2 bytes"], Int[np.ndarray, " steps"]]:
    """The distinct ones and the number of each step's. Only places of change are sorted: they are few."""
    start = np.flatnonzero(np.r_[True, (faces[1:] != faces[:-1]).any(axis=(1, 2))])
    patterns, number = np.unique(faces[start], axis=0, return_inverse=True)
    return patterns, np.repeat(number, np.diff(np.r_[start, len(faces)]))
