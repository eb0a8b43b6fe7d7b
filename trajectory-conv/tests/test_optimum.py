"""Optima that are found, polished or given: exact to rounding, or warned of, or refused."""

import warnings

import jax.numpy as jnp
import numpy as np
import pytest

from trajectory_conv import (
    DESIGNS,
    Logistic,
    NotConverged,
    WeightedL1,
    box_qp,
    composite,
    elastic_net,
    find_optimum,
    lasso,
    nnls,
    polish,
    solve,
    svm_dual,
)


def relative_violation(problem, x):
    zero = np.zeros(problem.dimension)
    return float(problem.violation(x)) / float(np.abs(problem.gradient(zero)).max())


@pytest.mark.parametrize("name", DESIGNS)
def test_every_design_is_solved_to_rounding(regression, name):
    n, d = (120, 60) if name in ("orthonormal", "diagonal") else (60, 120)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = find_optimum(regression(name, n, d).problem)
    assert relative_violation(regression(name, n, d).problem, found.x) <= 1e-13
    assert found.violation == float(regression(name, n, d).problem.violation(found.x))


def degenerate():
    random = np.random.default_rng(0)
    a = random.normal(size=(60, 60))
    y = a[:, 0] - a[:, 1] + 0.1 * random.normal(size=60)
    labels = np.sign(y)
    return {
        "duplicate columns": lasso(np.hstack([a, a]), y, 0.1),
        "opposite columns": lasso(np.hstack([a, -a]), y, 0.1),
        "zero columns": lasso(np.hstack([a, 0 * a]), y, 0.1),
        "all zero at the optimum": lasso(np.hstack([a, 2 * a]), y, 10.0),
        "y = 0": lasso(np.hstack([a, 2 * a]), 0 * y, 0.1),
        "elastic net": elastic_net(np.hstack([a, a]), y, 0.1, 0.1),
        "nnls": nnls(np.hstack([a, a]), y),
        "svm": svm_dual(a[:, :10] @ a[:, :10].T, labels, 0.05),
        "box with fixed coordinates": box_qp(a.T @ a / 60, a.T @ y / 60, np.where(y > 0, -1, 0.3), 0.3),
        "logistic": composite(Logistic(jnp.asarray(labels)), np.hstack([a, a]), WeightedL1(jnp.full(120, 0.05))),
    }


@pytest.mark.parametrize("name", degenerate())
def test_degenerate_problems_are_solved_to_rounding(name):
    problem = degenerate()[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = find_optimum(problem)
    assert float(problem.violation(found.x)) <= 1e-13 * float(np.abs(problem.gradient(np.zeros(len(found.x)))).max())
    assert np.isfinite(found.x).all()


def test_an_unfinished_search_warns_with_the_certificate_and_returns_its_best_point(regression):
    problem = regression("low_rank").problem
    with pytest.warns(UserWarning, match=r"not converged in 20 steps: KKT violation .*asked for .*allow more"):
        found = find_optimum(problem, iterations=20)
    assert found.iterations == 20 and found.violation == float(problem.violation(found.x)) > 1e-6
    assert float(problem.value(found.x)) < float(problem.value(np.zeros(120)))


def test_polishing_a_point_on_the_right_face_gives_the_optimum_and_never_leaves_the_face(regression):
    problem, optimum = regression("gaussian")[2:]
    np.testing.assert_allclose(polish(problem, 1.3 * optimum), optimum, rtol=0, atol=1e-14)
    assert polish(problem, np.full(120, 1e-3)) is None  # the minimiser on that face has other signs
    wrong = np.where(np.arange(120) == np.abs(optimum).argmax(), optimum, 0.0)
    polished = polish(problem, wrong)
    np.testing.assert_array_equal(np.sign(polished), np.sign(wrong))
    assert np.abs((problem.gradient(polished) + problem.regulariser.slope(polished))[wrong != 0]).max() < 1e-14
    assert relative_violation(problem, polished) > 1e-2  # best on its face, not an optimum


def test_an_optimum_that_is_nearly_right_is_polished(regression):
    problem, optimum = regression("gaussian")[2:]
    exact = solve(problem, 100, optimum=optimum)
    for rough in (optimum * (1 + 1e-9), optimum * 1.01):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            trace = solve(problem, 100, optimum=rough)
        np.testing.assert_allclose(trace.optimum, optimum, rtol=0, atol=1e-15)
        np.testing.assert_allclose(trace.gap, exact.gap, rtol=1e-6, atol=1e-22)
    assert solve(problem, 1, optimum=optimum).optimum is optimum


def nearly_at_a_bound(multiplier):
    """x_2 is free, and all but 0, where it belongs with this multiplier: on its face there is no optimum to go to."""
    return box_qp(np.eye(2), np.array([1.0, -multiplier]), 0.0, 2.0), np.array([1.0, 1e-18])


@pytest.mark.parametrize(("multiplier", "warned"), [(1e-8, True), (1e-11, True), (1e-14, False)])
def test_an_optimum_that_stays_rough_is_warned_of(multiplier, warned):
    problem, rough = nearly_at_a_bound(multiplier)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trace = solve(problem, 10, optimum=rough)
    np.testing.assert_array_equal(trace.optimum, rough)
    assert [found.category for found in caught] == [NotConverged] * warned
    if warned:
        assert f"KKT violation is {multiplier:.1e}, more than 1.0e-12; gaps and bounds" in str(caught[0].message)


def test_an_optimum_that_stays_rougher_is_refused():
    problem, rough = nearly_at_a_bound(1e-5)
    with pytest.raises(ValueError, match="the optimum given is none: its KKT violation is 1.0e-05"):
        solve(problem, 10, optimum=rough)


def test_what_an_unfinished_search_returns_can_be_measured_against(regression):
    """An optimum that its finder warned of is not refused, and the run warns of it as well."""
    problem = regression("low_rank").problem
    with pytest.warns(NotConverged, match="not converged"):
        rough = find_optimum(problem, tol=1e-30).x
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solve(problem, 10, optimum=rough)  # as exact as floats are
