"""Problems against third-party solvers of the same objective, losses against their definitions."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from sklearn import linear_model
from sklearn.svm import LinearSVC

from trajectory_conv import (
    Box,
    LeastSquares,
    Logistic,
    WeightedL1,
    box_qp,
    composite,
    elastic_net,
    find_optimum,
    lasso,
    nnls,
    svm_dual,
)
from trajectory_conv.problems import adaptive_weights, ridge

N, D = 30, 20
RNG = np.random.default_rng(0)
A = RNG.normal(size=(N, D))
Y = A[:, :4] @ [1.0, -1.0, 2.0, 0.5] + 0.3 * RNG.normal(size=N)
LABELS = np.sign(Y + 0.5 * RNG.normal(size=N))
POINTS = RNG.normal(size=(5, D))
EXACT = {"fit_intercept": False, "tol": 1e-15, "max_iter": 100_000}


def optimum(problem):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # not converged
        return find_optimum(problem).x


def value(problem, x):
    return float(problem.value(x))


@pytest.mark.parametrize("lam", [0.01, 0.1, 0.5])
def test_lasso_has_the_objective_and_the_optimum_of_scikit_learn(lam):
    problem = lasso(A, Y, lam)
    for b in POINTS:
        expected = ((A @ b - Y) ** 2).sum() / (2 * N) + lam * np.abs(b).sum()
        assert value(problem, b) == pytest.approx(expected, rel=1e-14)
    expected = linear_model.Lasso(lam, **EXACT).fit(A, Y).coef_
    np.testing.assert_allclose(optimum(problem), expected, rtol=0, atol=1e-10)
    assert 0 < (expected != 0).sum()


@pytest.mark.parametrize(("alpha", "l1_ratio"), [(0.2, 0.5), (1.0, 0.1)])
def test_elastic_net_has_the_objective_and_the_optimum_of_scikit_learn(alpha, l1_ratio):
    lam1, lam2 = alpha * l1_ratio, alpha * (1 - l1_ratio)
    problem = elastic_net(A, Y, lam1, lam2)
    for b in POINTS:
        expected = ((A @ b - Y) ** 2).sum() / (2 * N) + lam1 * np.abs(b).sum() + lam2 / 2 * (b**2).sum()
        assert value(problem, b) == pytest.approx(expected, rel=1e-14)
    expected = linear_model.ElasticNet(alpha, l1_ratio=l1_ratio, **EXACT).fit(A, Y).coef_
    np.testing.assert_allclose(optimum(problem), expected, rtol=0, atol=1e-10)


def test_adaptive_lasso_is_the_lasso_of_rescaled_columns():
    weights = adaptive_weights(ridge(A, Y))
    rescaled = linear_model.Lasso(0.1, **EXACT).fit(A / weights, Y).coef_ / weights
    np.testing.assert_allclose(optimum(lasso(A, Y, 0.1, weights)), rescaled, rtol=0, atol=1e-10)


def test_adaptive_weights_and_their_ridge_start_are_the_authors():
    b = ridge(A, Y)
    np.testing.assert_allclose(2 * A.T @ (A @ b - Y) + 2 * b, 0, atol=1e-10)  # ||y - Ab||^2 + ||b||^2
    np.testing.assert_allclose(b, linear_model.Ridge(1.0, fit_intercept=False).fit(A, Y).coef_, atol=1e-10)
    raw = np.array([1 / (abs(entry) + 1e-5) for entry in b])
    np.testing.assert_allclose(adaptive_weights(b), raw / np.mean(raw), rtol=1e-14)


@pytest.mark.parametrize("columns", [D, 40])
def test_nnls_agrees_with_scipy(columns):
    matrix = np.random.default_rng(1).normal(size=(N, columns))
    b, norm = scipy.optimize.nnls(matrix, Y)
    problem = nnls(matrix, Y)
    found = optimum(problem)
    assert value(problem, found) == pytest.approx(norm**2 / (2 * N), abs=1e-13)
    np.testing.assert_allclose(found, b, atol=1e-10)
    assert (found >= 0).all() and (found == 0).any() and (found > 0).any()


def test_the_svm_dual_closes_the_gap_to_the_primal_of_linear_svc():
    c = 0.1
    a = optimum(dual := svm_dual(A @ A.T, LABELS, c))
    model = LinearSVC(C=c, loss="hinge", fit_intercept=False, tol=1e-10, max_iter=10_000_000).fit(A, LABELS)
    w = model.coef_.ravel()
    primal = w @ w / 2 + c * np.maximum(1 - LABELS * (A @ w), 0).sum()
    assert primal == pytest.approx(-value(dual, a), abs=1e-8)
    np.testing.assert_allclose(A.T @ (a * LABELS), w, atol=1e-7)
    assert ((0 < a) & (a < c)).any() and (a == 0).any() and (a == c).any()


def test_l1_logistic_regression_has_the_optimum_of_scikit_learn():
    lam = 0.05
    b = optimum(problem := composite(Logistic(jnp.asarray(LABELS)), A, WeightedL1(jnp.full(D, lam))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the name of the l1 penalty changes with scikit-learn
        model = linear_model.LogisticRegression(
            C=1 / (N * lam), penalty="l1", solver="liblinear", fit_intercept=False, tol=1e-12, max_iter=100_000
        ).fit(A, LABELS)
    expected = model.coef_.ravel()
    assert value(problem, b) == pytest.approx(value(problem, expected), abs=1e-10)
    np.testing.assert_allclose(b, expected, atol=1e-5)
    assert value(problem, POINTS[0]) == pytest.approx(
        np.log1p(np.exp(-LABELS * (A @ POINTS[0]))).mean() + lam * np.abs(POINTS[0]).sum()
    )


PROBLEMS = {
    "elastic net": elastic_net(A, Y, 0.1, 0.3),
    "box": box_qp(A.T @ A / N, A.T @ Y / N, -1.0, 1.0),
    "least squares": composite(LeastSquares(jnp.asarray(Y)), A, WeightedL1(jnp.ones(D)), RNG.normal(size=D)),
    "logistic": composite(Logistic(jnp.asarray(LABELS)), A, WeightedL1(jnp.ones(D)), RNG.normal(size=D)),
}


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_gradients_and_hessians_are_those_of_automatic_differentiation(problem):
    def f(x):
        return problem.smooth.value(x, problem.smooth.image(x))

    for x in POINTS:
        np.testing.assert_allclose(problem.gradient(x), jax.grad(f)(jnp.asarray(x)), atol=1e-12)
        np.testing.assert_allclose(problem.smooth.curvature(x), jax.hessian(f)(jnp.asarray(x)), atol=1e-12)


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_divergence_is_the_bregman_distance_of_f(problem):
    f, x_star = problem.smooth, POINTS[0]
    at_optimum = f.image(x_star)
    for x in POINTS[1:]:
        naive = f.value(x, f.image(x)) - f.value(x_star, at_optimum) - problem.gradient(x_star) @ (x - x_star)
        assert float(f.divergence(x - x_star, f.image(x), at_optimum)) == pytest.approx(float(naive), rel=1e-12)


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_l_bounds_every_curvature_and_is_attained_by_quadratics(problem):
    largest = [np.linalg.eigvalsh(problem.smooth.curvature(x))[-1] for x in POINTS]
    assert max(largest) <= float(problem.lipschitz) * (1 + 1e-12)
    if problem is PROBLEMS["logistic"]:
        at_zero = np.linalg.eigvalsh(problem.smooth.curvature(np.zeros(D)))[-1]  # where h'' = 1/4
        assert float(problem.lipschitz) == pytest.approx(at_zero)
    else:
        np.testing.assert_allclose(largest, float(problem.lipschitz))


def test_least_squares_as_a_composite_is_the_quadratic_problem():
    quadratic, general = lasso(A, Y, 0.1), composite(LeastSquares(jnp.asarray(Y)), A, WeightedL1(jnp.full(D, 0.1)))
    for x in POINTS:
        assert value(general, x) == pytest.approx(value(quadratic, x), rel=1e-13)
        np.testing.assert_allclose(general.step(x), quadratic.step(x), atol=1e-13)
    np.testing.assert_allclose(optimum(general), optimum(quadratic), atol=1e-12)


def test_compiled_code_cannot_mistake_one_kind_of_problem_for_another():
    """Registered dataclasses of equal layout compare equal in some versions of JAX: jit then takes the wrong code."""
    kinds = [jax.tree.structure(part) for part in (
        LeastSquares(jnp.ones(3)), Logistic(jnp.ones(3)), WeightedL1(jnp.ones(3)), Box(jnp.ones(3), jnp.ones(3)),
        PROBLEMS["box"].smooth, PROBLEMS["logistic"].smooth, PROBLEMS["least squares"].smooth, *PROBLEMS.values(),
    )]  # fmt: skip
    for i, kind in enumerate(kinds):
        assert [j for j, other in enumerate(kinds) if other == kind] == [i]


@pytest.mark.parametrize("loss", [LeastSquares(jnp.asarray(Y)), Logistic(jnp.asarray(LABELS))])
def test_conjugates_satisfy_fenchel_young_with_equality_only_at_the_gradient(loss):
    for z, other in zip(POINTS @ A.T, -POINTS @ A.T / 2, strict=True):
        u = loss.gradient(z)
        assert float(loss.value(z) + loss.conjugate(u)) == pytest.approx(float(u @ z), abs=1e-12)
        assert float(loss.value(other) + loss.conjugate(u)) > float(u @ other) + 1e-3


@pytest.mark.parametrize("loss", [LeastSquares(jnp.asarray(Y)), Logistic(jnp.asarray(LABELS))])
def test_conjugates_are_suprema(loss):
    u = np.asarray(0.7 * loss.gradient(POINTS[0] @ A.T))
    sup = scipy.optimize.minimize(
        lambda z: float(loss.value(z)) - u @ z, np.zeros(N), jac=lambda z: np.asarray(loss.gradient(z)) - u, tol=1e-10
    )
    assert float(loss.conjugate(u)) == pytest.approx(-sup.fun, abs=1e-7)


def test_the_conjugate_of_the_logistic_loss_is_zero_at_the_ends_of_its_domain():
    loss = Logistic(jnp.asarray(LABELS))
    assert float(loss.conjugate(np.zeros(N))) == 0.0 and float(loss.conjugate(-LABELS / N)) == 0.0


def test_losses_take_lists_and_one_number_stands_for_all_weights_or_bounds():
    plain = composite(LeastSquares(jnp.asarray(Y)), A, WeightedL1(jnp.full(D, 0.2)))
    short = composite(LeastSquares(Y.tolist()), A, WeightedL1(0.2))
    np.testing.assert_allclose(optimum(short), optimum(plain), rtol=0, atol=1e-13)
    boxed = composite(LeastSquares(Y.tolist()), A, Box([-0.5] * D, 0.5))
    np.testing.assert_allclose(optimum(boxed), optimum(box_qp(H, C, -0.5, 0.5)), rtol=0, atol=1e-12)


FLAT = np.diag([1.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("hessian", "linear", "lower", "upper", "bounded"),
    [
        (FLAT, [1.0, 1.0, 0.0], -np.inf, np.inf, False),
        (FLAT, [1.0, 0.0, 0.0], -np.inf, np.inf, True),
        (FLAT, [1.0, 1.0, 0.0], 0.0, np.inf, False),
        (FLAT, [1.0, -1.0, 0.0], 0.0, np.inf, True),
        (FLAT, [1.0, 1.0, 1.0], 0.0, [1.0, 1.0, np.inf], False),
        (FLAT, [1.0, 1.0, -1.0], 0.0, [1.0, 1.0, np.inf], True),
        (np.ones((3, 3)), [1.0, 0.0, 0.0], -np.inf, np.inf, False),
        (np.ones((3, 3)), [1.0, 0.0, 0.0], 0.0, np.inf, True),  # Hv = 0 needs both signs
    ],
)
def test_a_quadratic_programme_without_an_optimum_is_refused(hessian, linear, lower, upper, bounded):
    linear = np.array(linear)
    upper = np.array(upper) if isinstance(upper, list) else upper
    if bounded:
        assert np.isfinite(optimum(box_qp(hessian, linear, lower, upper))).all()
    else:
        with pytest.raises(ValueError, match="falls without limit.*give bounds that stop it"):
            box_qp(hessian, linear, lower, upper)


H, C = A.T @ A / N, A.T @ Y / N
LOSS = LeastSquares(jnp.asarray(Y))
BAD = {
    "NaN in A": (lambda: lasso(np.where(A > 2, np.nan, A), Y, 0.1), "A has entries that are not finite"),
    "infinite y": (lambda: lasso(A, np.full(N, np.inf), 0.1), "y has entries that are not finite"),
    "lambda 0": (lambda: lasso(A, Y, 0.0), "lambda = 0.0: choose an l1 penalty > 0"),
    "lambda < 0": (lambda: lasso(A, Y, -1.0), "choose an l1 penalty > 0"),
    "lambda NaN": (lambda: lasso(A, Y, np.nan), "choose an l1 penalty > 0"),
    "lambda_2 < 0": (lambda: elastic_net(A, Y, 0.1, -0.1), "choose an l2 penalty >= 0"),
    "weight 0": (lambda: lasso(A, Y, 0.1, np.r_[0.0, np.ones(D - 1)]), "choose weights > 0"),
    "few weights": (lambda: lasso(A, Y, 0.1, np.ones(3)), "3 weights for 20 columns"),
    "short y": (lambda: lasso(A, Y[1:], 0.1), "A has 30 rows and y 29 entries"),
    "flat A": (lambda: lasso(Y, Y, 0.1), "A has 1 dimensions: give 2"),
    "empty A": (lambda: lasso(np.empty((0, 3)), Y, 0.1), "A is empty"),
    "zero A": (lambda: lasso(0 * A, Y, 0.1), "the data are all zero"),
    "asymmetric H": (lambda: box_qp(H + np.triu(H), C, 0.0, 1.0), "H is not symmetric"),
    "H does not fit c": (lambda: box_qp(H, C[1:], 0.0, 1.0), "H is .20, 20. and c has 19 entries"),
    "empty box": (lambda: box_qp(H, C, 1.0, 0.0), "the box is empty"),
    "NaN bound": (lambda: box_qp(H, C, np.nan, 0.0), "the box is empty"),
    "box at infinity": (lambda: box_qp(H, C, np.inf, np.inf), "the box is empty"),
    "negative H": (lambda: box_qp(-H, C, 0.0, 1.0), "positive semidefinite"),
    "indefinite H": (lambda: box_qp(H - np.eye(D), C, 0.0, 1.0), "positive semidefinite"),
    "labels 0, 1": (lambda: svm_dual(A @ A.T, (LABELS + 1) / 2, 1.0), "labels must be -1 and 1"),
    "C = 0": (lambda: svm_dual(A @ A.T, LABELS, 0.0), "choose C > 0"),
    "K does not fit": (lambda: svm_dual(A, LABELS, 1.0), "give one row per sample"),
    "nnls, short y": (lambda: nnls(A, Y[1:]), "A has 30 rows and y 29 entries"),
    "composite, short y": (
        lambda: composite(LeastSquares(jnp.asarray(Y[1:])), A, WeightedL1(jnp.ones(D))),
        "A has 30 rows and y 29 entries",
    ),
    "composite, zero A": (
        lambda: composite(LeastSquares(jnp.asarray(Y)), 0 * A, WeightedL1(jnp.ones(D))),
        "the data are all zero",
    ),
    "logistic labels 0, 1": (
        lambda: composite(Logistic(jnp.asarray((LABELS + 1) / 2)), A, WeightedL1(jnp.ones(D))),
        "labels must be -1 and 1",
    ),
    "complex A": (lambda: lasso(A + 0j, Y, 0.1), "A is complex: give real numbers"),
    "short bounds": (lambda: box_qp(H, C, np.zeros(3), 1.0), "lower has the shape .3,.: give one number, or 20"),
    "column of bounds": (lambda: box_qp(H, C, 0.0, np.ones((D, 1))), "upper has the shape .20, 1.: give one number"),
    "composite, few weights": (lambda: composite(LOSS, A, WeightedL1(np.ones(3))), "weights has the shape .3,."),
    "composite, weight < 0": (lambda: composite(LOSS, A, WeightedL1(-np.ones(D))), "choose weights >= 0"),
    "composite, NaN weight": (lambda: composite(LOSS, A, WeightedL1(np.nan)), "choose weights >= 0"),
    "composite, empty box": (lambda: composite(LOSS, A, Box(1.0, 0.0)), "the box is empty: give lower <= upper"),
    "composite, short tilt": (lambda: composite(LOSS, A, WeightedL1(0.1), np.ones(3)), "u has 3 entries for 20"),
    "initial NaN": (lambda: adaptive_weights(np.full(D, np.nan)), "initial has entries that are not finite"),
    "ridge, short y": (lambda: ridge(A, Y[1:]), "A has 30 rows and y 29 entries"),
    "ridge, penalty 0": (lambda: ridge(A, Y, 0.0), "penalty = 0.0: choose an l2 penalty > 0"),
}


@pytest.mark.parametrize(("make", "message"), BAD.values(), ids=BAD)
def test_bad_data_are_refused_in_one_line(make, message, unchecked):
    with pytest.raises(ValueError, match=message) as refusal:
        make()
    assert "\n" not in str(refusal.value)
