"""The implications between restricted conditions, the trajectory certificate, faces and local rates."""

from functools import partial

import numpy as np
import pytest
from traces import svm, trace_of

from trajectory_conv import certify, elastic_net, find_optimum, lasso, measure, nnls, solve
from trajectory_conv.geometry import (
    Face,
    cone_ratio,
    error_bound_from_growth,
    error_bound_from_pl,
    face_geometry,
    fitted_rate,
    global_error_bound,
    growth_from_pl,
    identification,
    identification_radius,
    local_rate,
    margin,
    pl_from_error_bound,
    pl_from_growth,
    restricted_constants,
    smallest_eigenvalues,
    steps_to,
    trajectory_certificate,
)

NAMES = ["gaussian", "ar1_0.7", "spiked_0.3", "power_law"]


def ratios(points):
    """PL, error bound and growth of each point on its own."""
    gap, error, residual, decrease = map(np.asarray, (points.gap, points.error, points.residual, points.decrease))
    return decrease / (2 * gap), residual / error, 2 * gap / error**2


def cloud(optimum, count=1000, seed=0):
    """Points around the optimum, half of them on its support, at very different distances."""
    random = np.random.default_rng(seed)
    moved = random.random((count, len(optimum))) < 0.2
    moved[: count // 2] = optimum != 0
    moves = random.normal(size=moved.shape) * moved
    return optimum + moves * 10 ** random.uniform(-2, 1, size=(count, 1))


@pytest.mark.parametrize("name", NAMES)
def test_growth_and_error_bounds_imply_pl_at_every_point(regression, name):
    problem, optimum = regression(name)[2:]
    lipschitz = float(problem.lipschitz)
    pl, error_bound, growth = ratios(measure(problem, cloud(optimum), optimum))
    assert (pl >= pl_from_growth(growth, lipschitz) * (1 - 1e-9)).all()
    assert (pl >= pl_from_error_bound(error_bound, lipschitz) * (1 - 1e-9)).all()


@pytest.mark.parametrize("name", NAMES)
def test_growth_after_the_step_implies_an_error_bound_before_it(regression, name):
    problem, optimum = regression(name)[2:]
    points, lipschitz = cloud(optimum)[::5], float(problem.lipschitz)
    growth = ratios(measure(problem, np.array([problem.step(x) for x in points]), optimum))[2]
    error_bound = ratios(measure(problem, points, optimum))[1]
    assert (error_bound >= error_bound_from_growth(growth, lipschitz) * (1 - 1e-9)).all()


@pytest.mark.parametrize("name", NAMES)
def test_pl_along_a_trajectory_implies_growth_and_an_error_bound(regression, name):
    """The trajectory and its limit form a closed set that the step maps into itself."""
    problem, optimum = regression(name)[2:]
    measured = restricted_constants(solve(problem, 10_000, optimum=optimum, stop=1e-9))
    assert measured.growth >= growth_from_pl(measured.pl)
    assert measured.error_bound >= error_bound_from_pl(measured.pl, float(problem.lipschitz))
    assert 0 < measured.pl <= float(problem.lipschitz)


@pytest.mark.parametrize("name", NAMES)
def test_one_step_contracts_the_gap_by_the_pl_constant_of_the_point(regression, name):
    problem, optimum = regression(name)[2:]
    points = cloud(optimum)[::5]
    before = measure(problem, points, optimum)
    after = measure(problem, np.array([problem.step(x) for x in points]), optimum)
    allowed = (1 - ratios(before)[0] / float(problem.lipschitz)) * np.asarray(before.gap)
    assert (np.asarray(after.gap) <= allowed + 1e-12 * np.asarray(before.gap)).all()


def test_formulas_of_the_implications():
    assert pl_from_growth(2.0, 3.0) == 0.5 and pl_from_growth(8.0, 3.0) == pytest.approx(3 * (1 - 3 / 8))
    assert pl_from_growth(6.0, 3.0) == pytest.approx(3 * (1 - 3 / 6))  # the two branches meet at q = 2L
    assert 1 / pl_from_error_bound(2.0, 3.0) == pytest.approx(1 / 3 + 2 / 2.0)
    assert growth_from_pl(2.0) == 0.5
    assert 1 / error_bound_from_pl(2.0, 3.0) == pytest.approx(1 / 3 + 4 / 2 * (1 + np.sqrt(1 + 2 / 12)))
    assert error_bound_from_pl(2.0, 3.0) == pytest.approx(error_bound_from_growth(growth_from_pl(2.0), 3.0))


@pytest.mark.parametrize(
    "formula",
    [
        partial(pl_from_growth, lipschitz=3.0),
        partial(pl_from_error_bound, lipschitz=3.0),
        growth_from_pl,
        partial(error_bound_from_pl, lipschitz=3.0),
        partial(error_bound_from_growth, lipschitz=3.0),
    ],
)
def test_implications_take_one_constant_or_one_for_each_point(formula):
    constants = np.array([[0.1, 2.0, 6.0], [6.1, 8.0, 100.0]])
    one_by_one = [[formula(float(value)) for value in row] for row in constants]
    assert all(isinstance(value, float) for row in one_by_one for value in row)
    np.testing.assert_array_equal(formula(constants), one_by_one)
    assert pl_from_growth(np.zeros(2), 3.0).tolist() == [0.0, 0.0]  # no division by q = 0


def test_restricted_constants_are_the_smallest_ratios_and_skip_points_at_the_optimum(regression):
    problem, optimum = regression("gaussian")[2:]
    points = cloud(optimum)
    expected = [ratio.min() for ratio in ratios(measure(problem, points, optimum))]
    with_optimum = measure(problem, np.vstack([points, optimum]), optimum)
    np.testing.assert_allclose(restricted_constants(with_optimum), expected, rtol=1e-12)
    assert restricted_constants(measure(problem, optimum[None], optimum)) == (np.inf, np.inf, np.inf)


@pytest.mark.parametrize("name", NAMES + ["rademacher", "low_rank"])
def test_the_certificate_bounds_every_iterate(regression, name):
    problem, optimum = regression(name)[2:]
    trace = solve(problem, 3000, optimum=optimum)
    bound, mu, condition = trajectory_certificate(problem, trace)
    assert bound[0] == trace.gap[0] and (np.diff(bound) <= 0).all() and bound[-1] < 0.9 * bound[0]
    kept = trace.gap > 1e-13
    assert (trace.gap[kept] <= bound[kept] * (1 + 1e-9)).all()
    np.testing.assert_allclose(condition[mu > 0] * mu[mu > 0], float(problem.lipschitz))
    assert (condition[mu == 0] == np.inf).all() and (np.diff(bound)[mu[:-1] == 0] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_certificate_bounds_the_restricted_step_too(regression, name):
    problem, optimum = regression(name)[2:]
    trace = solve(problem, 3000, "restricted", optimum)
    bound, kept = trajectory_certificate(problem, trace).bound, trace.gap > 1e-13
    assert (trace.gap[kept] <= bound[kept] * (1 + 1e-9)).all() and bound[-1] < 0.9 * bound[0]


@pytest.mark.parametrize("method", ["fista", "restart"])
def test_fista_has_no_certificate(regression, method):
    problem, optimum = regression("gaussian")[2:]
    with pytest.raises(ValueError, match=f"does not hold for {method}.*take ista or restricted"):
        trajectory_certificate(problem, solve(problem, 10, method, optimum))


def test_twice_the_constants_would_be_refuted_by_the_iterates():
    """Along the slowest mode of a diagonal H the gap contracts by (1 - mu/L)^2 > 1 - 2 mu/L per step."""
    g = np.linspace(0.1, 1.0, 6)
    problem = lasso(np.diag(np.sqrt(6 * g)), 3 * np.sqrt(6 * g), 1e-3)
    optimum = 3 - 1e-3 / g
    trace = solve(problem, 100, optimum=optimum, start=optimum + np.eye(6)[0])
    bound, mu, _ = trajectory_certificate(problem, trace)
    np.testing.assert_allclose(mu, 0.1)
    assert (trace.gap <= bound * (1 + 1e-9)).all()
    doubled = trace.gap[0] * (1 - 2 * mu[0] / float(problem.lipschitz)) ** np.arange(100)
    assert (trace.gap[1:] > doubled[1:]).all()


def test_the_certificate_holds_in_a_box():
    problem = svm()
    trace = solve(problem, 3000)
    bound, mu, _ = trajectory_certificate(problem, trace)
    kept = trace.gap > 1e-13
    assert (trace.gap[kept] <= bound[kept] * (1 + 1e-9)).all() and mu[-1] > 0 and bound[-1] < 0.5 * bound[0]
    assert 0 < face_geometry(problem, trace.optimum).size < 60


def test_smallest_eigenvalues_are_those_of_the_blocks(regression):
    problem = regression("gaussian").problem
    hessian = np.asarray(problem.smooth.hessian)
    sets = np.zeros((4, 120), bool)
    sets[1, 7], sets[2, :10], sets[3] = True, True, True
    found = smallest_eigenvalues(problem, sets)
    assert found[0] == np.inf and found[1] == pytest.approx(hessian[7, 7]) and found[3] == 0.0
    assert found[2] == pytest.approx(np.linalg.eigvalsh(hessian[:10, :10])[0])


@pytest.mark.parametrize("name", ["gaussian", "ar1_0.7", "spiked_0.3"])
def test_iterates_contract_at_the_rate_of_the_face(regression, name):
    problem, optimum = regression(name)[2:]
    trace = solve(problem, 5000, optimum=optimum, stop=1e-13)
    face = face_geometry(problem, optimum)
    measured = fitted_rate(trace, identification(problem, trace).permanent)
    excess = (1 - measured) * float(problem.lipschitz) / face.mu
    assert 1 - 1e-3 < excess < 1.15  # faster modes are still mixed in: never slower than the face
    assert face.size == (optimum != 0).sum() and not face.rank_deficient


def test_a_geometric_error_has_its_own_rate_and_a_short_one_has_none():
    fit = partial(fitted_rate, trace_of(np.ones((300, 2)), [1.0, 1.0], 3 * 0.93 ** np.arange(300)))
    assert fit(0) == pytest.approx(0.93, rel=1e-12) and fit(200) == pytest.approx(0.93, rel=1e-12)
    assert fit(280) is None and fit(299) is None
    rounded = trace_of(np.ones((300, 2)), [1.0, 1.0], np.maximum(0.5 ** np.arange(300), 1e-15))
    assert fitted_rate(rounded, 0) == pytest.approx(0.5, rel=1e-12)  # rounding takes over after 40 steps


def test_errors_on_the_identified_face_follow_the_matrix_exactly(regression):
    problem, optimum = regression("ar1_0.7")[2:]
    found = identification(problem, solve(problem, 1000, optimum=optimum)).face
    x = solve(problem, found + 1, optimum=optimum).x
    face = optimum != 0
    matrix = np.eye(face.sum()) - np.asarray(problem.smooth.hessian)[np.ix_(face, face)] / float(problem.lipschitz)
    for _ in range(20):
        following = np.asarray(problem.step(x))
        np.testing.assert_allclose((following - optimum)[face], matrix @ (x - optimum)[face], rtol=0, atol=1e-15)
        assert not following[~face].any()
        x = following


def test_local_rates_follow_from_the_spectrum_of_the_face(regression):
    assert local_rate(Face(3, 1.0, 2.0, False), 4.0) == (0.75, 0.5625, 0.75, 0.5, np.sqrt(0.75))
    problem, optimum = regression("gaussian")[2:]
    face = face_geometry(problem, optimum)
    values = np.linalg.svd(regression("gaussian").matrix[:, optimum != 0], compute_uv=False)
    assert (face.mu, face.smoothness) == pytest.approx((values[-1] ** 2 / 60, values[0] ** 2 / 60))
    assert face.hoffman(60) == pytest.approx(1 / values[-1])


@pytest.mark.parametrize("lam2", [0.0, 0.3])
@pytest.mark.parametrize("copies", [1, 2])
def test_the_hoffman_constant_of_a_face_is_that_of_its_stacked_columns(regression, lam2, copies):
    """[A; sqrt(n lambda_2) I], with which the elastic net is least squares; the smallest positive singular value."""
    matrix, y = regression("gaussian")[:2]
    problem = elastic_net(np.hstack([matrix] * copies), y, 0.1, lam2)
    face = face_geometry(problem, optimum := find_optimum(problem).x)
    stacked = np.vstack([np.hstack([matrix] * copies), np.sqrt(60 * lam2) * np.eye(120 * copies)])[:, optimum != 0]
    values = np.linalg.svd(stacked, compute_uv=False)
    smallest = values[values > 1e-6 * values[0]][-1]
    assert face.rank_deficient == (len(values) > (values > 1e-6 * values[0]).sum())
    assert face.hoffman(60) == pytest.approx(1 / smallest, rel=1e-9)
    assert face.mu == pytest.approx(1 / (60 * face.hoffman(60) ** 2))


def test_an_empty_face_is_reached_in_one_step_and_has_rate_zero():
    problem = lasso(np.eye(3), np.ones(3), 10.0)
    rate = local_rate(face_geometry(problem, np.zeros(3)), float(problem.lipschitz))
    assert rate == (0.0, 0.0, 0.0, 0.0, 0.0)


def test_a_face_without_any_curvature_is_rank_deficient_and_has_no_positive_eigenvalue():
    problem = nnls(np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([-1.0, 0.0]))  # column 2 is zero, x_1 at its bound
    face = face_geometry(problem, np.array([0.0, 1.0]))
    assert face.size == 1 and face.rank_deficient and face.smoothness == 0.0


def test_a_duplicate_column_gives_a_rank_deficient_face_whose_rate_is_that_of_the_range(regression):
    matrix, y = regression("gaussian")[:2]
    j = np.flatnonzero(regression("gaussian").optimum)[0]
    problem = lasso(np.hstack([matrix, matrix[:, [j]]]), y, 0.2)
    optimum = find_optimum(problem).x
    assert optimum[j] != 0 and optimum[-1] != 0
    face, support = face_geometry(problem, optimum), np.flatnonzero(optimum)
    values = np.linalg.eigvalsh(np.asarray(problem.smooth.hessian)[np.ix_(support, support)])
    assert face.rank_deficient and abs(values[0]) < 1e-14 and face.mu == pytest.approx(values[1], rel=1e-10)
    gap = solve(problem, 250, optimum=optimum).gap
    late = (gap > 1e-13) & (gap < 1e-7)
    contraction = (gap[late][-1] / gap[late][0]) ** (1 / (late.sum() - 1))
    assert contraction <= local_rate(face, float(problem.lipschitz)).objective * (1 + 1e-3)


def test_duplicate_columns_make_the_certificate_vacuous_and_one_of_them_can_be_dropped(regression):
    matrix, y, problem, optimum = regression("gaussian")
    j = np.flatnonzero(optimum)[0]
    twice = lasso(np.hstack([matrix, matrix[:, [j]]]), y, 0.2)
    trace = solve(twice, 250)
    bound, mu, condition = trajectory_certificate(twice, trace)
    assert (mu == 0).all() and (condition == np.inf).all() and (bound == trace.gap[0]).all()
    assert trace.gap[-1] < 1e-12 and "rank deficient" in str(certify(trace.x, twice))
    assert float(twice.value(trace.optimum)) == pytest.approx(float(problem.value(optimum)), rel=1e-14)
    assert trajectory_certificate(problem, solve(problem, 250, optimum=optimum)).bound[-1] < 0.1 * trace.gap[0]


def test_there_is_no_global_error_bound_with_more_columns_than_rows(regression):
    """Moving by t along the null space of A: dist / ||R|| grows linearly, beyond any constant."""
    matrix, _, problem, optimum = regression("gaussian")
    null = np.linalg.svd(matrix)[2][-1]
    t = np.array([1e2, 1e3, 1e4, 1e5])
    measured = measure(problem, optimum + t[:, None] * null, optimum)
    ratio = np.asarray(measured.error / measured.residual)
    np.testing.assert_allclose(ratio[1:] / ratio[:-1], 10, rtol=0.1)
    assert ratio[-1] > 1e3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_local_error_bound_at_a_nondegenerate_optimum_is_the_norm_of_the_inverse_derivative(seed):
    random = np.random.default_rng(seed)
    problem = lasso(random.normal(size=(8, 6)), 2 * random.normal(size=8), 0.4)
    optimum, lipschitz = find_optimum(problem).x, float(problem.lipschitz)
    on = optimum != 0
    assert 0 < on.sum() < 6 and margin(problem, optimum) > 1e-3
    jacobian = np.where(on[:, None], np.asarray(problem.smooth.hessian), lipschitz * np.eye(6))  # of the gradient map
    _, _, rows = np.linalg.svd(jacobian)
    worst = np.linalg.norm(np.linalg.inv(jacobian), 2)
    moves = np.vstack([rows[-1], random.normal(size=(1000, 6))])
    moves *= 1e-3 * identification_radius(problem, optimum) / np.linalg.norm(moves, axis=1, keepdims=True)
    measured = measure(problem, optimum + moves, optimum)
    ratio = np.asarray(measured.error / measured.residual)
    assert ratio[0] == pytest.approx(worst, rel=1e-6) and ratio.max() <= worst * (1 + 1e-6)
    assert worst >= 1 / face_geometry(problem, optimum).mu * (1 - 1e-12)


def test_the_cone_ratio_is_off_face_over_on_face_and_zero_once_converged():
    trace = trace_of(np.ones((3, 2)), [1.0, 0.0])._replace(
        off_face=np.array([1.0, 2.0, 1e-13]), on_face=np.array([2.0, 1.0, 1e-12])
    )
    assert cone_ratio(trace).tolist() == [0.5, 2.0, 0.0]


def test_steps_to_a_gap_are_counted_from_the_start():
    gap = np.array([1.0, 0.1, 0.01])
    assert [steps_to(gap, eps) for eps in (2.0, 1.0, 0.5, 0.1, 1e-3)] == [0, 0, 1, 1, None]


def test_asking_for_a_global_error_bound_is_refused_where_there_is_none():
    random = np.random.default_rng(0)
    wide = random.normal(size=(20, 30))
    with pytest.raises(ValueError, match="no global error bound holds.*restrict it to a face"):
        global_error_bound(lasso(wide, wide[:, 0], 0.1))
    twice = np.repeat(random.normal(size=(30, 5)), 2, axis=1)
    with pytest.raises(ValueError, match="dependent columns"):
        global_error_bound(lasso(twice, twice[:, 0], 0.1))


def test_the_global_error_bound_holds_everywhere_for_independent_columns():
    random = np.random.default_rng(0)
    matrix = random.normal(size=(40, 10))
    problem = lasso(matrix, matrix[:, 0] + random.normal(size=40), 0.2)
    optimum = find_optimum(problem).x
    points = optimum + random.normal(size=(2_000, 10)) * 10 ** random.uniform(-3, 3, size=(2_000, 1))
    measured = measure(problem, points, optimum)
    assert (np.asarray(measured.residual / measured.error) >= global_error_bound(problem)).all()
