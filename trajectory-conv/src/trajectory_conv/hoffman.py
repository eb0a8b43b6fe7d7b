"""Hoffman constants: of the affine KKT system of a LASSO-type problem, and of small polyhedra exactly.

For a support S with s members, m = d - s, the KKT conditions with the signs fixed are linear in z = (b_S, subgradient
on S^c) with the matrix

    M = [[G_SS + lambda_2 I, 0], [G_{S^c S}, diag(lambda w_{S^c})]],      H_p(S) = ||M^{-1}||_p,  p in {1, 2, inf}

With P = (G_SS + lambda_2 I)^{-1}, c = 1 / lambda and B = c G_{S^c S} P (uniform weights) M^{-1} = [[P, 0], [-B, c I]],
and no d x d matrix has to be inverted. H is infinite where G_SS + lambda_2 I is singular. It is a *stability* constant:
how far the solution moves when the data do, while support and signs stay. It is not a rate; that is mu_S / L
(`geometry`). `affine_hoffman` and `affine_hoffman_2` can be batched with `jax.vmap`; values that are traced are not
checked.
"""

from itertools import combinations
from math import comb
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float

from trajectory_conv.problems import checked, require


class AffineHoffman(NamedTuple):
    """H in three norms with two-sided closed-form bounds, and the two terms that it is made of."""

    h2: Float[Array, ""]
    lower2: Float[Array, ""]
    """max(||P||, c, ||B||)."""
    upper2: Float[Array, ""]
    """sqrt(||P||^2 + c^2 + ||B||^2)."""
    h1: Float[Array, ""]
    upper1: Float[Array, ""]
    """max(||P||_1 + ||B||_1, c)."""
    hinf: Float[Array, ""]
    upperinf: Float[Array, ""]
    """max(||P||_inf, c + ||B||_inf); for uniform weights this IS H_inf."""
    interaction: Float[Array, ""]
    """||B||_2, between active and inactive features."""
    curvature: Float[Array, ""]
    """||P||_2 = 1 / mu_S."""


def affine_hoffman(
    active: Float[ArrayLike, "s s"],
    cross: Float[ArrayLike, "m s"],
    lam: Float[ArrayLike, ""],
    lam2: Float[ArrayLike, ""],
) -> AffineHoffman:
    """Affine KKT Hoffman constant with its bounds, for uniform weights.

    active: G_SS = A_S'A_S / n. cross: G_{S^c S} = A_{S^c}'A_S / n. Either may have no rows.
    """
    require_blocks(active, cross)
    _require_penalties(lam, lam2)
    return _affine_hoffman(active, cross, lam, lam2)


@jax.jit
def _affine_hoffman(active, cross, lam, lam2) -> AffineHoffman:
    s, m = active.shape[0], cross.shape[0]
    c = 1 / lam
    if not s:  # M = lambda I
        return AffineHoffman(*[c if m else 0.0] * 7, 0.0, 0.0)
    inverse, singular = _inverse(active + lam2 * jnp.eye(s))
    b = c * cross @ inverse
    p2, b2 = jnp.linalg.norm(inverse, 2), _norm2_of_gram(b.T @ b)
    p1 = jnp.abs(inverse).sum(0)  # column sums; the rows' are the same, P is symmetric
    b1, binf = jnp.abs(b).sum(0), jnp.abs(b).sum(1).max(initial=0.0)
    c = c if m else 0.0
    found = AffineHoffman(
        h2=_norm2_of_blocks(inverse, b.T @ b, c) if m else p2,
        lower2=jnp.maximum(jnp.maximum(p2, c), b2),
        upper2=jnp.sqrt(p2**2 + c**2 + b2**2),
        h1=jnp.maximum((p1 + b1).max(), c),
        upper1=jnp.maximum(p1.max() + b1.max(), c),
        hinf=jnp.maximum(p1.max(), jnp.where(m > 0, (jnp.abs(b).sum(1) + c).max(initial=0.0), 0.0)),
        upperinf=jnp.maximum(p1.max(), c + binf),
        interaction=b2,
        curvature=p2,
    )
    return AffineHoffman(*(jnp.where(singular, jnp.inf, value) for value in found))


def affine_hoffman_2(
    active: Float[ArrayLike, "s s"],
    cross_gram: Float[ArrayLike, "s s"],
    lam: Float[ArrayLike, ""],
    lam2: Float[ArrayLike, ""],
) -> Float[Array, ""]:
    """H_2 alone, for m > 0, from G_SS and G_{S S^c} G_{S^c S} = (G^2)_SS - (G_SS)^2: nothing of size d is touched."""
    require_blocks(active, cross_gram)
    require(len(cross_gram) == len(active), f"cross_gram is {np.shape(cross_gram)}: give G_SS^c G_S^cS (s, s)")
    _require_penalties(lam, lam2)
    return _affine_hoffman_2(active, cross_gram, lam, lam2)


@jax.jit
def _affine_hoffman_2(active, cross_gram, lam, lam2) -> Float[Array, ""]:
    if not len(active):
        return 1 / lam
    inverse, singular = _inverse(active + lam2 * jnp.eye(len(active)))
    h2 = _norm2_of_blocks(inverse, inverse @ cross_gram @ inverse / lam**2, 1 / lam)
    return jnp.where(singular, jnp.inf, h2)


def require_blocks(active, cross) -> None:
    """ValueError unless G_SS is (s, s), G_{S^c S} is (m, s) and both are finite, as far as they are not traced."""
    shapes = np.shape(active), np.shape(cross)
    fit = len(shapes[1]) == 2 and shapes[0] == 2 * shapes[1][1:]
    require(fit, f"active is {shapes[0]} and cross {shapes[1]}: give G_SS (s, s) and G_S^cS (m, s)")
    known = (block for block in (active, cross) if not isinstance(block, jax.core.Tracer))
    require(
        all(np.isfinite(block).all() for block in known),
        "active or cross has entries that are not finite: remove or replace NaN and infinite ones",
    )


def _require_penalties(lam, lam2) -> None:
    traced = jax.core.Tracer
    require(isinstance(lam, traced) or 0 < lam < np.inf, f"lambda = {lam}: choose an l1 penalty > 0")
    require(isinstance(lam2, traced) or 0 <= lam2 < np.inf, f"lambda_2 = {lam2}: choose an l2 penalty >= 0")


def _inverse(matrix: Float[ArrayLike, "s s"]) -> tuple[Float[Array, "s s"], Bool[Array, ""]]:
    """The inverse, and whether there is none up to rounding: ||M||_1 ||M^{-1}||_1 >= 1 / (s eps)."""
    inverse = jnp.linalg.inv(matrix)
    norms = (jnp.abs(part).sum(0).max(initial=0.0) for part in (matrix, inverse))
    regular = len(matrix) * jnp.finfo(float).eps * next(norms) * next(norms) < 1
    return inverse, ~regular & jnp.isfinite(matrix).all()


def _norm2_of_blocks(
    inverse: Float[ArrayLike, "s s"], gram: Float[ArrayLike, "s s"], c: Float[ArrayLike, ""]
) -> Float[Array, ""]:
    """||[[P, 0], [-B, c I]]||_2 from P, B'B and c: on the range of B it acts as [[P, 0], [R, c I]] with R'R = B'B."""
    values, vectors = jnp.linalg.eigh((gram + gram.T) / 2)
    root = jnp.sqrt(jnp.maximum(values, 0.0))[:, None] * vectors.T  # R
    square = jnp.block([[inverse @ inverse + gram, c * root.T], [c * root, c**2 * jnp.eye(len(gram))]])
    return _norm2_of_gram(square)  # at least c


def _norm2_of_gram(gram: Float[ArrayLike, "s s"]) -> Float[Array, ""]:
    """||X||_2 from X'X."""
    return jnp.sqrt(jnp.maximum(jnp.linalg.eigvalsh((gram + gram.T) / 2)[-1], 0.0))


def weighted_affine_hoffman_2(
    active: Float[np.ndarray, "s s"],
    cross: Float[np.ndarray, "m s"],
    weights: Float[np.ndarray, " m"],
    lam2: float = 0.0,
) -> float:
    """H_2 for unequal weights lambda w_j of the inactive features, from the blocks of M^{-1}."""
    require_blocks(active, cross)
    require(np.shape(weights) == (len(cross),), f"weights is {np.shape(weights)}: give one for each row of cross")
    _require_penalties(np.min(weights, initial=1.0), lam2)
    inverse, singular = _inverse(active + lam2 * np.eye(len(active)))
    if singular:
        return np.inf
    blocks = [
        [inverse, np.zeros((len(active), len(cross)))],
        [-(cross @ inverse) / weights[:, None], np.diag(1 / weights)],
    ]
    return float(np.linalg.norm(np.block(blocks), 2))


def weyl_bound(mu: float, cross_norm: float, lam: float) -> float:
    """H_2 <= 1 / (min(mu_S, lambda) - ||G_{S^c S}||), infinite when that is not positive (nearly always)."""
    _require_norms(mu, cross_norm, lam)
    room = min(mu, lam) - cross_norm
    return 1 / room if room > 0 else np.inf


def sequential_bound(mu: float, cross_norm: float, lam: float) -> float:
    """max(1 / mu_S, (1 + ||G_{S^c S}|| / mu_S) / lambda), the quantity behind the elastic-net split (`balance`).

    It bounds the two block rows of M^{-1} one at a time, so H_2 <= sqrt(2) times it; itself it is no upper bound.
    """
    _require_norms(mu, cross_norm, lam)
    return max(1 / mu, (1 + cross_norm / mu) / lam) if mu > 0 else np.inf


def _require_norms(mu: float, cross_norm: float, lam: float) -> None:
    known = cross_norm >= 0 and lam > 0 and not np.isnan(mu)
    require(known, f"mu_S = {mu}, ||G_S^cS|| = {cross_norm}, lambda = {lam}: give numbers, a norm >= 0 and lambda > 0")


def polyhedron_hoffman(matrix: Float[np.ndarray, "m d"]) -> float:
    """The smallest H with dist(x, {Ax <= b}) <= H ||(Ax - b)_+||_2 for all x and all feasible b, by enumeration.

    The maximum of eigenvalue^{-1/2} over linearly independent sets I of rows and the eigenvalues of A_I A_I' that have
    a strictly positive eigenvector. Exact, for small systems: refused beyond 2^20 sets of rows, a minute's work.
    """
    matrix = checked("A", matrix, ndim=2)
    sets = sum(comb(len(matrix), size) for size in range(1, min(matrix.shape) + 1))
    require(sets <= 2**20, f"A has {sets} sets of at most d rows to try: give fewer rows (20 always do)")
    largest = 0.0
    for size in range(1, min(matrix.shape) + 1):
        for rows in combinations(range(len(matrix)), size):
            vectors, roots, _ = np.linalg.svd(matrix[list(rows)], full_matrices=False)  # eigenvalues are their squares
            if roots[-1] <= max(matrix.shape) * np.finfo(float).eps * roots[0]:
                continue
            one_sign = (vectors > 1e-12).all(axis=0) | (vectors < -1e-12).all(axis=0)
            largest = max(largest, *(1 / roots[one_sign]), 0.0)
    return float(largest)
