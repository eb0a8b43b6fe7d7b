"""Restricted geometry: of a set of points, of a face, along a trajectory (paper, sections 2.1 to 3.3).

Three conditions on a set K, with dist the distance to the optima X*, R(x) = L (x - T(x)) and D(x) the best decrease of
the prox-gradient model (`Trace.decrease`; ||grad f||^2 where g = 0). All constants have the unit of curvature:

    restricted PL                 D(x) / 2 >= mu (F(x) - F*)
    restricted error bound        dist(x, X*) <= ||R(x)|| / nu
    restricted quadratic growth   F(x) - F* >= (q / 2) dist(x, X*)^2

The paper's own constants in the implications between them are not known to us; those below are OURS, derived for convex
L-smooth f and convex g and checked numerically in the tests and in the experiment `theory`.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int8

from trajectory_conv.problems import Problem, Quadratic
from trajectory_conv.solvers import Scalars, Trace

ROUNDING = 1e-9
"""Gaps below this give no constants: D(x) is a difference there and has no digits left (ours)."""


class Constants(NamedTuple):
    """The largest constants with which the three conditions hold on some points."""

    pl: float
    error_bound: float
    growth: float


def restricted_constants(points: Scalars | Trace, least_gap: float = ROUNDING) -> Constants:
    """min over points of D / (2 gap), ||R|| / dist and 2 gap / dist^2; infinite when no point has gap > `least_gap`.

    dist is taken to the one optimum that the points were measured against: it has to be unique.
    """
    kept = np.asarray(points.gap) > least_gap
    gap, error, residual, decrease = (
        np.asarray(values)[kept] for values in (points.gap, points.error, points.residual, points.decrease)
    )
    return Constants(
        *(
            float(np.min(ratio, initial=np.inf))
            for ratio in (decrease / (2 * gap), residual / error, 2 * gap / error**2)
        )
    )


Constant = float | Float[np.ndarray, "*points"]
"""One constant, or one for each of several points."""


def pl_from_growth(growth: Constant, lipschitz: float) -> Constant:
    """Quadratic growth q on K => PL on K with mu = q / 4 for q <= 2L, else L (1 - L / q). Pointwise (ours)."""
    strong = lipschitz * (1 - lipschitz / np.maximum(growth, 2 * lipschitz))
    return np.where(growth <= 2 * lipschitz, growth / 4, strong)[()]  # [()]: a float for a float


def pl_from_error_bound(error_bound: Constant, lipschitz: float) -> Constant:
    """Error bound nu on K => PL on K with 1 / mu = 1 / L + 2 / nu. Pointwise (ours)."""
    return lipschitz * error_bound / (2 * lipschitz + error_bound)


def growth_from_pl(pl: Constant) -> Constant:
    """PL mu on a closed K with T(K) in K => quadratic growth mu / 4 (ours; theorem 2's path argument)."""
    return pl / 4


def error_bound_from_pl(pl: Constant, lipschitz: float) -> Constant:
    """PL mu on a closed K with T(K) in K => error bound, 1 / nu = 1 / L + (4 / mu) (1 + sqrt(1 + mu / (4 L)))
    (ours).
    """
    return 1 / (1 / lipschitz + 4 / pl * (1 + np.sqrt(1 + pl / (4 * lipschitz))))


def error_bound_from_growth(growth: Constant, lipschitz: float) -> Constant:
    """Quadratic growth q at T(x) => error bound at x, 1 / nu = 1 / L + (1 + sqrt(1 + q / L)) / q (ours)."""
    return 1 / (1 / lipschitz + (1 + np.sqrt(1 + growth / lipschitz)) / growth)


def global_error_bound(problem: Problem) -> float:
    """nu with dist(x, x*) <= ||R(x)|| / nu for ALL x, from the quadratic growth of a positive definite H.

    ValueError where H is singular, so always for a LASSO with d > n: dist / ||R|| then grows without limit along the
    null space of A, and only restricted constants exist.
    """
    if not isinstance(problem.smooth, Quadratic):
        raise ValueError("a global error bound needs a quadratic f: measure restricted_constants instead")
    values = np.linalg.eigvalsh(np.asarray(problem.smooth.hessian))
    if values[0] <= len(values) * np.finfo(float).eps * values[-1]:
        raise ValueError(
            "H is singular (d > n, or dependent columns): no global error bound holds, dist / ||R|| grows without "
            "limit along its null space; restrict it to a face (face_geometry) or a trajectory (restricted_constants)"
        )
    return error_bound_from_growth(float(values[0]), float(problem.lipschitz))


class Face(NamedTuple):
    """The geometry of a face S: what a method that stays on it sees."""

    size: int
    mu: float
    """mu_S, the smallest eigenvalue of H_SS (the smallest positive one where the face is rank deficient)."""
    smoothness: float
    """L_S, the largest one."""
    rank_deficient: bool

    def hoffman(self, n: int) -> float:
        """H_S = 1 / sigma_min(A_S) for H = A'A / n, so mu_S = 1 / (n H_S^2); the smallest positive sigma if A_S is rank
        deficient.

        For the elastic net A is the stacked matrix [A; sqrt(n lambda_2) I], whose sigma_min^2 is n lambda_2 larger.
        """
        return 1 / np.sqrt(n * self.mu)


def face_geometry(problem: Problem, x: Float[np.ndarray, " d"]) -> Face:
    """The face of x, with the Hessian at x (which only matters for losses that are not quadratic)."""
    regulariser = problem.regulariser
    free = np.asarray(regulariser.free(regulariser.face(x)))
    hessian = np.asarray(problem.smooth.curvature(x))[np.ix_(free, free)]
    if not free.any():
        return Face(0, np.inf, 0.0, False)
    values = np.linalg.eigvalsh(hessian)
    positive = values[values > len(values) * np.finfo(float).eps * values[-1]]
    mu = float(positive[0]) if len(positive) else np.inf
    return Face(len(values), mu, float(positive[-1]) if len(positive) else 0.0, len(positive) < len(values))


def smallest_eigenvalues(problem: Problem, sets: Bool[np.ndarray, "sets d"]) -> Float[np.ndarray, " sets"]:
    """lambda_min(H_SS) for each set S of coordinates; 0 where H_SS is singular, infinite for the empty set."""
    if not isinstance(problem.smooth, Quadratic):
        raise ValueError(
            "the curvature of faces is constant for a quadratic f only: measure restricted_constants instead"
        )
    hessian = np.asarray(problem.smooth.hessian)
    smallest = np.full(len(sets), np.inf)
    for number, members in enumerate(sets):
        if members.any():
            values = np.linalg.eigvalsh(hessian[np.ix_(members, members)])
            smallest[number] = values[0] if values[0] > len(values) * np.finfo(float).eps * values[-1] else 0.0
    return smallest


class TrajectoryCertificate(NamedTuple):
    """What the faces visited so far allow: delta_k <= bound_k, from k = 0 on."""

    bound: Float[np.ndarray, " steps"]
    """delta_0 prod_{j<k} (1 - mu_j / L)."""
    mu: Float[np.ndarray, " steps"]
    """mu_k = lambda_min(H_{S_k S_k}) with S_k the coordinates that are free at x_k or x*, or differ between them."""
    condition: Float[np.ndarray, " steps"]
    """kappa_k = L / mu_k, the effective condition number (infinite while mu_k = 0)."""


def trajectory_certificate(problem: Problem, trace: Trace) -> TrajectoryCertificate:
    """The product rate of the paper (corollaries 1 and 2) with the constants of the faces, valid for ISTA and the
    restricted step from k = 0.

    F restricted to the points that differ from x* on S_k only is mu_k-strongly convex, which gives restricted PL there:
    no sign has to be stable. |S_k| > n gives mu_k = 0 and the factor 1. An accepted restricted step lowers the model
    with L_S <= L, which bounds F there, at least as far as the step 1/L lowers that with L: the same bound holds.

    Two equal columns make it vacuous: ISTA from zero moves both or none of them, and while they are in S_k, mu_k = 0
    and the bound stays where it is. The gap goes on falling: `certify` calls such a face rank deficient and predicts
    with the smallest positive eigenvalue of H_SS. The LASSO has the same F* without one of the two: drop it.

    Raises ValueError for a trace of FISTA, with or without restart: F may rise from one step to the next.
    """
    if trace.method not in ("ista", "restricted"):
        raise ValueError(f"the certificate does not hold for {trace.method}, whose F may rise: take ista or restricted")
    mu = smallest_eigenvalues(problem, moving(problem, trace))[trace.face]
    contraction = 1 - np.minimum(mu / float(problem.lipschitz), 1.0)
    bound = trace.gap[0] * np.cumprod(np.r_[1.0, contraction[:-1]])
    with np.errstate(divide="ignore"):
        return TrajectoryCertificate(bound, mu, float(problem.lipschitz) / mu)


def moving(problem: Problem, trace: Trace) -> Bool[np.ndarray, "faces d"]:
    """For each face of the trace the coordinates that are free there or at the optimum, or differ between the two."""
    regulariser = problem.regulariser
    final = np.asarray(regulariser.face(trace.optimum))
    return np.asarray(regulariser.free(trace.faces) | regulariser.free(final) | (trace.faces != final))


class Identification(NamedTuple):
    """When the face of the optimum is found; None where the trace is too short. `first` may come long before it
    stays.
    """

    first: int | None
    """min {k: free coordinates of x_k = those of x*}: what the authors report."""
    permanent: int | None
    """min {k: the same for all later iterates}."""
    face: int | None
    """The same for the whole face, signs and bounds included."""


def identification(problem: Problem, trace: Trace) -> Identification:
    """First and permanent identification of the optimum's face."""
    final: Int8[np.ndarray, " d"] = np.asarray(problem.regulariser.face(trace.optimum))
    free = np.asarray(problem.regulariser.free(final))
    same_free = (np.asarray(problem.regulariser.free(trace.faces)) == free).all(axis=1)[trace.face]
    same_face = (trace.faces == final).all(axis=1)[trace.face]
    first = int(same_free.argmax()) if same_free.any() else None
    return Identification(first, _permanent(same_free), _permanent(same_face))


def _permanent(holds: Bool[np.ndarray, " steps"]) -> int | None:
    """The first index from which on all are true."""
    if not holds[-1]:
        return None
    return int(len(holds) - holds[::-1].argmin()) if not holds.all() else 0


def margin(problem: Problem, optimum: Float[np.ndarray, " d"]) -> float:
    """Strict complementarity: the smallest slack of a coordinate that is not free at the optimum.

    For l1 min_{j not in S*} (w_j - |grad_j f(x*)|). Finite identification is promised for margin > 0; infinite when all
    coordinates are free.
    """
    return float(problem.regulariser.slack(optimum, problem.gradient(optimum)).min())


def identification_radius(problem: Problem, optimum: Float[np.ndarray, " d"]) -> float:
    """r such that ||x_k - x*||_2 < r puts the next ISTA iterate, and all later ones, on the face of x* (ours).

    I - H/L is nonexpansive, so z = x - grad f(x)/L is within r of z*: margin / L keeps the others at their kink, the
    distance of a free x*_j to the nearest kink or bound keeps it free. Errors of ISTA never grow.
    """
    regulariser = problem.regulariser
    free = np.asarray(regulariser.free(regulariser.face(optimum)))
    room = float(np.min(np.asarray(regulariser.room(optimum))[free], initial=np.inf))
    return min(margin(problem, optimum) / float(problem.lipschitz), room)


def cone_ratio(trace: Trace) -> Float[np.ndarray, " steps"]:
    """||D_{S^c}||_1 / ||D_S||_1 with D = x_k - x* and S the support of x*; 0 where ||D_S||_1 <= 1e-12, as the authors
    do.
    """
    converged = trace.on_face <= 1e-12
    return np.where(converged, 0.0, trace.off_face / np.where(converged, 1.0, trace.on_face))


class LocalRate(NamedTuple):
    """Contraction per step on the face S of the optimum, once the iterates stay there."""

    iterate: float
    """1 - mu_S / L: ||x_{k+1} - x*|| / ||x_k - x*|| in the limit, as e_{k+1} = (I - H_SS / L) e_k exactly."""
    objective: float
    """(1 - mu_S / L)^2, for F(x_k) - F*; twice the certified exponent."""
    certified: float
    """1 - mu_S / L, what restricted PL promises for F(x_k) - F*."""
    restricted: float
    """1 - mu_S / L_S: iterates with the step 1 / L_S."""
    fista: float
    """sqrt(1 - mu_S / L): iterates of FISTA as its momentum goes to 1, an upper value."""


def local_rate(face: Face, lipschitz: float) -> LocalRate:
    """Predicted rates."""
    if np.isinf(face.mu):  # nothing moves, or nothing is curved: the first step decides
        return LocalRate(0.0, 0.0, 0.0, 0.0, 0.0)
    rate, restricted = max(1 - face.mu / lipschitz, 0.0), max(1 - face.mu / face.smoothness, 0.0)
    return LocalRate(rate, rate**2, rate, restricted, float(np.sqrt(rate)))


def fitted_rate(trace: Trace, start: int, least: int = 10, floor: float = 1e-12) -> float | None:
    """Measured contraction of the iterates per step, from the last part of the trace; None with too few steps.

    Least-squares slope of log ||x_k - x*|| over the last third (ours; earlier steps mix faster modes) of the steps
    after `start` and before ||x_k - x*|| first falls below `floor` times max(1, ||x*||), where rounding takes over.
    """
    small = trace.error < floor * max(1.0, float(np.linalg.norm(trace.optimum)))
    end = int(small.argmax()) if small.any() else len(trace.error)
    begin = end - (end - start) // 3
    if end - begin < least:
        return None
    slope = np.polyfit(np.arange(begin, end), np.log(trace.error[begin:end]), 1)[0]
    return float(np.exp(slope))


def steps_to(gap: Float[np.ndarray, " steps"], eps: float) -> int | None:
    """First k with F(x_k) - F* <= eps."""
    reached = gap <= eps
    return int(reached.argmax()) if reached.any() else None
