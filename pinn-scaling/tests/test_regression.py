"""Least squares against statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from pinn_scaling.regression import f_test, ols, rank_correlation

NAMES = ("one", "a", "b")


def example(n=30, seed=0):
    random = np.random.default_rng(seed)
    design = np.column_stack([np.ones(n), random.normal(size=(n, 2))])
    return design, design @ [1.0, -2.0, 0.3] + random.normal(size=n) * (1 + abs(design[:, 1]))


def test_everything_equals_statsmodels():
    design, y = example()
    fit, expected = ols(NAMES, design, y), sm.OLS(y, design).fit()
    robust = expected.get_robustcov_results("HC3", use_t=True)
    np.testing.assert_allclose(fit.coef, expected.params, rtol=1e-12)
    np.testing.assert_allclose([fit.se(name) for name in NAMES], expected.bse, rtol=1e-12)
    np.testing.assert_allclose([fit.se(name, "hc3") for name in NAMES], robust.bse, rtol=1e-12)
    np.testing.assert_allclose([fit.p(name) for name in NAMES], expected.pvalues, rtol=1e-9)
    np.testing.assert_allclose([fit.interval(name)[1:] for name in NAMES], expected.conf_int(), rtol=1e-10)
    np.testing.assert_allclose([fit.interval(name, "hc3")[1:] for name in NAMES], robust.conf_int(), rtol=1e-10)
    found = (fit.r2, fit.adj_r2, fit.aic, fit.bic)
    np.testing.assert_allclose(
        found, (expected.rsquared, expected.rsquared_adj, expected.aic, expected.bic), rtol=1e-12
    )


def test_the_published_interval_is_1_96_standard_errors():
    fit = ols(NAMES, *example())
    value, low, high = fit.interval("a", "normal")
    assert value == fit["a"]
    assert (high - value, value - low) == pytest.approx((1.96 * fit.se("a"),) * 2)


def test_a_combination_has_the_interval_of_the_t_test():
    design, y = example()
    expected = sm.OLS(y, design).fit().t_test([0, -1, 2.5])
    found = ols(NAMES, design, y).combination({"a": -1.0, "b": 2.5})
    np.testing.assert_allclose(found, [expected.effect[0], *expected.conf_int()[0]], rtol=1e-10)


def test_the_f_test_equals_statsmodels():
    design, y = example()
    found = f_test(ols(NAMES[:1], design[:, :1], y), ols(NAMES, design, y))
    expected = sm.OLS(y, design).fit().compare_f_test(sm.OLS(y, design[:, :1]).fit())
    np.testing.assert_allclose(found, expected[:2], rtol=1e-10)


def test_as_many_coefficients_as_points_leave_no_interval():
    design, y = example(n=3)
    fit = ols(NAMES, design, y)
    np.testing.assert_allclose(design @ fit.coef, y, rtol=1e-9)
    assert np.isnan([fit.se("a"), fit.p("a"), *fit.interval("a")[1:], *fit.interval("a", "hc3")[1:]]).all()


def test_dependent_columns_are_refused():
    design, y = example()
    with pytest.raises(ValueError, match="30 points do not determine one, a, b"):
        ols(NAMES, design[:, [0, 1, 1]], y)


@pytest.mark.parametrize("n", [3, 5, 6])
def test_few_ranks_have_the_p_of_all_permutations(n):
    x, y = np.random.default_rng(n).normal(size=(2, n))
    found = rank_correlation(x, y)
    exact = stats.permutation_test(
        (x,), lambda x: stats.spearmanr(x, y).statistic, permutation_type="pairings", n_resamples=10**4
    )
    assert found == pytest.approx((exact.statistic, exact.pvalue))


def test_four_values_in_order_are_no_evidence():
    assert rank_correlation(np.arange(4.0), -(np.arange(4.0) ** 3)) == pytest.approx((-1, 2 / 24))


def test_many_ranks_have_scipys_p():
    x, y = np.random.default_rng(0).normal(size=(2, 30))
    assert rank_correlation(x, y) == pytest.approx(tuple(stats.spearmanr(x, y)))


@pytest.mark.parametrize(("x", "y"), [([1.0, 2.0], [1.0, 2.0]), ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])])
def test_two_ranks_or_equal_ones_have_no_correlation(x, y):
    assert np.isnan(rank_correlation(np.array(x), np.array(y))).all()
