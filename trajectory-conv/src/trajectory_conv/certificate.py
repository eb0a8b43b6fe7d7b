"""`certify`: how far a point is from an optimum of a problem, on which face it lies, and how fast methods go from
there.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int8

from trajectory_conv.geometry import Face, LocalRate, face_geometry, local_rate, margin
from trajectory_conv.problems import Composite, Problem
from trajectory_conv.prox import Box, WeightedL1
from trajectory_conv.solvers import measure, polish


class Predicted(NamedTuple):
    """Steps until F(x_k) - F* <= eps, counted from the point on, if the iterates keep its face."""

    ista: int | None
    """With the step 1 / L, objective rate (1 - mu_S / L)^2."""
    restricted: int | None
    """With the step 1 / L_S."""


@dataclass(frozen=True)
class Geometry:
    """What `certify` found out about a point."""

    violation: float
    """KKT violation, the largest distance of -grad_j f to the subdifferential of g: 0 at an optimum."""
    duality_gap: float
    """An upper bound on F(x) - F*; NaN where no dual point is known in closed form (a tilt u, an unbounded box)."""
    pattern: Int8[np.ndarray, " d"]
    """Sign pattern for l1; -1, 0, 1 for lower bound, free and upper bound of a box."""
    face: Face
    """Size, mu_S, L_S of the face, and whether it is rank deficient (then mu_S is the smallest positive eigenvalue)."""
    lipschitz: float
    """L."""
    margin: float
    """Smallest slack of a coordinate that is not free; <= 0: the face need not be identified in finitely many steps."""
    rate: LocalRate
    """Contraction per step on the face."""
    on_optimal_face: bool
    """Whether Newton's method on the face of x ends in an optimum: then `gap` is F(x) - F*, not a bound."""
    gap: float
    """F(x) - F* if the face is the optimum's, else the duality gap."""

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
        return Predicted(*(_steps(self.gap, rate**2, eps) for rate in (self.rate.iterate, self.rate.restricted)))

    def __str__(self) -> str:
        face = self.face
        deficient = ", rank deficient: smallest positive eigenvalue" if face.rank_deficient else ""
        return (
            f"KKT violation {self.violation:.1e}, duality gap {self.duality_gap:.1e}\n"
            f"face of {face.size} free coordinates, margin {self.margin:.2e}"
            f"{'' if self.on_optimal_face else ' (not the face of an optimum)'}\n"
            f"mu_S {face.mu:.3g}, L_S {face.smoothness:.3g}, L {self.lipschitz:.3g}{deficient}\n"
            f"condition number L/mu_S {self.condition:.3g}, L_S/mu_S {face.smoothness / face.mu:.3g}; "
            f"contraction per step {self.rate.iterate:.6f} (step 1/L), {self.rate.restricted:.6f} (step 1/L_S)"
        )


def certify(x: Float[np.ndarray, " d"], problem: Problem, tol: float = 1e-10) -> Geometry:
    """Certificate and geometry of the point x.

    `tol`, relative to max_j |grad_j f(0)|, says which KKT violation counts as an optimum. Raises ValueError for a point
    of another length, with entries that are not finite, or outside the box.
    """
    x = np.asarray(x, dtype=float)
    if x.shape != (problem.dimension,):
        raise ValueError(f"x has the shape {x.shape}: give {problem.dimension} numbers")
    if not np.isfinite(x).all():
        raise ValueError("x has entries that are not finite")
    violation = float(problem.violation(x))
    if not np.isfinite(violation):
        raise ValueError("x is outside the box: project it first (problem.regulariser.prox(x, 1.0))")
    scale = float(jnp.abs(problem.gradient(jnp.zeros_like(x))).max())
    dual = duality_gap(x, problem)
    polished = polish(problem, x)
    optimal = polished is not None and float(problem.violation(polished)) <= tol * max(scale, np.finfo(float).tiny)
    at = polished if optimal else x
    gap = float(measure(problem, x[None], polished).gap[0]) if optimal else dual
    face = face_geometry(problem, at)
    return Geometry(
        violation=violation,
        duality_gap=dual,
        pattern=np.asarray(problem.regulariser.face(x)),
        face=face,
        lipschitz=float(problem.lipschitz),
        margin=margin(problem, at),
        rate=local_rate(face, float(problem.lipschitz)),
        on_optimal_face=optimal,
        gap=gap,
    )


def duality_gap(x: Float[np.ndarray, " d"], problem: Problem) -> float:
    """F(x) minus the value of a feasible dual point; NaN where none is known in closed form.

    l1: the scaled residual. With v = -grad f(x) and alpha = min(1, min_j w_j / |v_j|), in Gram terms for least squares
    (elastic net included, as least squares on stacked data): F(x) - alpha (2 f0 - c'x) + alpha^2 f(x).
    That takes `constant` to be ||y||^2 / (2n), as `lasso` and `elastic_net` set it.
    box: max_y <grad f(x), x - y> over the box, the Frank-Wolfe gap.
    """
    x, smooth, regulariser = jnp.asarray(x), problem.smooth, problem.regulariser
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
        dual = -smooth.loss.conjugate(alpha * smooth.loss.gradient(image))
    else:
        f = smooth.value(x, smooth.image(x))
        dual = alpha * (2 * smooth.constant - smooth.linear @ x) - alpha**2 * f
    return max(float(problem.value(x) - dual), 0.0)


def _steps(gap: float, rate: float, eps: float) -> int:
    if gap <= eps:
        return 0
    if rate <= 0:
        return 1
    return int(np.ceil(np.log(eps / gap) / np.log(rate)))
