"""Hoffman constants: of the affine KKT system of a LASSO-type problem, and of small polyhedra exactly.

For a support S with s members, m = d - s, the KKT conditions with the signs fixed are linear in z = (b_S, subgradient
on S^c) with the matrix

    M = [[G_SS + lambda_2 I, 0], [G_{S^c S}, diag(lambda w_{S^c})]],      H_p(S) = ||M^{-1}||_p,  p in {1, 2, inf}

With P = (G_SS + lambda_2 I)^{-1}, c = 1 / lambda and B = c G_{S^c S} P (uniform weights) M^{-1} = [[P, 0], [-B, c I]],
and no d x d matrix has to be inverted. H is a *stability* constant: how far the solution moves when the data do, while
support and signs stay. It is not a rate; that is mu_S / L (`geometry`). Everything can be batched with `jax.vmap`.
"""

from itertools import combinations
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float


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


@jax.jit
def affine_hoffman(
    active: Float[Array, "s s"], cross: Float[ArrayLike, "m s"], lam: Float[ArrayLike, ""], lam2: Float[ArrayLike, ""]
) -> AffineHoffman:
    """Affine KKT Hoffman constant with its bounds, for uniform weights; s > 0.

    active: G_SS = A_S'A_S / n. cross: G_{S^c S} = A_{S^c}'A_S / n, may have no rows.
    """
    s, m = active.shape[0], cross.shape[0]
    inverse = jnp.linalg.inv(active + lam2 * jnp.eye(s))
    c = 1 / lam
    b = c * cross @ inverse
    p2, b2 = jnp.linalg.norm(inverse, 2), _norm2_of_gram(b.T @ b)
    p1 = jnp.abs(inverse).sum(0)  # column sums; the rows' are the same, P is symmetric
    b1, binf = jnp.abs(b).sum(0), jnp.abs(b).sum(1).max(initial=0.0)
    c = c if m else 0.0
    return AffineHoffman(
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


@jax.jit
def affine_hoffman_2(
    active: Float[Array, "s s"],
    cross_gram: Float[ArrayLike, "s s"],
    lam: Float[ArrayLike, ""],
    lam2: Float[ArrayLike, ""],
) -> Float[Array, ""]:
    """H_2 alone, for m > 0, from G_SS and G_{S S^c} G_{S^c S} = (G^2)_SS - (G_SS)^2: nothing of size d is touched."""
    inverse = jnp.linalg.inv(active + lam2 * jnp.eye(active.shape[0]))
    return _norm2_of_blocks(inverse, inverse @ cross_gram @ inverse / lam**2, 1 / lam)


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
    inverse = np.linalg.inv(active + lam2 * np.eye(len(active)))
    blocks = [
        [inverse, np.zeros((len(active), len(cross)))],
        [-(cross @ inverse) / weights[:, None], np.diag(1 / weights)],
    ]
    return float(np.linalg.norm(np.block(blocks), 2))


def weyl_bound(mu: float, cross_norm: float, lam: float) -> float:
    """H_2 <= 1 / (min(mu_S, lambda) - ||G_{S^c S}||), infinite when that is not positive (nearly always)."""
    room = min(mu, lam) - cross_norm
    return 1 / room if room > 0 else np.inf


def sequential_bound(mu: float, cross_norm: float, lam: float) -> float:
    """max(1 / mu_S, (1 + ||G_{S^c S}|| / mu_S) / lambda), the quantity behind the elastic-net split (`balance`).

    It bounds the two block rows of M^{-1} one at a time, so H_2 <= sqrt(2) times it; itself it is no upper bound.
    """
    return max(1 / mu, (1 + cross_norm / mu) / lam)


def polyhedron_hoffman(matrix: Float[np.ndarray, "m d"]) -> float:
    """The smallest H with dist(x, {Ax <= b}) <= H ||(Ax - b)_+||_2 for all x and all feasible b, by enumeration.

    The maximum of eigenvalue^{-1/2} over linearly independent sets I of rows and the eigenvalues of A_I A_I' that have
    a strictly positive eigenvector. Exact, for small systems: 2^m sets, m <= 15 or so.
    """
    matrix = np.asarray(matrix, float)
    largest = 0.0
    for size in range(1, min(matrix.shape) + 1):
        for rows in combinations(range(len(matrix)), size):
            vectors, roots, _ = np.linalg.svd(matrix[list(rows)], full_matrices=False)  # eigenvalues are their squares
            if roots[-1] <= max(matrix.shape) * np.finfo(float).eps * roots[0]:
                continue
            one_sign = (vectors > 1e-12).all(axis=0) | (vectors < -1e-12).all(axis=0)
            largest = max(largest, *(1 / roots[one_sign]), 0.0)
    return float(largest)
