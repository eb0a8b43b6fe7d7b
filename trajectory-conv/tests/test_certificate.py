"""The duality gap as a bound, predicted against measured iterations, and what `certify` says about a point."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

from trajectory_conv import (
    Box,
    LeastSquares,
    Logistic,
    WeightedL1,
    box_qp,
    certify,
    composite,
    duality_gap,
    elastic_net,
    find_optimum,
    lasso,
    measure,
    nnls,
    solve,
)
from trajectory_conv.certificate import Predicted
from trajectory_conv.geometry import identification_radius, margin, steps_to

N, D = 30, 20
RNG = np.random.default_rng(0)
A = RNG.normal(size=(N, D))
Y = A[:, :4] @ [1.0, -1.0, 2.0, 0.5] + 0.3 * RNG.normal(size=N)
LABELS = jnp.asarray(np.sign(Y))
PROBLEMS = {
    "lasso": lasso(A, Y, 0.2),
    "elastic net": elastic_net(A, Y, 0.1, 0.3),
    "adaptive": elastic_net(A, Y, 0.1, 0.1, RNG.uniform(0.1, 3, size=D)),
    "least squares": composite(LeastSquares(jnp.asarray(Y)), A, WeightedL1(jnp.full(D, 0.2))),
    "logistic": composite(Logistic(LABELS), A, WeightedL1(jnp.full(D, 0.05))),
    "box": box_qp(A.T @ A / N, A.T @ Y / N, -0.5, 0.5),
    "logistic in a box": composite(
        Logistic(LABELS), A, Box(jnp.full(D, -0.5), jnp.full(D, 0.5)), 0.1 * RNG.normal(size=D)
    ),
}
every_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)


def near(problem, optimum, scale, count=20):
    moves = scale * np.random.default_rng(1).normal(size=(count, D))
    return [np.asarray(problem.regulariser.prox(optimum + move, 0.0)) for move in moves]


@every_problem
def test_the_duality_gap_is_never_below_the_true_gap(problem):
    optimum = find_optimum(problem).x
    for scale in (1e-6, 1e-3, 1.0):
        for x in near(problem, optimum, scale):
            true = float(problem.value(x)) - float(problem.value(optimum))
            assert true >= -1e-15 and duality_gap(x, problem) >= true - 1e-14


@every_problem
def test_the_duality_gap_closes_at_the_optimum(problem):
    optimum = find_optimum(problem).x
    gaps = [max(duality_gap(x, problem) for x in near(problem, optimum, scale)) for scale in (1.0, 1e-2, 1e-4)]
    assert gaps[0] > gaps[1] > gaps[2] > 0 and gaps[2] < 1e-2 * gaps[0]
    assert 0 <= duality_gap(optimum, problem) < 1e-13


def test_the_duality_gap_of_the_lasso_is_that_of_the_scaled_residual():
    lam, problem = 0.2, PROBLEMS["lasso"]
    for x in near(problem, np.zeros(D), 1.0):
        residual = (Y - A @ x) / N
        u = residual * min(1.0, lam / np.abs(A.T @ residual).max())
        assert np.abs(A.T @ u).max() <= lam * (1 + 1e-12)
        assert duality_gap(x, problem) == pytest.approx(float(problem.value(x)) - (u @ Y - N / 2 * u @ u), abs=1e-12)
        assert duality_gap(x, PROBLEMS["least squares"]) == pytest.approx(duality_gap(x, problem), abs=1e-12)


def test_the_duality_gap_is_nan_where_no_dual_point_is_known():
    tilted = composite(Logistic(LABELS), A, WeightedL1(jnp.ones(D)), np.ones(D))
    assert np.isnan(duality_gap(np.zeros(D), tilted))
    assert np.isnan(duality_gap(np.zeros(D), nnls(A, Y)))  # some gradient points to infinity


@pytest.mark.parametrize("share", [0.0, 0.5])  # of ||y||^2 / (2n)
def test_the_duality_gap_is_nan_for_a_constant_that_makes_f_negative(share):
    problem = PROBLEMS["lasso"]
    smooth = problem.smooth._replace(constant=share * problem.smooth.constant)
    for x in (np.zeros(D), *near(problem, find_optimum(problem).x, 1.0)):
        assert np.isnan(duality_gap(x, problem._replace(smooth=smooth)))


def test_a_larger_constant_only_loosens_the_duality_gap():
    problem = PROBLEMS["lasso"]
    larger = problem._replace(smooth=problem.smooth._replace(constant=2 * problem.smooth.constant))
    for x in near(problem, find_optimum(problem).x, 1.0):
        assert duality_gap(x, larger) >= duality_gap(x, problem)


@pytest.mark.parametrize("method", Predicted._fields)
@pytest.mark.parametrize("name", ["gaussian", "ar1_0.7", "spiked_0.3"])
def test_predicted_iterations_are_enough_and_not_many_more_than_needed(regression, name, method):
    problem, optimum = regression(name)[2:]
    direction = np.random.default_rng(0).normal(size=120) * (optimum != 0)
    start = optimum + 0.9 * identification_radius(problem, optimum) * direction / np.linalg.norm(direction)
    point = certify(start, problem)
    assert point.on_optimal_face
    assert point.gap == pytest.approx(float(measure(problem, start[None], optimum).gap[0]), rel=1e-6, abs=0)
    gap = solve(problem, 10_000, method, optimum, start, stop=1e-14).gap
    needed, predicted = (
        [count(eps * point.gap) for eps in (0.9, 1e-1, 1e-3, 1e-6, 1e-15)]
        for count in (partial(steps_to, gap), lambda eps: getattr(point.iterations(eps), method))
    )
    assert all(n <= p for n, p in zip(needed, predicted, strict=True)) and predicted[-1] <= 1.2 * needed[-1]


def test_predictions_keep_their_digits_where_the_objective_has_none_left(regression):
    problem, optimum = regression("gaussian")[2:]
    start = optimum + 1e-11 * (optimum != 0)
    true = float(measure(problem, start[None], optimum).gap[0])
    point = certify(start, problem)
    assert 0 < true < 1e-20 and point.gap == pytest.approx(true, rel=1e-2, abs=0)
    assert point.iterations(1e-3 * true).ista > 0


def test_a_point_that_is_good_enough_needs_no_step_and_another_face_gets_no_prediction(regression):
    problem, optimum = regression("gaussian")[2:]
    assert certify(optimum, problem).iterations(1e-10) == (0, 0)
    away = certify(np.ones(120), problem)
    assert not away.on_optimal_face and away.iterations(1e-10) == (None, None)
    assert away.gap == away.duality_gap > float(problem.value(np.ones(120)) - problem.value(optimum))


def test_the_certificate_of_an_optimum_describes_its_face(regression):
    problem, optimum = regression("gaussian")[2:]
    point = certify(optimum, problem)
    block = np.asarray(problem.smooth.hessian)[np.ix_(optimum != 0, optimum != 0)]
    mu, smoothness = np.linalg.eigvalsh(block)[[0, -1]]
    np.testing.assert_array_equal(point.pattern, np.sign(optimum))
    assert (point.face.size, point.face.mu, point.face.smoothness) == pytest.approx((len(block), mu, smoothness))
    assert point.condition == pytest.approx(float(problem.lipschitz) / mu)
    assert point.rate.iterate == pytest.approx(1 - mu / float(problem.lipschitz))
    assert point.on_optimal_face and point.violation < 1e-14 and point.duality_gap < 1e-13
    assert point.margin == margin(problem, optimum) > 0
    assert f"face of {len(block)} free coordinates" in str(point) and f"{point.rate.iterate:.6f}" in str(point)
    assert "rank deficient" not in str(point) and "not the face of an optimum" not in str(point)


def test_a_rank_deficient_face_is_named():
    problem = lasso(np.hstack([A, A]), Y, 0.2)
    point = certify(find_optimum(problem).x, problem)
    assert point.on_optimal_face and point.face.rank_deficient and 0 < point.face.mu
    assert "rank deficient: smallest positive eigenvalue" in str(point)


def test_a_coordinate_on_the_brink_has_margin_zero():
    problem = lasso(np.sqrt(2) * np.eye(2), np.array([1.0, 0.25]) * np.sqrt(2), 0.25)  # c = (1, lambda), H = I
    point = certify(np.array([0.75, 0.0]), problem)
    assert point.on_optimal_face and point.margin == 0.0 and point.violation < 1e-15
    assert "margin 0: the face need not be identified in finitely many steps" in str(point)
    assert identification_radius(problem, np.array([0.75, 0.0])) == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("name", ["box", "nnls", "lasso"])
def test_a_coordinate_within_rounding_of_its_bound_or_kink_is_at_it(name):
    problem = PROBLEMS[name] if name in PROBLEMS else nnls(A, Y)
    optimum = find_optimum(problem).x
    exact, fixed = certify(optimum, problem), ~np.asarray(problem.regulariser.free(problem.regulariser.face(optimum)))
    assert 0 < fixed.sum() < D
    for distance in (1e-17, -1e-17, 1e-16, -1e-16):
        point = certify(np.where(fixed, optimum + distance, optimum), problem)
        np.testing.assert_array_equal(point.pattern, exact.pattern)
        assert point.on_optimal_face and point.face == exact.face and point.margin == pytest.approx(exact.margin)
    inside = certify(np.where(fixed, optimum - 1e-13 * np.sign(optimum - 1e-9), optimum), problem)
    assert inside.face.size == D and not inside.on_optimal_face


def test_zero_as_the_optimum_has_an_empty_face_and_the_rate_zero():
    point = certify(np.zeros(D), lasso(A, Y, 100.0))
    assert point.on_optimal_face and point.face.size == 0 and point.violation == 0.0
    assert point.rate.iterate == point.rate.restricted == 0.0 and point.iterations(1e-10) == (0, 0)
    assert "nan" not in str(point) and "no contraction to predict: the face is a single point" in str(point)


def test_a_point_of_a_face_without_curvature_is_certified():
    problem = box_qp(np.diag([1.0, 0.0]), np.array([0.5, 0.0]), 0.0, 1.0)  # f does not depend on x_2
    point = certify(np.array([0.7, 0.3]), problem)
    assert point.on_optimal_face and point.face.rank_deficient and point.face.mu == 1.0
    assert point.gap == pytest.approx(0.02)
    flat = certify(np.array([0.0, 0.3]), box_qp(np.diag([1.0, 0.0]), np.array([-0.5, 0.0]), 0.0, 1.0))
    assert flat.on_optimal_face and "no contraction to predict: f has no curvature on the face" in str(flat)
    only = certify(np.array([0.0, 0.3]), problem)
    assert not only.on_optimal_face and only.face.size == 1 and only.violation == 0.5


def test_no_restricted_step_is_predicted_where_solve_refuses_it():
    problem = PROBLEMS["logistic"]
    optimum = find_optimum(problem).x
    point = certify(optimum + 1e-6 * (optimum != 0), problem)
    assert point.on_optimal_face and point.iterations(1e-16).ista > 0
    assert point.iterations(1e-16).restricted is None and "1/L_S" not in str(point)


REFUSED = {
    "gap, shape": (lambda: duality_gap(np.zeros(3), PROBLEMS["lasso"]), "give 20 numbers"),
    "tol NaN": (lambda: certify(np.zeros(D), PROBLEMS["lasso"], np.nan), "tol = nan: choose a tolerance >= 0"),
    "shape": (lambda: certify(np.zeros(3), PROBLEMS["lasso"]), "give 20 numbers"),
    "NaN": (lambda: certify(np.full(D, np.nan), PROBLEMS["lasso"]), "not finite"),
    "infinite": (lambda: certify(np.full(D, np.inf), PROBLEMS["lasso"]), "not finite"),
    "outside": (lambda: certify(np.ones(D), PROBLEMS["box"]), "outside the box: project it first"),
    "eps = 0": (lambda: certify(np.zeros(D), PROBLEMS["lasso"]).iterations(0.0), "choose a tolerance > 0"),
    "eps NaN": (lambda: certify(np.zeros(D), PROBLEMS["lasso"]).iterations(np.nan), "choose a tolerance > 0"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_points_and_tolerances_that_make_no_sense_are_refused(make, message, unchecked):
    with pytest.raises(ValueError, match=message):
        make()
