"""First-order methods for `Problem`s, and what their trajectories look like.

    ista        x+ = T(x)                                             T(x) = prox_{g/L}(x - grad f(x) / L)
    fista       x+ = T(v),  v = x + ((t - 1) / t+) (x - x_previous),  t+ = (1 + sqrt(1 + 4 t^2)) / 2,  t = 1 at first
    restart     fista that sets t = 1 when (v - x+)'(x+ - x) > 0      (O'Donoghue and Candes, 2015)
    restricted  ista with the step 1/L_S of the face S that the iterates have kept for `PATIENCE` steps, safeguarded
                (ours; the legal step on a face by restricted smoothness, L_S = lambda_max(H_SS))

One compiled `lax.scan` does the steps and emits scalars only, never the iterates. For l1 regularisers it works on a
*compressed face*: a working set that holds the support and the coordinates nearest to activation. The others are
watched: each |grad_j f| moves by at most ||H_jS|| ||x - x_0||, and is computed when that could bring it to its weight.
If one wants to become active the chunk of steps is done again with a larger set: the iterates are those of the plain
method up to rounding.
"""

import warnings
from functools import partial
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Int8

from trajectory_conv.problems import Problem, Quadratic, checked_point
from trajectory_conv.prox import WeightedL1
from trajectory_conv.working_set import Outside, distinct, sizes, unfold, watched, working_set

Method = Literal["ista", "fista", "restart", "restricted"]
CHUNK = 250
"""Steps between two choices of the working set (ours)."""
PATIENCE = 5
"""Equal sign patterns in a row after which `restricted` trusts the face (ours)."""
EXACT = 1e-12
"""KKT violation, relative to max_j |grad_j f(0)|, up to which an optimum that is given counts as exact (ours)."""
POWER_STEPS = 10
"""Steps of the power method for its L_S (ours): an estimate from below, which the safeguard mends."""


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
    products: Int[np.ndarray, " steps"]
    """Products with H (or A and A') that the step from x_k takes: 1, but for the restricted step."""
    x: Float[np.ndarray, " d"]
    """x_N."""
    optimum: Float[np.ndarray, " d"]
    """x*: the one given, polished if need be."""
    method: Method


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
    measured = _measuring(problem, optimum)
    return jax.vmap(lambda x: measured(x, problem.smooth.image(x)))(points)


def _measuring(problem: Problem, optimum):
    """The function (x, image) -> scalars."""
    smooth, regulariser, lipschitz = problem.smooth, problem.regulariser, problem.lipschitz
    image_at_optimum = smooth.image(optimum)
    gradient_at_optimum = smooth.gradient(image_at_optimum)
    free = regulariser.free(regulariser.face(optimum)).astype(optimum.dtype)

    def measured(x, image) -> Scalars:
        error = x - optimum
        gradient = smooth.gradient(image)
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
def _advance(problem: Problem, outside: Outside | None, optimum, state: _State, method: Method, steps: int):
    """`steps` steps; returns the state, and before each step the scalars, the face (packed bits of the coordinates
    above and below zero) and its number of products, and whether a coordinate outside woke up.
    """
    smooth, regulariser, lipschitz = problem.smooth, problem.regulariser, problem.lipschitz
    measured = _measuring(problem, optimum)

    def step(carry, _):
        state, image, image_previous, watch = carry
        x, age, smoothness, products = state.x, state.age, state.smoothness, 1
        t = (1 + jnp.sqrt(1 + 4 * state.t**2)) / 2
        momentum = (state.t - 1) / t if method in ("fista", "restart") else 0.0
        v = x + momentum * (x - state.previous)
        gradient = smooth.gradient(image + momentum * (image - image_previous))  # the image is linear in x
        new = regulariser.prox(v - gradient / lipschitz, 1 / lipschitz)
        if method == "restart":
            t = jnp.where((v - new) @ (new - x) > 0, 1.0, t)
        if method == "restricted":
            new, image_new, age, smoothness, products = _restricted(problem, state, image, gradient, new)
        else:
            image_new = smooth.image(new)
        if outside is not None:
            watch = watched(outside, v, watch)
        face = regulariser.face(x)
        emitted = measured(x, image), jnp.packbits(jnp.stack([face > 0, face < 0]), axis=1), products
        return (_State(new, x, t, age, smoothness), image_new, image, watch), emitted

    watch = (state.x, jnp.zeros(()), jnp.array(False))
    if outside is not None:
        # We measure at x, and step from v. Every later x lies between its v and the x before it, where the convex
        # |grad_j f| is at most the larger one of the two: a look at the first x and at every v will do.
        watch = watched(outside, state.x, watch)
    start = (state, smooth.image(state.x), smooth.image(state.previous), watch)
    (state, _, _, (_, _, woken)), (scalars, faces, products) = jax.lax.scan(step, start, length=steps)
    return state, scalars, faces, products, woken


def _restricted(problem: Problem, state: _State, image, gradient, safe):
    """(x+, its image, age, curvature, products): the step of length 1/L_S if the face is old enough and the step keeps
    to its curvature, else `safe`, that of 1/L.

    Accepted when (x+ - x)'H(x+ - x) <= L_S ||x+ - x||^2: then F decreases at least as for the step 1/L, so certificates
    hold. Otherwise L_S was too small an estimate (or the face has changed) and is raised to what was seen.
    """
    smooth, regulariser, lipschitz, x = problem.smooth, problem.regulariser, problem.lipschitz, state.x
    trial = regulariser.prox(x - gradient / state.smoothness, 1 / state.smoothness)
    image_trial, moved = smooth.image(trial), trial - x
    seen, size = moved @ (image_trial - image), moved @ moved
    legal = (state.smoothness >= lipschitz) | (seen <= state.smoothness * size)
    new, image_new = jax.lax.cond(legal, lambda _: (trial, image_trial), lambda _: (safe, smooth.image(safe)), None)
    trusted = jnp.where(legal, state.smoothness, jnp.minimum(seen / size, lipschitz))
    face = regulariser.face(new)
    same = (face == regulariser.face(x)).all()
    age = jnp.where(same, state.age + 1, 0)

    def largest_eigenvalue(_):
        free = regulariser.free(face).astype(x.dtype)

        def power_step(_, v):
            v = free * smooth.image(v)
            return v / jnp.maximum(jnp.linalg.norm(v), jnp.finfo(v.dtype).tiny)

        v = jax.lax.fori_loop(0, POWER_STEPS - 1, power_step, free)
        found = v @ smooth.image(v) / jnp.maximum(v @ v, jnp.finfo(v.dtype).tiny)
        return jnp.where(found > 0, found, lipschitz)  # an empty face, or a flat one

    estimated = age == PATIENCE
    smoothness = jax.lax.cond(estimated, largest_eigenvalue, lambda _: jnp.where(same, trusted, lipschitz), None)
    return new, image_new, age, smoothness, 1 + ~legal + POWER_STEPS * estimated


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

    Measured against `optimum`, by default that of `find_optimum`; one that is not exact (`EXACT`) is polished first.
    With `stop` the run ends after the chunk in which ||R|| falls to it. `compress=False` forbids the working sets.

    Raises ValueError for an `optimum` that is none, a `start` that does not fit, a restricted step for an f that is not
    quadratic. Warns (`NotConverged`) of an optimum that stays rough: gaps and bounds would be wrong without notice.
    """
    if method not in get_args(Method):
        raise ValueError(f"unknown method {method!r}: choose from {', '.join(get_args(Method))}")
    if not isinstance(iterations, int | np.integer) or iterations < 1:
        raise ValueError(f"{iterations} iterations: choose a whole number >= 1")
    if method == "restricted" and not isinstance(problem.smooth, Quadratic):
        raise ValueError("the restricted step needs a quadratic f: take another method")
    if start is not None:
        start = checked_point("start", start, problem)
    optimum = find_optimum(problem).x if optimum is None else _optimum(optimum, problem)
    chunks = []
    for chunk in _chunks(problem, method, optimum, start, compress, iterations):
        chunks.append(chunk)
        if stop is not None and chunk[0].residual[-1] <= stop:
            break
    scalars, faces, products, x = zip(*chunks, strict=True)
    packed, face = distinct(np.concatenate(faces))
    above, below = np.unpackbits(packed, axis=2, count=problem.dimension).astype(np.int8).swapaxes(0, 1)
    columns = (np.concatenate(column) for column in zip(*scalars, strict=True))
    return Trace(*columns, face, above - below, np.concatenate(products), x[-1], optimum, method)


def _optimum(x, problem: Problem) -> Float[np.ndarray, " d"]:
    """x, or the optimum on its face where that is better. A violation above 1e-6 of the gradient at zero is a mistake,
    one between that and `EXACT` may be the best that `find_optimum` could do, and is warned of.
    """
    x = checked_point("optimum", x, problem)
    violation, scale = float(problem.violation(x)), float(jnp.abs(problem.gradient(jnp.zeros_like(x))).max())
    if violation > EXACT * scale and (polished := polish(problem, x)) is not None:
        if (size := float(problem.violation(polished))) < violation:
            x, violation = polished, size
    if violation > 1e-6 * scale:
        raise ValueError(
            f"the optimum given is none: its KKT violation is {violation:.1e}; leave it out, or take that of a "
            "find_optimum that does not warn"
        )
    if violation > EXACT * scale:
        warnings.warn(
            f"the optimum given is rough: its KKT violation is {violation:.1e}, more than {EXACT * scale:.1e}; gaps "
            "and bounds are no more exact than that: leave it out, or let find_optimum take more steps",
            NotConverged,
            stacklevel=3,
        )
    return x


def _chunks(problem: Problem, method: Method, optimum, start, compress: bool, iterations: int):
    """Run in chunks; yields scalars, faces (steps, 2, bytes) as packed bits, numbers of products, and the last x."""
    d = problem.dimension
    x = np.asarray(problem.regulariser.prox(jnp.zeros(d) if start is None else jnp.asarray(start), 0.0))
    previous, t, age, smoothness = x, jnp.array(1.0), jnp.array(0), problem.lipschitz
    compress = compress and isinstance(problem.smooth, Quadratic) and isinstance(problem.regulariser, WeightedL1)
    order, part, outside, size = np.arange(d), problem, None, d
    for done in range(0, iterations, CHUNK):
        steps = min(CHUNK, iterations - done)
        needed = (x != 0) | (previous != 0) | (optimum != 0)
        # faces are large at first, mostly
        for wanted in sizes(int(needed.sum()), d) if compress and done else (d,):
            if wanted != size or needed[order[size:]].any():
                order, part, outside = working_set(problem, x, needed, wanted)
                size = wanted
            rows = order[:size]
            state = _State(x[rows], previous[rows], t, age, smoothness)
            state, scalars, faces, products, woken = _advance(part, outside, optimum[rows], state, method, steps)
            if not woken:
                break
            size = 0  # this set will not do again
        x, previous = np.zeros(d), np.zeros(d)
        x[rows], previous[rows], t, age, smoothness = state
        yield Scalars(*map(np.asarray, scalars)), unfold(np.asarray(faces), rows, d), np.asarray(products), x


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
    """A point is less optimal than was asked for; the message has its certificate."""


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
        done, x = done + len(chunk[1]), chunk[-1]
    warnings.warn(
        f"not converged in {done} steps: KKT violation {violation:.1e}, asked for {allowed:.1e}; allow more steps",
        NotConverged,
        stacklevel=2,
    )
    return Solution(best, violation, done)
