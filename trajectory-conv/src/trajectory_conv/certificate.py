"""`certify`: how far a point is from an optimum of a problem, on which face it lies, and how fast methods go from
there.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int8

from trajectory_conv.geometry import Face, LocalRate, face_geometry, local_rate, margin
from trajectory_conv.problems import Composite, Problem, Quadratic, checked_point, require
from trajectory_conv.prox import Box, WeightedL1
from trajectory_conv.solvers import PATIENCE, measure, polish


class Predicted(NamedTuple):
    """Steps until F(x_k) - F* <= eps, counted from the point on, if the iterates keep its face."""

    ista: int | None
    """With the step 1 / L, objective rate (1 - mu_S / L)^2."""
    restricted: int | None
    """By `solve(..., "restricted")`: `PATIENCE` steps 1 / L, then 1 / L_S with the objective rate (1 - mu_S / L_S)^2.
    None for a loss that is not quadratic, where `solve` refuses that step.
    """


@dataclass(frozen=True)
class Geometry:
    """What `certify` found out about a point."""

    violation: float
    """KKT violation, the largest distance of -grad_j f to the subdifferential of g: 0 at an optimum."""
    duality_gap: float
    """An upper bound on F(x) - F*; NaN where `duality_gap` knows none."""
    pattern: Int8[np.ndarray, " d"]
    """Sign pattern for l1; -1, 0, 1 for lower bound, free and upper bound of a box."""
    face: Face
    """Size, mu_S, L_S of the face, and whether it is rank deficient (then mu_S is the smallest positive eigenvalue)."""
    lipschitz: float
    """L."""
    margin: float
    """Smallest slack of a coordinate that is not free, 0 if that is rounding; <= 0: the face need not be identified in
    finitely many steps.
    """
    rate: LocalRate
    """Contraction per step on the face."""
    on_optimal_face: bool
    """Whether Newton's method on the face of x ends in an optimum: then `gap` is F(x) - F*, not a bound."""
    gap: float
    """F(x) - F* if the face is the optimum's, else the duality gap."""
    quadratic: bool
    """Whether f is; else mu_S and L_S are those of the Hessian at the point, and so is what is predicted."""

    @property
    def condition(self) -> float:
        """Effective condition number L / mu_S."""
        return self.lipschitz / self.face.mu

    def iterations(self, eps: float) -> Predicted:
        """Predicted steps to F(x_k) - F* <= eps; None when the face is not the optimum's."""
        if not eps > 0:
            raise ValueError(f"eps = {eps}: choose a tolerance > 0")
        if not self.on_optimal_face:
            return Predicted(None, None)
        restricted = ista = _steps(self.gap, self.rate.iterate**2, eps)
        if ista > PATIENCE:
            left = self.gap * self.rate.iterate ** (2 * PATIENCE)
            restricted = PATIENCE + _steps(left, self.rate.restricted**2, eps)
        return Predicted(ista, restricted if self.quadratic else None)

    def __str__(self) -> str:
        face, remark = self.face, ""
        if not self.on_optimal_face:
            remark = " (not the face of an optimum)"
        elif self.margin <= 0:
            remark = ": the face need not be identified in finitely many steps"
        head = (
            f"KKT violation {self.violation:.1e}, duality gap {self.duality_gap:.1e}\n"
            f"face of {face.size} free coordinates, margin {self.margin:.2g}{remark}\n"
        )
        if not face.smoothness:
            why = "f has no curvature on the face" if face.size else "the face is a single point"
            return f"{head}L {self.lipschitz:.3g}, no contraction to predict: {why}"
        deficient = ", rank deficient: smallest positive eigenvalue" if face.rank_deficient else ""
        restricted = f", {self.rate.restricted:.6f} (step 1/L_S)" if self.quadratic else ""
        return (
            f"{head}mu_S {face.mu:.3g}, L_S {face.smoothness:.3g}, L {self.lipschitz:.3g}{deficient}\n"
            f"condition number L/mu_S {self.condition:.3g}, L_S/mu_S {face.smoothness / face.mu:.3g}; "
            f"contraction per step {self.rate.iterate:.6f} (step 1/L){restricted}"
        )


def certify(x: Float[np.ndarray, " d"], problem: Problem, tol: float = 1e-10) -> Geometry:
    """Certificate and geometry of the point x, with what is within rounding of a kink or a bound taken to be at it.

    `tol`, relative to max_j |grad_j f(0)|, says which KKT violation counts as an optimum. Raises ValueError for a point
    of another length, with entries that are not finite, or outside the box.
    """
    x = checked_point("x", x, problem)
    require(0 <= tol < np.inf, f"tol = {tol}: choose a tolerance >= 0")
    scale = max(float(jnp.abs(problem.gradient(jnp.zeros_like(x))).max()), np.finfo(float).tiny)
    size = max(float(np.abs(x).max()), scale / float(problem.lipschitz))  # a step of ISTA from zero is that long
    x = np.asarray(problem.regulariser.snapped(x, 4 * np.finfo(float).eps * size))
    violation = float(problem.violation(x))
    if not np.isfinite(violation):
        raise ValueError("x is outside the box: project it first (problem.regulariser.prox(x, 1.0))")
    dual = duality_gap(x, problem)
    polished = polish(problem, x)
    optimal = polished is not None and float(problem.violation(polished)) <= tol * scale
    at = polished if optimal else x
    gap = float(measure(problem, x[None], polished).gap[0]) if optimal else dual
    face, slack = face_geometry(problem, at), margin(problem, at)
    return Geometry(
        violation=violation,
        duality_gap=dual,
        pattern=np.asarray(problem.regulariser.face(x)),
        face=face,
        lipschitz=float(problem.lipschitz),
        margin=slack if abs(slack) > len(x) * np.finfo(float).eps * scale else 0.0,
        rate=local_rate(face, float(problem.lipschitz)),
        on_optimal_face=optimal,
        gap=gap,
        quadratic=isinstance(problem.smooth, Quadratic),
    )


def duality_gap(x: Float[np.ndarray, " d"], problem: Problem) -> float:
    """F(x) minus the value of a feasible dual point; NaN where none is known in closed form, as with a tilt u and l1.

    l1: the scaled residual. With v = -grad f(x) and alpha = min(1, min_j w_j / |v_j|), in Gram terms for least squares
    (elastic net included, as least squares on stacked data): F(x) - alpha (2 f0 - c'x) + alpha^2 f(x).
    That takes f0 to be ||y||^2 / (2n), as `lasso` and `elastic_net` set `constant`, or larger. With a smaller one f is
    negative somewhere and the gap too small: NaN if f is so at x or at the best multiple of c, or the gap itself is.
    box: max_y <grad f(x), x - y> over the box, the Frank-Wolfe gap; NaN where it is infinite, in an unbounded box.
    """
    x, smooth, regulariser = jnp.asarray(checked_point("x", x, problem)), problem.smooth, problem.regulariser
    gradient = problem.gradient(x)
    if isinstance(regulariser, Box):
        ends = jnp.where(gradient > 0, regulariser.lower, regulariser.upper)
        gap = jnp.where(gradient == 0, 0.0, gradient * (x - jnp.where(gradient == 0, x, ends))).sum()
        return float(gap) if jnp.isfinite(gap) else float("nan")
    assert isinstance(regulariser, WeightedL1)
    alpha = jnp.min(jnp.where(gradient == 0, 1.0, regulariser.weights / jnp.abs(gradient)), initial=1.0)
    if isinstance(smooth, Composite):
        if jnp.any(smooth.tilt != 0):
            return float("nan")
        image = smooth.image(x)
        gap = problem.value(x) + smooth.loss.conjugate(alpha * smooth.loss.gradient(image))
        return max(float(gap), 0.0)
    f, c = smooth.value(x, smooth.image(x)), smooth.linear
    gap = problem.value(x) - alpha * (2 * smooth.constant - c @ x) + alpha**2 * f
    along = jnp.where(c.any(), (c @ c) ** 2 / jnp.maximum(c @ smooth.image(c), jnp.finfo(float).tiny), 0.0)
    least = min(f, smooth.constant - along / 2, gap)
    rounding = 1e-10 * (abs(smooth.constant) + abs(c @ x) + problem.value(x))
    return max(float(gap), 0.0) if least >= -rounding else float("nan")


def _steps(gap: float, rate: float, eps: float) -> int:
    if gap <= eps:
        return 0
    if rate <= 0:
        return 1
    return int(np.ceil(np.log(eps / gap) / np.log(rate)))
