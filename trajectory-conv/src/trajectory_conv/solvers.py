"""First-order methods for `Problem`s, and what their trajectories look like.

    ista        x+ = T(x)                                             T(x) = prox_{g/L}(x - grad f(x) / L)
    fista       x+ = T(v),  v = x + ((t - 1) / t+) (x - x_previous),  t+ = (1 + sqrt(1 + 4 t^2)) / 2,  t = 1 at first
    restart     fista that sets t = 1 when (v - x+)'(x+ - x) > 0      (O'Donoghue and Candes, 2015)
    restricted  ista with the step 1/L_S of the face S that the iterates have kept for `PATIENCE` steps, safeguarded
                (ours; the legal step on a face by restricted smoothness, L_S = lambda_max(H_SS))

One compiled `lax.scan` does the steps and emits scalars only, never the iterates. For l1 regularisers it works on a
*compressed face*: the rows of H for a working set that holds the support and the coordinates nearest to activation.
The gradient is complete in every step, so a coordinate that wants to become active outside the set is seen, and the
chunk of steps is done again with a larger set: the iterates are those of the plain method up to rounding.
"""

import warnings
from functools import partial
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Int8, UInt8

from trajectory_conv.problems import Problem, Quadratic
from trajectory_conv.prox import WeightedL1

Method = Literal["ista", "fista", "restart", "restricted"]
CHUNK = 250
"""Steps between two choices of the working set (ours)."""
SIZES = (32, 128)
"""Sizes of working sets (ours): each one is compiled once, which costs more than a finer choice would save."""
PATIENCE = 5
"""Equal sign patterns in a row after which `restricted` trusts the face (ours)."""


class Trace(NamedTuple):
    """What a run looked like at x_0, ..., x_{N-1}, and where it ended."""

    gap: Float[np.ndarray, " steps"]
    """F(x_k) - F(x*), as a sum of terms >= 0: exact to relative rounding also where F itself has no digits left."""
    error: Float[np.ndarray, " steps"]
    """||x_k - x*||_2."""
    residual: Float[np.ndarray, " steps"]
    """||R(x_k)||_2 with the gradient map R(x) = L (x - T(x))."""
    decrease: Float[np.ndarray, " steps"]
    """D(x_k) = -2L min_y [<grad f(x_k), y - x_k> + L ||y - x_k||^2 / 2 + g(y) - g(x_k)], >= ||R(x_k)||^2."""
    off_face: Float[np.ndarray, " steps"]
    """||x_k - x*||_1 over the coordinates that are not free at x*: the numerator of the cone ratio."""
    on_face: Float[np.ndarray, " steps"]
    """The same over the free ones: its denominator."""
    face: Int[np.ndarray, " steps"]
    """Index into `faces`."""
    faces: Int8[np.ndarray, "faces d"]
    """The distinct faces that were visited, as `face` of the regulariser names them (the signs, for l1)."""
    x: Float[np.ndarray, " d"]
    """x_N."""
    optimum: Float[np.ndarray, " d"]
    """x*."""


class Scalars(NamedTuple):
    """The scalars of a `Trace`, of one point or of many."""

    gap: Float[Array, "*points"]
    error: Float[Array, "*points"]
    residual: Float[Array, "*points"]
    decrease: Float[Array, "*points"]
    off_face: Float[Array, "*points"]
    on_face: Float[Array, "*points"]


class _State(NamedTuple):
    x: Float[Array, " k"]
    previous: Float[Array, " k"]
    t: Float[Array, ""]
    age: Int[Array, ""]
    """Steps since the face changed."""
    smoothness: Float[Array, ""]
    """Curvature that the next step trusts: L, or L_S."""


@jax.jit
def measure(problem: Problem, points: Float[ArrayLike, "points d"], optimum: Float[ArrayLike, " d"]) -> Scalars:
    """The scalars of a trace at any points."""
    measured = _measuring(problem, problem.regulariser, optimum)
    return jax.vmap(lambda x: measured(x, problem.smooth.image(x)))(points)


def _measuring(problem: Problem, regulariser, optimum):
    """The function (x, image) -> scalars on the first k coordinates, those of `optimum` and `regulariser`."""
    smooth, lipschitz, k = problem.smooth, problem.lipschitz, optimum.shape[0]
    image_at_optimum = smooth.image(optimum)
    gradient_at_optimum = smooth.gradient(image_at_optimum)[:k]
    free = regulariser.free(regulariser.face(optimum)).astype(optimum.dtype)

    def measured(x, image) -> Scalars:
        error = x - optimum
        gradient = smooth.gradient(image)[:k]
        moved = regulariser.prox(x - gradient / lipschitz, 1 / lipschitz) - x
        change = regulariser.change(x, moved)
        return Scalars(
            gap=smooth.divergence(error, image, image_at_optimum) + regulariser.excess(x, optimum, gradient_at_optimum),
            error=jnp.linalg.norm(error),
            residual=lipschitz * jnp.linalg.norm(moved),
            decrease=-2 * lipschitz * (gradient @ moved + lipschitz / 2 * (moved @ moved) + change),
            off_face=jnp.abs(error) @ (1 - free),
            on_face=jnp.abs(error) @ free,
        )

    return measured


@partial(jax.jit, static_argnames=("method", "steps"))
def _advance(problem: Problem, optimum, state: _State, method: Method, steps: int):
    """`steps` steps on the first k coordinates; returns the state, scalars and faces (packed bits of the coordinates
    above and below zero) before each step, and whether another coordinate woke up.
    """
    smooth, regulariser, lipschitz = problem.smooth, problem.regulariser, problem.lipschitz
    k = state.x.shape[0]
    inner = jax.tree.map(lambda values: values[:k], regulariser)
    measured = _measuring(problem, inner, optimum)

    def step(carry, _):
        state, image_previous, woken = carry
        x, image = state.x, smooth.image(state.x)
        t, age, smoothness = (1 + jnp.sqrt(1 + 4 * state.t**2)) / 2, state.age, state.smoothness
        momentum = (state.t - 1) / t if method in ("fista", "restart") else 0.0
        v = x + momentum * (x - state.previous)
        gradient = smooth.gradient(image + momentum * (image - image_previous))  # the image is linear in x
        if k < gradient.shape[0]:
            woken |= (jnp.abs(gradient[k:]) > regulariser.weights[k:]).any()
        new = inner.prox(v - gradient[:k] / lipschitz, 1 / lipschitz)
        if method == "restart":
            t = jnp.where((v - new) @ (new - x) > 0, 1.0, t)
        if method == "restricted":
            new, age, smoothness = _restricted(smooth, inner, lipschitz, state, gradient[:k], new)
        face = inner.face(x)
        emitted = measured(x, image), jnp.packbits(jnp.stack([face > 0, face < 0]), axis=1)
        return (_State(new, x, t, age, smoothness), image, woken), emitted

    start = (state, smooth.image(state.previous), jnp.array(False))
    (state, _, woken), (scalars, faces) = jax.lax.scan(step, start, length=steps)
    return state, scalars, faces, woken


def _restricted(smooth, regulariser, lipschitz, state: _State, gradient, safe):
    """The step of length 1/L_S if the face is old enough and the step keeps to its curvature, else `safe`, that of 1/L.

    Accepted when (x+ - x)'H(x+ - x) <= L_S ||x+ - x||^2: then F decreases as for the step 1/L.
    """
    x = state.x
    trial = regulariser.prox(x - gradient / state.smoothness, 1 / state.smoothness)
    moved = trial - x
    legal = moved @ smooth.image(moved)[: len(x)] <= state.smoothness * (moved @ moved)
    new = jnp.where(legal, trial, safe)
    face = regulariser.face(new)
    same = (face == regulariser.face(x)).all()
    age = jnp.where(same, state.age + 1, 0)

    def on_face(_):
        mask = regulariser.free(face).astype(x.dtype)
        largest = jnp.linalg.eigvalsh(smooth.hessian[:, : len(x)] * mask * mask[:, None])[-1]
        return jnp.where(largest > 0, largest, lipschitz)  # an empty face, or a flat one

    smoothness = jax.lax.cond(
        age == PATIENCE, on_face, lambda _: jnp.where(same, state.smoothness, lipschitz), operand=None
    )
    return new, age, smoothness


def solve(
    problem: Problem,
    iterations: int,
    method: Method = "ista",
    optimum: Float[np.ndarray, " d"] | None = None,
    start: Float[np.ndarray, " d"] | None = None,
    stop: float | None = None,
    compress: bool = True,
) -> Trace:
    """The trace of `iterations` steps from `start` (zero, or the point of the box nearest to it).

    Measured against `optimum`, by default that of `find_optimum`. With `stop` the run ends after the chunk in which
    ||R|| falls to it. `compress=False` forbids the working sets.
    """
    if method not in get_args(Method):
        raise ValueError(f"unknown method {method!r}: choose from {', '.join(get_args(Method))}")
    if iterations < 1:
        raise ValueError(f"{iterations} iterations: choose at least 1")
    if method == "restricted" and not isinstance(problem.smooth, Quadratic):
        raise ValueError("the restricted step needs a quadratic f: take another method")
    optimum = find_optimum(problem).x if optimum is None else np.asarray(optimum, float)
    chunks = []
    for chunk in _chunks(problem, method, optimum, start, compress, iterations):
        chunks.append(chunk)
        if stop is not None and chunk[0].residual[-1] <= stop:
            break
    scalars, faces, x = zip(*chunks, strict=True)
    packed, face = _distinct(np.concatenate(faces))
    above, below = np.unpackbits(packed, axis=2, count=problem.dimension).astype(np.int8).swapaxes(0, 1)
    return Trace(
        *(np.concatenate(column) for column in zip(*scalars, strict=True)), face, above - below, x[-1], optimum
    )


def _chunks(problem: Problem, method: Method, optimum, start, compress: bool, iterations: int):
    """Run in chunks; yields their scalars, their faces (steps, 2, bytes) as packed bits, and the last x."""
    d = problem.dimension
    x = np.asarray(problem.regulariser.prox(jnp.zeros(d) if start is None else jnp.asarray(start), 0.0))
    previous, t, age, smoothness = x, jnp.array(1.0), jnp.array(0), problem.lipschitz
    compress = compress and isinstance(problem.smooth, Quadratic) and isinstance(problem.regulariser, WeightedL1)
    order, part, size = np.arange(d), problem, d
    for done in range(0, iterations, CHUNK):
        steps = min(CHUNK, iterations - done)
        needed = (x != 0) | (previous != 0) | (optimum != 0)
        sizes = _sizes(int(needed.sum()), d) if compress else (d,)
        for wanted in sizes:
            if wanted != size or needed[order[size:]].any():
                order, part = _working_set(problem, x, needed, wanted) if wanted < d else (np.arange(d), problem)
                size = wanted
            rows = order[:size]
            state = _State(x[rows], previous[rows], t, age, smoothness)
            state, scalars, faces, woken = _advance(part, optimum[rows], state, method, steps)
            if not woken:
                break
            size = 0  # this set will not do again
        x, previous = np.zeros(d), np.zeros(d)
        x[rows], previous[rows], t, age, smoothness = state
        yield Scalars(*map(np.asarray, scalars)), _unfold(np.asarray(faces), rows, d), x


def _sizes(needed: int, d: int):
    """Sizes of working sets to try in turn for `needed` coordinates: with some room for those that wake up."""
    yield from (size for size in SIZES if 1.25 * needed + 4 <= size < d)
    yield d


def _working_set(problem: Problem, x, needed, size: int) -> tuple[Int[np.ndarray, " d"], Problem]:
    """(order, problem): the needed coordinates come first in `order`, then those closest to activation; the problem is
    in that order, with `size` rows of H.
    """
    smooth, weights = problem.smooth, np.asarray(problem.regulariser.weights)
    hessian, linear = np.asarray(smooth.hessian), np.asarray(smooth.linear)
    at = np.flatnonzero(x)
    slack = weights - np.abs(x[at] @ hessian[at] - linear)
    order = np.argsort(np.where(needed, -np.inf, slack), kind="stable")
    part = Quadratic(jnp.asarray(hessian[order[:size]][:, order]), jnp.asarray(linear[order]), smooth.constant)
    return order, problem._replace(smooth=part, regulariser=WeightedL1(jnp.asarray(weights[order])))


def _unfold(packed: UInt8[np.ndarray, "steps 2 bytes"], rows, d: int) -> UInt8[np.ndarray, "steps 2 all_bytes"]:
    """Packed faces of the working set as packed faces of all coordinates."""
    distinct, number = _distinct(packed)
    bits = np.zeros((len(distinct), 2, d), dtype=np.uint8)
    bits[..., rows] = np.unpackbits(distinct, axis=2, count=len(rows))
    return np.packbits(bits, axis=2)[number]


def _distinct(
    faces: UInt8[np.ndarray, "steps 2 bytes"],
) -> tuple[UInt8[np.ndarray, "faces 2 bytes"], Int[np.ndarray, " steps"]]:
    """The distinct ones and the number of each step's. Only places of change are sorted: they are few."""
    start = np.flatnonzero(np.r_[True, (faces[1:] != faces[:-1]).any(axis=(1, 2))])
    distinct, number = np.unique(faces[start], axis=0, return_inverse=True)
    return distinct, np.repeat(number, np.diff(np.r_[start, len(faces)]))


def polish(problem: Problem, x: Float[np.ndarray, " d"], steps: int = 10) -> Float[np.ndarray, " d"] | None:
    """Newton's method on the face of x: H_FF dx_F = -(grad f(x) + slope of g)_F, one step for quadratic f.

    The exact minimiser over the affine hull of the face; None where a Newton step leaves the face. A singular H_FF
    (duplicate columns) gets the shortest step.
    """
    regulariser = problem.regulariser
    face = np.asarray(regulariser.face(x))
    free, slope = np.asarray(regulariser.free(face)), np.asarray(regulariser.slope(x))
    curvature = np.asarray(problem.smooth.curvature(x)) if isinstance(problem.smooth, Quadratic) else None
    x = np.array(x)
    best, best_residual = None, np.inf
    for _ in range(steps):
        residual = (np.asarray(problem.gradient(x)) + slope)[free]
        if (size := np.abs(residual).max(initial=0.0)) >= best_residual:
            break
        best, best_residual = x.copy(), size
        hessian = np.asarray(problem.smooth.curvature(x)) if curvature is None else curvature
        x[free] -= _solve_symmetric(hessian[np.ix_(free, free)], residual)
        if not np.array_equal(np.asarray(regulariser.face(x)), face):
            return None
    return best


def _solve_symmetric(matrix: Float[np.ndarray, "k k"], right: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """The solution of a positive semidefinite system, the shortest one if it is singular."""
    from scipy.linalg import eigh

    values, vectors = eigh(matrix)
    kept = values > len(values) * np.finfo(float).eps * max(values.max(initial=0.0), 0.0)
    return vectors[:, kept] @ ((vectors[:, kept].T @ right) / values[kept])


class NotConverged(UserWarning):
    """A solver has used up its steps; the message has the certificate of what it returns."""


class Solution(NamedTuple):
    """A point and the certificate that it is optimal."""

    x: Float[np.ndarray, " d"]
    violation: float
    """KKT violation, in the unit of the gradient."""
    iterations: int
    """Steps of FISTA with restart."""


def find_optimum(
    problem: Problem, tol: float = 1e-13, iterations: int = 200_000, start: Float[np.ndarray, " d"] | None = None
) -> Solution:
    """An optimum x* with KKT violation <= tol * max_j |grad_j f(0)|, by `restart` and Newton's method on the face.

    A `start` on the right face is mended by the Newton step alone, without any iteration. Warns (`NotConverged`), with
    the certificate, when that is not reached: the best point is returned all the same.
    """
    zero = jnp.zeros(problem.dimension)
    allowed = tol * float(jnp.abs(problem.gradient(zero)).max())
    best = x = np.asarray(problem.regulariser.prox(zero if start is None else jnp.asarray(start), 0.0))
    violation, done = float(problem.violation(best)), 0
    chunks = _chunks(problem, "restart", np.zeros(problem.dimension), start, True, iterations)
    while True:
        for candidate in (x, polish(problem, x)):
            if candidate is not None and (size := float(problem.violation(candidate))) < violation:
                best, violation = candidate, size
        if violation <= allowed:
            return Solution(best, violation, done)
        if (chunk := next(chunks, None)) is None:
            break
        done, x = done + len(chunk[1]), chunk[2]
    warnings.warn(
        f"not converged in {done} steps: KKT violation {violation:.1e}, asked for {allowed:.1e}; allow more steps",
        NotConverged,
        stacklevel=2,
    )
    return Solution(best, violation, done)
