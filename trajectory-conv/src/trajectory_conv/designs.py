"""Design matrices A (n x d) and sparse targets of the authors' runs.

A generator draws from a source of random numbers. There are two:

    KeyDraws(key)       `jax.random`, a new key for every draw: what our own runs use
    ReplayDraws(seed)   NumPy's legacy stream in the authors' order of calls: their seed-0 data, bit by bit

Columns are scaled to norm sqrt(n) unless a generator says otherwise. A target is drawn after its design.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Float, Int
from scipy.fft import dct


@runtime_checkable
class Draws(Protocol):
    """A source of random numbers; every call takes the next ones."""

    def normal(self, *shape: int, scale: float = 1.0) -> Float[np.ndarray, "..."]:
        """N(0, scale^2)."""

    def uniform(self, low: float, high: float, *shape: int) -> Float[np.ndarray, "..."]:
        """U[low, high)."""

    def signs(self, *shape: int) -> Int[np.ndarray, "..."]:
        """-1 or 1, each with probability 1/2."""

    def subset(self, count: int, size: int) -> Int[np.ndarray, " size"]:
        """`size` of the numbers 0, ..., count - 1, without repetition, in random order."""


class KeyDraws:
    """`jax.random`: draw number i uses fold_in(key, i)."""

    def __init__(self, key: jax.Array):
        self.key, self.count = key, 0

    def _next(self) -> jax.Array:
        self.count += 1
        return jax.random.fold_in(self.key, self.count)

    def normal(self, *shape: int, scale: float = 1.0) -> Float[np.ndarray, "..."]:
        """N(0, scale^2)."""
        return scale * np.asarray(jax.random.normal(self._next(), shape))

    def uniform(self, low: float, high: float, *shape: int) -> Float[np.ndarray, "..."]:
        """U[low, high)."""
        return np.asarray(jax.random.uniform(self._next(), shape, minval=low, maxval=high))

    def signs(self, *shape: int) -> Int[np.ndarray, "..."]:
        """-1 or 1."""
        return np.asarray(jax.random.rademacher(self._next(), shape, dtype=np.int64))

    def subset(self, count: int, size: int) -> Int[np.ndarray, " size"]:
        """`size` of 0, ..., count - 1."""
        return np.asarray(jax.random.choice(self._next(), count, (size,), replace=False))


class ReplayDraws:
    """The authors' stream: `numpy.random.seed(seed)` and the global functions, as an object of its own."""

    def __init__(self, seed: int = 0):
        self.stream = np.random.RandomState(seed)

    def normal(self, *shape: int, scale: float = 1.0) -> Float[np.ndarray, "..."]:
        """N(0, scale^2)."""
        return self.stream.normal(0.0, scale, size=shape)

    def uniform(self, low: float, high: float, *shape: int) -> Float[np.ndarray, "..."]:
        """U[low, high)."""
        return self.stream.uniform(low, high, size=shape)

    def signs(self, *shape: int) -> Int[np.ndarray, "..."]:
        """-1 or 1."""
        return self.stream.choice([-1, 1], size=shape)

    def subset(self, count: int, size: int) -> Int[np.ndarray, " size"]:
        """`size` of 0, ..., count - 1."""
        return self.stream.choice(count, size, replace=False)

    def skip_word(self) -> None:
        """Take one 32-bit word away: what a reference solve by coordinate descent did to the authors' global stream."""
        self.stream.randint(0, 2**31 - 1)


def normalise(matrix: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Scale each column to norm sqrt(n); a zero column stays zero."""
    norms = np.linalg.norm(matrix, axis=0)
    return matrix / np.where(norms > 0, norms, 1.0) * np.sqrt(len(matrix))


def gaussian(draws: Draws, n: int, d: int) -> Float[np.ndarray, "n d"]:
    """Independent N(0, 1) entries."""
    return normalise(draws.normal(n, d))


def rademacher(draws: Draws, n: int, d: int) -> Float[np.ndarray, "n d"]:
    """Independent signs."""
    return normalise(draws.signs(n, d).astype(float))


def uniform(draws: Draws, n: int, d: int) -> Float[np.ndarray, "n d"]:
    """Independent U[-sqrt 3, sqrt 3] entries: sub-Gaussian with variance 1."""
    return normalise(draws.uniform(-np.sqrt(3), np.sqrt(3), n, d))


def sparse_binary(draws: Draws, n: int, d: int, density: float = 0.1) -> Float[np.ndarray, "n d"]:
    """`density` n random signs per column, zeros elsewhere."""
    count = int(density * n)
    if count < 1:
        raise ValueError(
            f"density = {density} leaves columns of n = {n} rows empty: choose n >= {int(np.ceil(1 / density))}"
        )
    matrix = np.zeros((n, d))
    for column in matrix.T:
        rows = draws.subset(n, count)
        column[rows] = draws.signs(count)
    return normalise(matrix)


def partial_dct(draws: Draws, n: int, d: int) -> Float[np.ndarray, "n d"]:
    """n random rows of the orthonormal DCT-II matrix, times sqrt(n): rows are orthogonal, L = 1.

    Columns are NOT normalised: their mean squared norm is n^2 / d.
    """
    if n > d:
        raise ValueError(f"{n} of {d} rows cannot be chosen: choose n <= d")
    return dct(np.eye(d), axis=0, norm="ortho")[draws.subset(d, n)] * np.sqrt(n)


def spiked(draws: Draws, n: int, d: int, rho: float) -> Float[np.ndarray, "n d"]:
    """sqrt(rho) z 1' + sqrt(1 - rho) U: all columns share a direction, any two have the correlation rho; L ~ rho d."""
    shared = draws.normal(n, 1)
    return normalise(np.sqrt(rho) * shared + np.sqrt(1 - rho) * draws.normal(n, d))


def ar1(draws: Draws, n: int, d: int, rho: float) -> Float[np.ndarray, "n d"]:
    """Columns j and k have the correlation rho^|j-k|."""
    matrix = np.empty((n, d))
    matrix[:, 0] = draws.normal(n)
    for j in range(1, d):
        matrix[:, j] = rho * matrix[:, j - 1] + draws.normal(n, scale=np.sqrt(1 - rho**2))
    return normalise(matrix)


def power_law(draws: Draws, n: int, d: int, decay: float) -> Float[np.ndarray, "n d"]:
    """Gaussian with the singular values replaced by k^-decay."""
    left, values, right = np.linalg.svd(draws.normal(n, d), full_matrices=False)
    return normalise(left * np.arange(1, len(values) + 1) ** -float(decay) @ right)


def low_rank(draws: Draws, n: int, d: int, rank: int) -> Float[np.ndarray, "n d"]:
    """A product of Gaussian n x rank and rank x d matrices."""
    left = draws.normal(n, rank)
    return normalise(left @ draws.normal(d, rank).T)


def orthonormal(draws: Draws, n: int, d: int) -> Float[np.ndarray, "n d"]:
    """Orthogonal columns of norm sqrt(n), n >= d: H = I, one ISTA step solves the LASSO."""
    if n < d:
        raise ValueError(f"{d} orthogonal columns do not fit into {n} rows: choose n >= d")
    return np.linalg.qr(draws.normal(n, d))[0] * np.sqrt(n)


def diagonal(draws: Draws, n: int, d: int) -> Float[np.ndarray, "n d"]:
    """Orthogonal columns whose squared norms fall evenly from n to n / 100: the Gram matrix is diagonal."""
    return orthonormal(draws, n, d) * np.sqrt(np.linspace(1, 0.01, d))


def toeplitz(draws: Draws, n: int, d: int, rho: float) -> Float[np.ndarray, "n d"]:
    """Rows N(0, C) with C_jk = rho^|j-k|, by Cholesky: the correlations of `ar1` with other random numbers."""
    correlation = rho ** np.abs(np.subtract.outer(np.arange(d), np.arange(d)))
    return normalise(draws.normal(n, d) @ np.linalg.cholesky(correlation).T)


def block_ar1(draws: Draws, n: int, d: int, rho: float, block: int = 10) -> Float[np.ndarray, "n d"]:
    """Independent blocks of `block` columns (the last one may be smaller), each as `ar1`."""
    blocks = [ar1(draws, n, min(block, d - start), rho) for start in range(0, d, block)]
    return np.hstack(blocks)


@dataclass(frozen=True)
class Design:
    """A generator with its parameter and the name that figures and tables use."""

    name: str
    generate: Callable[..., Float[np.ndarray, "n d"]]
    parameter: int | float | None = None
    rip: bool = False
    """Whether the authors list it among the designs with the restricted isometry property (a label, nobody checks)."""

    def __call__(self, draws: Draws, n: int, d: int) -> Float[np.ndarray, "n d"]:
        return self.generate(draws, n, d) if self.parameter is None else self.generate(draws, n, d, self.parameter)


DESIGNS = {
    design.name: design
    for design in (
        Design("gaussian", gaussian, rip=True),
        Design("partial_dct", partial_dct, rip=True),
        Design("rademacher", rademacher, rip=True),
        Design("uniform", uniform, rip=True),
        Design("sparse_binary", sparse_binary, 0.1, rip=True),
        *(Design(f"spiked_{rho:g}", spiked, rho) for rho in (0.0, 0.05, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)),
        *(Design(f"ar1_{rho:g}", ar1, rho) for rho in (0.5, 0.7, 0.9)),
        Design("power_law", power_law, 1.0),
        Design("low_rank", low_rank, 15),
        Design("orthonormal", orthonormal),
        Design("diagonal", diagonal),
        Design("toeplitz_0.5", toeplitz, 0.5),
        Design("block_ar1_0.9", block_ar1, 0.9),
    )
}
"""Name -> design, with the parameters of the authors' runs; the last four are in their code, in none of their runs."""


def target(draws: Draws, d: int, s: int) -> Float[np.ndarray, " d"]:
    """A target with s entries +-1 at random places."""
    b = np.zeros(d)
    support = draws.subset(d, s)
    b[support] = draws.signs(s)
    return b
