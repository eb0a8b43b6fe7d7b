"""The estimators keep scikit-learn's conventions and agree with its solvers; a fit ends in a certificate."""

import warnings

import numpy as np
import pytest
from sklearn import linear_model
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from trajectory_conv import ElasticNet, Lasso
from trajectory_conv.problems import adaptive_weights

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 20)) + 2.0
Y = X[:, :4] @ [1.0, -1.0, 2.0, 0.5] + 0.3 * RNG.normal(size=30) + 5.0
EXACT = {"tol": 1e-15, "max_iter": 1_000_000}


def fit(model, x=X, y=Y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return model.fit(x, y)


@parametrize_with_checks([Lasso(0.1), ElasticNet(0.1)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("alpha", [0.01, 0.3])
def test_coefficients_and_intercepts_agree_with_scikit_learn(alpha, fit_intercept):
    for ours, theirs in (
        (Lasso(alpha, fit_intercept=fit_intercept), linear_model.Lasso(alpha, fit_intercept=fit_intercept, **EXACT)),
        (
            ElasticNet(alpha, 0.3, fit_intercept=fit_intercept),
            linear_model.ElasticNet(alpha, l1_ratio=0.3, fit_intercept=fit_intercept, **EXACT),
        ),
    ):
        fit(ours), theirs.fit(X, Y)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=1e-10)
        assert ours.intercept_ == pytest.approx(theirs.intercept_, abs=1e-9)
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=0, atol=1e-9)
        assert ours.score(X, Y) == pytest.approx(theirs.score(X, Y), abs=1e-10)


def test_the_lasso_is_the_elastic_net_with_ratio_one():
    np.testing.assert_array_equal(fit(Lasso(0.1)).coef_, fit(ElasticNet(0.1, 1.0)).coef_)


def test_penalty_weights_are_those_of_the_adaptive_lasso():
    weights = adaptive_weights(linear_model.Ridge(1.0).fit(X, Y).coef_)
    expected = linear_model.Lasso(0.1, **EXACT).fit(X / weights, Y).coef_ / weights
    np.testing.assert_allclose(fit(Lasso(0.1, penalty_weights=weights)).coef_, expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(fit(Lasso(0.1, penalty_weights=np.ones(20))).coef_, fit(Lasso(0.1)).coef_, atol=1e-13)


def test_the_geometry_of_a_fit_is_that_of_its_optimum():
    model = fit(Lasso(0.3))
    geometry, centred = model.geometry_, X - X.mean(0)
    assert geometry.on_optimal_face and geometry.violation < 1e-12 and geometry.duality_gap < 1e-12
    np.testing.assert_array_equal(geometry.pattern, np.sign(model.coef_))
    block = centred[:, model.coef_ != 0]
    values = np.linalg.svd(block, compute_uv=False) ** 2 / 30
    assert (geometry.face.size, geometry.face.mu) == pytest.approx((block.shape[1], values[-1]))
    assert geometry.lipschitz == pytest.approx(np.linalg.norm(centred, 2) ** 2 / 30) and geometry.margin > 0


def test_a_fit_that_ends_too_early_warns_in_scikit_learns_way():
    with pytest.warns(ConvergenceWarning, match="not converged in 1 steps: KKT violation"):
        model = Lasso(0.01, max_iter=1).fit(X, Y)
    assert model.n_iter_ == 1 and model.geometry_.violation > 1e-6


def test_nothing_to_explain_gives_zero_coefficients_and_the_mean():
    for x, y in ((X, np.full(30, 7.0)), (np.zeros((30, 3)), Y), (np.ones((30, 3)), Y)):
        model = fit(Lasso(0.1), x, y)
        assert not model.coef_.any() and model.intercept_ == pytest.approx(y.mean())
        np.testing.assert_allclose(model.predict(x), y.mean())


def test_a_penalty_too_large_for_any_coefficient_gives_the_mean():
    model = fit(Lasso(1e3))
    assert not model.coef_.any() and model.intercept_ == pytest.approx(Y.mean())
    assert model.geometry_.face.size == 0 and model.geometry_.violation == 0.0


def test_duplicate_and_zero_columns_change_nothing_that_is_unique():
    plain = fit(Lasso(0.1))
    twice = fit(Lasso(0.1), np.hstack([X, X, np.zeros((30, 2)), np.ones((30, 1))]))
    np.testing.assert_allclose(twice.coef_[:20] + twice.coef_[20:40], plain.coef_, rtol=0, atol=1e-10)
    assert not twice.coef_[40:].any()
    np.testing.assert_allclose(twice.predict(np.hstack([X, X, np.zeros((30, 3))])), plain.predict(X), atol=1e-9)
    assert twice.geometry_.face.rank_deficient and not plain.geometry_.face.rank_deficient


def test_parameters_survive_cloning_and_a_grid_search():
    weights = np.linspace(1, 2, 20)
    parameters = clone(Lasso(0.3, fit_intercept=False, penalty_weights=weights)).get_params()
    assert (parameters["alpha"], parameters["fit_intercept"]) == (0.3, False) and "l1_ratio" not in parameters
    np.testing.assert_array_equal(parameters["penalty_weights"], weights)
    search = fit(GridSearchCV(ElasticNet(), {"alpha": [0.01, 100.0], "l1_ratio": [0.5, 1.0]}, cv=3))
    assert search.best_params_["alpha"] == 0.01


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Lasso(0.0), "alpha = 0.0: choose a penalty > 0"),
        (Lasso(float("nan")), "choose a penalty > 0"),
        (Lasso(float("inf")), "choose a penalty > 0"),
        (Lasso("0.1"), "alpha = '0.1': choose a penalty > 0"),
        (Lasso(None), "alpha = None: choose a penalty > 0"),
        (Lasso(np.ones(2)), "choose a penalty > 0"),
        (ElasticNet(0.1, "half"), "l1_ratio = 'half': choose 0 < l1_ratio <= 1"),
        (ElasticNet(0.1, float("nan")), "choose 0 < l1_ratio <= 1"),
        (Lasso(0.1, tol=-1.0), "tol = -1.0: choose a tolerance >= 0"),
        (Lasso(0.1, tol=float("nan")), "choose a tolerance >= 0"),
        (Lasso(0.1, tol="small"), "tol = 'small': choose a tolerance >= 0"),
        (Lasso(0.1, max_iter=0), "max_iter = 0: choose a whole number >= 1"),
        (Lasso(0.1, max_iter=1e3), "max_iter = 1000.0: choose a whole number >= 1"),
        (ElasticNet(0.1, 0.0), "choose 0 < l1_ratio <= 1"),
        (ElasticNet(0.1, 1.5), "choose 0 < l1_ratio <= 1"),
        (Lasso(0.1, penalty_weights=np.ones(3)), "3 weights for 20 columns"),
        (Lasso(0.1, penalty_weights=np.zeros(20)), "choose weights > 0"),
        (Lasso(0.1, penalty_weights=-np.ones(20)), "choose weights > 0"),
        (Lasso(0.1, penalty_weights=np.full(20, np.nan)), "weights has entries that are not finite"),
    ],
)
def test_bad_parameters_are_refused_at_fit(model, message, unchecked):
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y)


def test_complex_data_are_refused():
    for x, y in ((X + 1j, Y), (X, Y + 1j)):
        with pytest.raises(ValueError, match="[Cc]omplex data not supported"):
            Lasso(0.1).fit(x, y)
    with pytest.raises(ValueError, match="[Cc]omplex data not supported"):
        fit(Lasso(0.1)).predict(X + 1j)
