"""Polyhedral composite problems F = f + g (paper, section 3.3): a smooth part f and a regulariser g of `prox`.

f comes in two forms, both linear in an *image* of x, which is all that a solver has to carry from step to step:

    Quadratic   f(x) = x'Hx / 2 - c'x + f0     image Hx       LASSO, elastic net, box-constrained QP, SVM dual, NNLS
    Composite   f(x) = h(Ax) + u'x             image Ax       any loss h, logistic regression for instance

They are NamedTuples, not registered dataclasses: JAX 0.10 takes two registered dataclasses with as many fields for the
same tree structure, and `jit` may then run the code of one for the other.

Least squares always means ||Ab - y||^2 / (2n), as in the authors' code and in scikit-learn; so H = A'A/n, c = A'y/n.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

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


class LeastSquares(NamedTuple):
    """h(z) = ||z - y||^2 / (2n): 1/n-strongly convex and 1/n-smooth."""

    y: Float[Array, " n"]

    def value(self, z: Float[ArrayLike, " n"]) -> Float[Array, ""]:
        """h(z)."""
        return jnp.sum((z - self.y) ** 2) / (2 * self.y.shape[0])

    def gradient(self, z: Float[ArrayLike, " n"]) -> Float[Array, " n"]:
        """grad h(z)."""
        return (z - self.y) / self.y.shape[0]

    def conjugate(self, u: Float[ArrayLike, " n"]) -> Float[Array, ""]:
        """h*(u) = sup_z u'z - h(z)."""
        return self.y.shape[0] / 2 * (u @ u) + u @ self.y

    def curvature(self, z: Float[ArrayLike, " n"]) -> Float[Array, " n"]:
        """Diagonal of the Hessian of h."""
        return jnp.full_like(z, 1 / self.y.shape[0])

    def smoothness(self) -> float:
        """Largest curvature, sup h''."""
        return 1 / self.y.shape[0]


class Logistic(NamedTuple):
    """h(z) = sum_i log(1 + exp(-y_i z_i)) / n with labels y_i in {-1, 1}: strongly convex on bounded sets only."""

    y: Float[Array, " n"]

    def value(self, z: Float[ArrayLike, " n"]) -> Float[Array, ""]:
        """h(z)."""
        return jnp.mean(jnp.logaddexp(0.0, -self.y * z))

    def gradient(self, z: Float[ArrayLike, " n"]) -> Float[Array, " n"]:
        """grad h(z)."""
        return -self.y * jax.nn.sigmoid(-self.y * z) / self.y.shape[0]

    def conjugate(self, u: Float[ArrayLike, " n"]) -> Float[Array, ""]:
        """h*(u), finite for 0 <= p <= 1 with p_i = -n y_i u_i: the mean negative entropy of p."""
        p = -self.y.shape[0] * self.y * u
        return jnp.mean(jax.scipy.special.xlogy(p, p) + jax.scipy.special.xlogy(1 - p, 1 - p))

    def curvature(self, z: Float[ArrayLike, " n"]) -> Float[Array, " n"]:
        """Diagonal of the Hessian of h."""
        return jax.nn.sigmoid(z) * jax.nn.sigmoid(-z) / self.y.shape[0]

    def smoothness(self) -> float:
        """Largest curvature, sup h'' = 1 / (4n)."""
        return 1 / (4 * self.y.shape[0])


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
    matrix, y = checked("A", matrix, ndim=2), checked("y", y, ndim=1)
    n, d = matrix.shape
    if len(y) != n:
        raise ValueError(f"A has {n} rows and y {len(y)} entries: give one target per row")
    _require(lam1 > 0 and np.isfinite(lam1), f"lambda = {lam1}: choose an l1 penalty > 0")
    _require(lam2 >= 0 and np.isfinite(lam2), f"lambda_2 = {lam2}: choose an l2 penalty >= 0")
    weights = np.ones(d) if weights is None else checked("weights", weights, ndim=1)
    _require(len(weights) == d, f"{len(weights)} weights for {d} columns: give one weight per column")
    _require((weights > 0).all(), "a weight is <= 0: choose weights > 0 (a column without penalty has no kink)")
    gram = matrix.T @ matrix / n
    lipschitz = largest_eigenvalue(gram if d <= n else matrix @ matrix.T / n) + lam2  # the smaller one will do
    gram[np.diag_indices(d)] += lam2
    smooth = Quadratic(jnp.asarray(gram), jnp.asarray(matrix.T @ y / n), jnp.asarray(y @ y / (2 * n)))
    return Problem(smooth, WeightedL1(jnp.asarray(lam1 * weights)), jnp.asarray(lipschitz))


def adaptive_weights(initial: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
    """w_j = 1 / (|b_j| + 1e-5), divided by their mean, for initial coefficients b (the authors' choice).

    Where many b_j are zero the others' weights come out near 1e-5: hardly penalised at all.
    """
    weights = 1 / (np.abs(initial) + 1e-5)
    return weights / weights.mean()


def ridge(
    matrix: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], penalty: float = 1.0
) -> Float[np.ndarray, " d"]:
    """argmin ||y - Ab||^2 + penalty ||b||^2 (no 1/n): initial coefficients of the authors' adaptive lasso."""
    return matrix.T @ np.linalg.solve(matrix @ matrix.T + penalty * np.eye(len(matrix)), y)


def box_qp(
    hessian: Float[np.ndarray, "d d"],
    linear: Float[np.ndarray, " d"],
    lower: float | Float[np.ndarray, " d"],
    upper: float | Float[np.ndarray, " d"],
) -> Problem:
    """x'Hx / 2 - c'x for lower <= x <= upper, H positive semidefinite."""
    hessian, linear = checked("H", hessian, ndim=2), checked("c", linear, ndim=1)
    _require(
        hessian.shape == (len(linear),) * 2, f"H is {hessian.shape} and c has {len(linear)} entries: they must fit"
    )
    _require(np.allclose(hessian, hessian.T), "H is not symmetric: give (H + H') / 2")
    lower, upper = (np.broadcast_to(np.asarray(bound, float), linear.shape) for bound in (lower, upper))
    _require(
        not (np.isnan(lower) | np.isnan(upper)).any()
        and (lower <= upper).all()
        and (lower < np.inf).all()
        and (upper > -np.inf).all(),
        "the box is empty: give lower <= upper",
    )
    smallest, largest = np.linalg.eigvalsh(hessian)[[0, -1]]
    _require(
        smallest >= -1e-10 * max(largest, -smallest), "H has a negative eigenvalue: it must be positive semidefinite"
    )
    smooth = Quadratic(jnp.asarray(hessian), jnp.asarray(linear), jnp.asarray(0.0))
    return Problem(smooth, Box(jnp.asarray(lower), jnp.asarray(upper)), jnp.asarray(largest_eigenvalue(hessian)))


def svm_dual(kernel: Float[np.ndarray, "n n"], labels: Float[np.ndarray, " n"], c: float) -> Problem:
    """Dual of the hinge-loss SVM without bias: a'Qa / 2 - 1'a for 0 <= a <= C, Q = diag(s) K diag(s), labels s =
    +-1.
    """
    labels = checked("labels", labels, ndim=1)
    _require(set(np.unique(labels)) <= {-1.0, 1.0}, "labels must be -1 and 1")
    _require(c > 0 and np.isfinite(c), f"C = {c}: choose C > 0")
    kernel = checked("K", kernel, ndim=2)
    _require(
        kernel.shape == (len(labels),) * 2, f"K is {kernel.shape} for {len(labels)} labels: give one row per sample"
    )
    return box_qp(labels[:, None] * kernel * labels, np.ones(len(labels)), 0.0, c)


def nnls(matrix: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]) -> Problem:
    """Non-negative least squares, ||Ab - y||^2 / (2n) for b >= 0."""
    matrix, y = checked("A", matrix, ndim=2), checked("y", y, ndim=1)
    n = len(matrix)
    _require(len(y) == n, f"A has {n} rows and y {len(y)} entries: give one target per row")
    problem = box_qp(matrix.T @ matrix / n, matrix.T @ y / n, 0.0, np.inf)
    return problem._replace(smooth=problem.smooth._replace(constant=jnp.asarray(y @ y / (2 * n))))


def composite(
    loss: LeastSquares | Logistic,
    matrix: Float[np.ndarray, "n d"],
    regulariser: WeightedL1 | Box,
    tilt: Float[np.ndarray, " d"] | None = None,
) -> Problem:
    """h(Ax) + u'x + g(x) for a loss h and a polyhedral g; L = sup h'' lambda_max(A'A)."""
    matrix = checked("A", matrix, ndim=2)
    n, targets = len(matrix), checked("y", loss.y, ndim=1)
    _require(len(targets) == n, f"A has {n} rows and y {len(targets)} entries: give one target per row")
    if isinstance(loss, Logistic):
        _require(set(np.unique(targets)) <= {-1.0, 1.0}, "labels must be -1 and 1")
    _require(matrix.any(), "the data are all zero: there is nothing to fit")
    tilt = np.zeros(matrix.shape[1]) if tilt is None else checked("u", tilt, ndim=1)
    for name, part in (("u", tilt), *zip(regulariser._fields, regulariser, strict=True)):
        _require(len(part) == matrix.shape[1], f"{name} has {len(part)} entries for {matrix.shape[1]} columns of A")
    lipschitz = loss.smoothness() * np.linalg.norm(matrix, 2) ** 2
    return Problem(Composite(loss, jnp.asarray(matrix), jnp.asarray(tilt)), regulariser, jnp.asarray(lipschitz))


def checked(name: str, array, ndim: int) -> Float[np.ndarray, "..."]:
    """`array` as float64; ValueError unless it has `ndim` dimensions, is not empty and is finite."""
    array = np.asarray(array, dtype=np.float64)
    _require(array.ndim == ndim, f"{name} has {array.ndim} dimensions: give {ndim}")
    _require(array.size > 0, f"{name} is empty: give at least one entry")
    _require(
        np.isfinite(array).all(), f"{name} has entries that are not finite: remove or replace NaN and infinite ones"
    )
    return array


def largest_eigenvalue(matrix: Float[np.ndarray, "d d"]) -> float:
    """lambda_max of a symmetric positive semidefinite matrix; ValueError when it is zero."""
    value = float(np.linalg.eigvalsh(matrix)[-1])
    _require(value > 0, "the data are all zero: there is nothing to fit")
    return value


def _require(condition: bool | np.bool_, message: str) -> None:
    if not condition:
        raise ValueError(message)
