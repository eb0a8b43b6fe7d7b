"""Penalty splits against grid minimisation; the primal-dual witness against scikit-learn's elastic net."""

import numpy as np
import pytest
from scipy.optimize import brentq
from sklearn.linear_model import ElasticNet

from trajectory_conv.balance import (
    constrained_split,
    coupled_split,
    primal_dual_witness,
    statistical_threshold,
    unconstrained_split,
)
from trajectory_conv.designs import ReplayDraws, gaussian, spiked, target


def worst(lam1, budget, cross_norm):
    """max(1 / lambda_2, (1 + g_x / lambda_2) / lambda_1), what the split minimises."""
    lam2 = budget - lam1
    return np.maximum(1 / lam2, (1 + cross_norm / lam2) / lam1)


@pytest.mark.parametrize("budget", [0.3, 1.0, 6.0])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 1 / 3, 0.4, 1.0, 5.0])  # both branches: they meet at 1/3
def test_the_split_minimises_the_bound_over_a_grid(budget, share):
    grid = np.linspace(0, budget, 2_000_001)[1:-1]
    best = grid[worst(grid, budget, share * budget).argmin()]
    assert unconstrained_split(budget, share * budget) == pytest.approx(best, abs=1e-6 * budget)


@pytest.mark.parametrize("cross_norm", [0.1, 1.3876051938, 7.0])
def test_the_split_is_continuous_on_the_regime_line(cross_norm):
    below, at, above = (unconstrained_split(3 * cross_norm * (1 + step), cross_norm) for step in (-1e-9, 0.0, 1e-9))
    assert at == pytest.approx(2 * cross_norm)
    assert below == pytest.approx(at, rel=1e-8) and above == pytest.approx(at, rel=1e-8)


def test_without_interaction_the_budget_is_halved():
    assert unconstrained_split(3.0, 0.0) == 1.5


@pytest.mark.parametrize("cross_norm", [0.0, 0.2, 1.0, 100.0])
def test_both_penalties_of_a_split_are_positive(cross_norm):
    assert 0 < unconstrained_split(1.0, cross_norm) < 1


def test_the_constrained_split_is_the_best_one_above_the_noise_floor():
    budget, cross_norm = 1.0, 0.5
    free = unconstrained_split(budget, cross_norm)
    assert constrained_split(budget, cross_norm, free / 2) == free
    floor = (1 + free) / 2
    grid = np.linspace(floor, budget, 10_001)[:-1]
    assert constrained_split(budget, cross_norm, floor) == grid[worst(grid, budget, cross_norm).argmin()] == floor


@pytest.fixture
def problem():
    """G_SS, G_{S^c S}, b*_S of a spiked design, where the l2 bias leaks into the inactive features."""
    draws = ReplayDraws(0)
    matrix, b = spiked(draws, 80, 40, 0.3), target(draws, 40, 5)
    gram, on = matrix.T @ matrix / 80, b != 0
    return gram[np.ix_(on, on)], gram[np.ix_(~on, on)], 3 * b[on]


def test_the_statistical_threshold_equals_its_definition_point_by_point(problem):
    active, cross, b = problem
    lam2 = np.logspace(-3, 2, 20)
    for value, found in zip(lam2, statistical_threshold(lam2, active, cross, b, 0.02), strict=True):
        leaked = max(abs(row @ np.linalg.inv(active + value * np.eye(5)) @ b) for row in cross)
        assert found == pytest.approx(0.02 + value * leaked, rel=1e-12)


def test_the_statistical_threshold_is_the_least_penalty_that_keeps_inactive_features_out_without_noise(problem):
    """y = A b*: the restricted fit with lambda_1 -> 0 has the residual correlation lambda_2 G_{S^c S} (...)^{-1} b*."""
    active, cross, b = problem
    lam2 = np.array([0.1])
    threshold = statistical_threshold(lam2, active, cross, b, 0.0)[0]
    restricted = np.linalg.solve(active + 0.1 * np.eye(5), active @ b)
    assert np.abs(cross @ (b - restricted)).max() == pytest.approx(threshold, rel=1e-12)


@pytest.mark.parametrize(("budget", "coupled"), [(0.1, True), (1.0, True), (2.0, False), (7.5, False)])
def test_the_coupled_split_solves_its_fixed_point_where_that_exceeds_the_free_split(problem, budget, coupled):
    """lambda_1 = lambda_stat(Lambda - lambda_1), which has one root, up to a step of the grid."""
    active, cross, b = problem
    cross_norm, floor = 0.0, 0.02

    def excess(t):
        return t - statistical_threshold(np.array([budget - t]), active, cross, b, floor)[0]

    free, root = unconstrained_split(budget, cross_norm), brentq(excess, floor, budget)
    split = coupled_split(budget, cross_norm, active, cross, b, floor)
    assert (root > free) == coupled
    if coupled:
        assert split == pytest.approx(root, abs=0.99 * budget / 199)
    else:
        assert split == free


def elastic_net_phases(design, s):
    """(lam1, lam2, witness, scikit-learn's coefficients, support) over a grid with and without recovery."""
    draws = ReplayDraws(0)
    matrix, b = design(draws, 60, 40), target(draws, 40, s) * draws.uniform(1.0, 2.0, 40)
    y = matrix @ b + draws.normal(60, scale=0.3)
    gram, linear, on = matrix.T @ matrix / 60, matrix.T @ y / 60, b != 0
    for lam1 in np.linspace(0.02, 2.0, 12):
        for lam2 in np.logspace(-3, 1.0, 10):
            witness = primal_dual_witness(
                *(gram[np.ix_(on, on)], gram[np.ix_(~on, on)], linear[on], linear[~on], np.sign(b[on]), lam1, lam2)
            )
            budget = lam1 + lam2
            fit = ElasticNet(alpha=budget, l1_ratio=lam1 / budget, fit_intercept=False, tol=1e-12, max_iter=100_000)
            yield witness, fit.fit(matrix, y).coef_, on


@pytest.mark.parametrize(("design", "s"), [(gaussian, 3), (lambda *shape: spiked(*shape, 0.5), 4)])
def test_the_witness_agrees_with_scikit_learn_on_every_support(design, s):
    recovered = 0
    for witness, coefficients, support in elastic_net_phases(design, s):
        assert bool(witness.recovered) == np.array_equal(coefficients != 0, support)
        if witness.recovered:
            recovered += 1
            np.testing.assert_allclose(witness.coefficients, coefficients[support], rtol=0, atol=1e-8)
    assert 10 < recovered < 110  # of 120: both cases occur


def test_the_witness_of_a_full_support_only_needs_the_signs():
    active, none = np.eye(2), np.zeros((0, 2))
    linear, empty = np.array([1.0, -0.5]), np.zeros(0)
    kept = primal_dual_witness(active, none, linear, empty, np.sign(linear), 0.4, 0.0)
    lost = primal_dual_witness(active, none, linear, empty, np.sign(linear), 0.6, 0.0)
    np.testing.assert_allclose(kept.coefficients, [0.6, -0.1], atol=1e-15)
    assert kept.recovered and not lost.recovered


EYE, CROSS, ONES = np.eye(2), np.ones((3, 2)), np.ones(2)
REFUSED = {
    "budget 0": (lambda: unconstrained_split(0.0, 1.0), "budget = 0.0: choose a penalty budget > 0"),
    "budget NaN": (lambda: unconstrained_split(np.nan, 1.0), "choose a penalty budget > 0"),
    "norm < 0": (lambda: unconstrained_split(1.0, -1.0), "cross_norm = -1.0: give a norm, >= 0"),
    "constrained, below the floor": (
        lambda: constrained_split(1.0, 0.1, 1.0),
        "budget = 1.0 <= noise floor 1.0: nothing",
    ),
    "constrained, NaN floor": (lambda: constrained_split(1.0, 0.1, np.nan), "floor = nan: give a noise floor >= 0"),
    "coupled, below the floor": (lambda: coupled_split(0.5, 0.1, EYE, CROSS, ONES, 1.0), "choose a larger budget"),
    "coupled, budget < 0": (lambda: coupled_split(-0.5, 0.1, EYE, CROSS, ONES, 0.0), "choose a larger budget"),
    "threshold, blocks": (lambda: statistical_threshold(ONES, EYE, CROSS.T, ONES, 0.1), "give G_SS .s, s."),
    "threshold, target": (lambda: statistical_threshold(ONES, EYE, CROSS, np.ones(3), 0.1), "3 targets for 2 active"),
    "threshold, NaN": (lambda: statistical_threshold(ONES, EYE, CROSS, np.nan * ONES, 0.1), "target has entries that"),
    "threshold, lambda_2 < 0": (lambda: statistical_threshold(-ONES, EYE, CROSS, ONES, 0.1), "give numbers >= 0"),
    "witness, blocks": (
        lambda: primal_dual_witness(EYE, CROSS.T, ONES, np.ones(3), ONES, 0.1, 0.0),
        "give G_SS .s, s.",
    ),
    "witness, one sign": (
        lambda: primal_dual_witness(EYE, CROSS, ONES, np.ones(3), np.ones(1), 0.1, 0.0),
        "linear, signs and linear_off are .2,., .1,. and .3,.: give s, s and m numbers",
    ),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_budgets_and_systems_that_make_no_sense_are_refused(make, message, unchecked):
    with pytest.raises(ValueError, match=message) as refusal:
        make()
    assert "\n" not in str(refusal.value)


def test_the_witness_wants_the_given_signs():
    linear, empty = np.array([1.0, -0.5]), np.zeros(0)
    other = primal_dual_witness(np.eye(2), np.zeros((0, 2)), linear, empty, np.ones(2), 0.1, 0.0)
    assert (other.coefficients != 0).all() and not other.recovered  # the support is the same
