"""Polyhedral composite problems F = f + g (paper, section 3.3): a smooth part f and a regulariser g of `prox`.

f comes in two forms, both linear in an *image* of x, which is all that a solver has to carry from step to step:

    Quadratic   f(x) = x'Hx / 2 - c'x + f0     image Hx       LASSO, elastic net, box-constrained QP, SVM dual, NNLS
    Composite   f(x) = h(Ax) + u'x             image Ax       any loss h, logistic regression for instance

They are NamedTuples, not registered dataclasses: JAX 0.10 takes two registered dataclasses with as many fields for the
same tree structure, and `jit` may then run the code of one for the other.

Least squares always means ||Ab - y||^2 / (2n), as in the authors' code and in scikit-learn; so H = A'A/n, c = A'y/n.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from trajectory_conv.losses import LeastSquares, Logistic
from trajectory_conv.prox import Box, WeightedL1


class Quadratic(NamedTuple):
    """f(x) = x'Hx / 2 - c'x + f0 with H positive semidefinite."""

    hessian: Float[Array, "d d"]
    linear: Float[Array, " d"]
    constant: Float[Array, ""]

    def image(self, x: Float[ArrayLike, " d"]) -> Float[Array, " d"]:
        """Hx."""
        return x @ self.hessian

    def gradient(self, image: Float[ArrayLike, " d"]) -> Float[Array, " d"]:
        """grad f(x) = Hx - c, from the image."""
        return image - self.linear

    def value(self, x: Float[ArrayLike, " d"], image: Float[ArrayLike, " d"]) -> Float[Array, ""]:
        """f(x)."""
        return x @ image / 2 - self.linear @ x + self.constant

    def divergence(
        self, error: Float[ArrayLike, " d"], image: Float[ArrayLike, " d"], reference: Float[ArrayLike, " d"]
    ) -> Float[Array, ""]:
        """f(x) - f(x*) - <grad f(x*), x - x*> = e'He / 2 for the error e = x - x*, without cancellation."""
        return error @ (image - reference) / 2

    def curvature(self, x: Float[ArrayLike, " d"]) -> Float[Array, "d d"]:
        """The Hessian H, the same everywhere."""
        return self.hessian

    @property
    def dimension(self) -> int:
        """d."""
        return self.linear.shape[-1]


class Composite(NamedTuple):
    """f(x) = h(Ax) + u'x with a smooth loss h: the general form of section 3.3."""

    loss: LeastSquares | Logistic
    matrix: Float[Array, "n d"]
    tilt: Float[Array, " d"]

    def image(self, x: Float[ArrayLike, " d"]) -> Float[Array, " n"]:
        """Ax."""
        return self.matrix @ x

    def gradient(self, image: Float[ArrayLike, " n"]) -> Float[Array, " d"]:
        """grad f(x) = A' grad h(Ax) + u, from the image."""
        return self.loss.gradient(image) @ self.matrix + self.tilt

    def value(self, x: Float[ArrayLike, " d"], image: Float[ArrayLike, " n"]) -> Float[Array, ""]:
        """f(x)."""
        return self.loss.value(image) + self.tilt @ x

    def divergence(
        self, error: Float[ArrayLike, " d"], image: Float[ArrayLike, " n"], reference: Float[ArrayLike, " n"]
    ) -> Float[Array, ""]:
        """h(z) - h(z*) - <grad h(z*), z - z*>; loses accuracy below 1e-16 h."""
        return self.loss.value(image) - self.loss.value(reference) - self.loss.gradient(reference) @ (image - reference)

    def curvature(self, x: Float[ArrayLike, " d"]) -> Float[Array, "d d"]:
        """Hessian of f at x, A' diag(h''(Ax)) A."""
        return (self.matrix * self.loss.curvature(self.image(x))[:, None]).T @ self.matrix

    @property
    def dimension(self) -> int:
        """d."""
        return self.matrix.shape[-1]


class Problem(NamedTuple):
    """Minimise F(x) = f(x) + g(x); prox-gradient steps have the length 1/L."""

    smooth: Quadratic | Composite
    regulariser: WeightedL1 | Box
    lipschitz: Float[Array, ""]
    """L, the largest eigenvalue of the Hessian of f (an upper bound on it for a loss that is not quadratic)."""

    def value(self, x: Float[ArrayLike, " d"]) -> Float[Array, ""]:
        """F(x)."""
        return self.smooth.value(x, self.smooth.image(x)) + self.regulariser.value(x)

    def gradient(self, x: Float[ArrayLike, " d"]) -> Float[Array, " d"]:
        """grad f(x)."""
        return self.smooth.gradient(self.smooth.image(x))

    def step(self, x: Float[ArrayLike, " d"]) -> Float[Array, " d"]:
        """T(x) = prox_{g/L}(x - grad f(x)/L)."""
        return self.regulariser.prox(x - self.gradient(x) / self.lipschitz, 1 / self.lipschitz)

    def violation(self, x: Float[ArrayLike, " d"]) -> Float[Array, ""]:
        """KKT violation, dist_inf(0, grad f(x) + subdifferential of g at x)."""
        return self.regulariser.violation(x, self.gradient(x))

    @property
    def dimension(self) -> int:
        """d."""
        return self.smooth.dimension


def lasso(
    matrix: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    lam: float,
    weights: Float[np.ndarray, " d"] | None = None,
) -> Problem:
    """||Ab - y||^2 / (2n) + lam sum_j w_j |b_j|; with `weights` the adaptive lasso. The alpha of scikit-learn is
    `lam`.
    """
    return elastic_net(matrix, y, lam, 0.0, weights)


def elastic_net(
    matrix: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    lam1: float,
    lam2: float,
    weights: Float[np.ndarray, " d"] | None = None,
) -> Problem:
    """The LASSO plus (lam2 / 2) ||b||^2; with `weights` on the l1 norm the adaptive elastic net.

    In scikit-learn's terms lam1 = alpha l1_ratio and lam2 = alpha (1 - l1_ratio).
    """
    matrix, y = _data(matrix, y)
    n, d = matrix.shape
    require(lam1 > 0 and np.isfinite(lam1), f"lambda = {lam1}: choose an l1 penalty > 0")
    require(lam2 >= 0 and np.isfinite(lam2), f"lambda_2 = {lam2}: choose an l2 penalty >= 0")
    weights = np.ones(d) if weights is None else checked("weights", weights, ndim=1)
    require(len(weights) == d, f"{len(weights)} weights for {d} columns: give one weight per column")
    require((weights > 0).all(), "a weight is <= 0: choose weights > 0 (a column without penalty has no kink)")
    gram = matrix.T @ matrix / n
    lipschitz = largest_eigenvalue(gram if d <= n else matrix @ matrix.T / n) + lam2  # the smaller one will do
    gram[np.diag_indices(d)] += lam2
    smooth = Quadratic(jnp.asarray(gram), jnp.asarray(matrix.T @ y / n), jnp.asarray(y @ y / (2 * n)))
    return Problem(smooth, WeightedL1(jnp.asarray(lam1 * weights)), jnp.asarray(lipschitz))


def adaptive_weights(initial: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
    """w_j = 1 / (|b_j| + 1e-5), divided by their mean, for initial coefficients b (the authors' choice).

    Where many b_j are zero the others' weights come out near 1e-5: hardly penalised at all.
    """
    weights = 1 / (np.abs(checked("initial", initial, ndim=1)) + 1e-5)
    return weights / weights.mean()


def ridge(
    matrix: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], penalty: float = 1.0
) -> Float[np.ndarray, " d"]:
    """argmin ||y - Ab||^2 + penalty ||b||^2 (no 1/n): initial coefficients of the authors' adaptive lasso."""
    matrix, y = _data(matrix, y)
    require(0 < penalty < np.inf, f"penalty = {penalty}: choose an l2 penalty > 0")
    return matrix.T @ np.linalg.solve(matrix @ matrix.T + penalty * np.eye(len(matrix)), y)


def box_qp(
    hessian: Float[np.ndarray, "d d"],
    linear: Float[np.ndarray, " d"],
    lower: float | Float[np.ndarray, " d"],
    upper: float | Float[np.ndarray, " d"],
) -> Problem:
    """x'Hx / 2 - c'x for lower <= x <= upper, H positive semidefinite; a bound may be infinite."""
    hessian, linear = checked("H", hessian, ndim=2), checked("c", linear, ndim=1)
    require(hessian.shape == (len(linear),) * 2, f"H is {hessian.shape} and c has {len(linear)} entries: they must fit")
    require(np.allclose(hessian, hessian.T), "H is not symmetric: give (H + H') / 2")
    box = _fitted(Box(lower, upper), len(linear))
    smallest, largest = np.linalg.eigvalsh(hessian)[[0, -1]]
    require(
        smallest >= -1e-10 * max(largest, -smallest), "H has a negative eigenvalue: it must be positive semidefinite"
    )
    require(largest > 0, "the data are all zero: there is nothing to fit")
    _require_bounded_below(hessian, linear, box)
    smooth = Quadratic(jnp.asarray(hessian), jnp.asarray(linear), jnp.asarray(0.0))
    return Problem(smooth, box, jnp.asarray(largest))


def svm_dual(kernel: Float[np.ndarray, "n n"], labels: Float[np.ndarray, " n"], c: float) -> Problem:
    """Dual of the hinge-loss SVM without bias: a'Qa / 2 - 1'a for 0 <= a <= C, Q = diag(s) K diag(s), labels s =
    +-1.
    """
    labels = checked("labels", labels, ndim=1)
    require(set(np.unique(labels)) <= {-1.0, 1.0}, "labels must be -1 and 1")
    require(c > 0 and np.isfinite(c), f"C = {c}: choose C > 0")
    kernel = checked("K", kernel, ndim=2)
    require(
        kernel.shape == (len(labels),) * 2, f"K is {kernel.shape} for {len(labels)} labels: give one row per sample"
    )
    return box_qp(labels[:, None] * kernel * labels, np.ones(len(labels)), 0.0, c)


def nnls(matrix: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]) -> Problem:
    """Non-negative least squares, ||Ab - y||^2 / (2n) for b >= 0."""
    matrix, y = _data(matrix, y)
    n, d = matrix.shape
    gram = matrix.T @ matrix / n
    smooth = Quadratic(jnp.asarray(gram), jnp.asarray(matrix.T @ y / n), jnp.asarray(y @ y / (2 * n)))
    return Problem(smooth, _fitted(Box(0.0, np.inf), d), jnp.asarray(largest_eigenvalue(gram)))


def composite(
    loss: LeastSquares | Logistic,
    matrix: Float[np.ndarray, "n d"],
    regulariser: WeightedL1 | Box,
    tilt: Float[np.ndarray, " d"] | None = None,
) -> Problem:
    """h(Ax) + u'x + g(x) for a loss h and a polyhedral g, whose weights or bounds may be single numbers;
    L = sup h'' lambda_max(A'A). A loss of your own is a NamedTuple like `LeastSquares`.
    """
    matrix, targets = _data(matrix, loss.y)
    if isinstance(loss, Logistic):
        require(set(np.unique(targets)) <= {-1.0, 1.0}, "labels must be -1 and 1")
    require(matrix.any(), "the data are all zero: there is nothing to fit")
    d, loss = matrix.shape[1], loss._replace(y=jnp.asarray(targets))
    tilt = np.zeros(d) if tilt is None else checked("u", tilt, ndim=1)
    require(len(tilt) == d, f"u has {len(tilt)} entries for {d} columns of A")
    smooth = Composite(loss, jnp.asarray(matrix), jnp.asarray(tilt))
    return Problem(smooth, _fitted(regulariser, d), jnp.asarray(loss.smoothness() * np.linalg.norm(matrix, 2) ** 2))


def _data(matrix, y) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
    """A and y as float64 arrays that fit."""
    matrix, y = checked("A", matrix, ndim=2), checked("y", y, ndim=1)
    require(len(y) == len(matrix), f"A has {len(matrix)} rows and y {len(y)} entries: give one target per row")
    return matrix, y


def _fitted(regulariser: WeightedL1 | Box, d: int) -> WeightedL1 | Box:
    """The regulariser with weights or bounds for d coordinates, a single number standing for all of them."""
    parts = [np.asarray(part, float) for part in regulariser]
    for name, part in zip(regulariser._fields, parts, strict=True):
        require(part.shape in ((), (d,)), f"{name} has the shape {part.shape}: give one number, or {d}")
    if isinstance(regulariser, Box):
        lower, upper = parts
        proper = (lower <= upper) & (lower < np.inf) & (upper > -np.inf)  # NaN is not
        require(proper.all(), "the box is empty: give lower <= upper")
    else:
        proper = (parts[0] >= 0) & (parts[0] < np.inf)
        require(proper.all(), "a weight is negative, infinite or NaN: choose weights >= 0")
    return type(regulariser)(*(jnp.asarray(np.broadcast_to(part, d)) for part in parts))


def _require_bounded_below(hessian: Float[np.ndarray, "d d"], linear: Float[np.ndarray, " d"], box: Box) -> None:
    """ValueError where c'v > 0 for some v with Hv = 0 that no bound stops: a linear programme over the null space."""
    from scipy.optimize import linprog

    below, above = np.isfinite(box.lower), np.isfinite(box.upper)
    if (below & above).all():
        return
    values, vectors = np.linalg.eigh(hessian)
    null = vectors[:, values <= len(values) * np.finfo(float).eps * values[-1]]
    gain, rounding = linear @ null, 1e-6 * np.linalg.norm(linear)
    if np.linalg.norm(gain) > rounding:  # c is not in the range of H
        stopped = np.vstack([-null[below], null[above]])
        best = linprog(-gain, A_ub=stopped, b_ub=np.zeros(len(stopped)), bounds=(-1, 1))
        require(-best.fun <= rounding, "the objective falls without limit (Hv = 0, c'v > 0): give bounds that stop it")


def checked(name: str, array, ndim: int) -> Float[np.ndarray, "..."]:
    """`array` as float64; ValueError unless it is real, has `ndim` dimensions, is not empty and is finite."""
    require(not np.iscomplexobj(array), f"{name} is complex: give real numbers")
    array = np.asarray(array, dtype=np.float64)
    require(array.ndim == ndim, f"{name} has {array.ndim} dimensions: give {ndim}")
    require(array.size > 0, f"{name} is empty: give at least one entry")
    require(
        np.isfinite(array).all(), f"{name} has entries that are not finite: remove or replace NaN and infinite ones"
    )
    return array


def largest_eigenvalue(matrix: Float[np.ndarray, "d d"]) -> float:
    """lambda_max of a symmetric positive semidefinite matrix; ValueError when it is zero."""
    value = float(np.linalg.eigvalsh(matrix)[-1])
    require(value > 0, "the data are all zero: there is nothing to fit")
    return value


def require(condition: bool | np.bool_, message: str) -> None:
    if not condition:
        raise ValueError(message)


def checked_point(name: str, x, problem: Problem) -> Float[np.ndarray, " d"]:
    """`x` as a point of the problem's space; ValueError unless it is one and finite."""
    x = checked(name, x, ndim=1)
    require(len(x) == problem.dimension, f"{name} has {len(x)} entries: give {problem.dimension} numbers")
    return x
