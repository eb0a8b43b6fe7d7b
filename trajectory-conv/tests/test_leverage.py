"""Cross-leverage against the projector by pseudo-inverse, and what pruning must not change."""

import numpy as np
import pytest

from trajectory_conv.designs import DESIGNS, ReplayDraws, target
from trajectory_conv.hoffman import affine_hoffman
from trajectory_conv.leverage import cross_leverage, interaction_bound, pruned
from trajectory_conv.problems import lasso
from trajectory_conv.solvers import find_optimum


def example(name="gaussian", n=40, d=60, s=6, seed=0):
    draws = ReplayDraws(seed)
    return DESIGNS[name](draws, n, d), target(draws, d, s) != 0


def projector(columns):
    return columns @ np.linalg.pinv(columns)


@pytest.mark.parametrize("scale", [1.0, 3.0])
@pytest.mark.parametrize("s", [1, 6, 40, 50])  # as many active columns as rows and more are fine
def test_leverage_is_the_squared_norm_of_the_projection(s, scale):
    matrix, support = example(s=s)
    matrix = scale * matrix
    expected = np.linalg.norm(projector(matrix[:, support]) @ matrix, axis=0) ** 2 / len(matrix)
    np.testing.assert_allclose(cross_leverage(matrix, support), expected, rtol=0, atol=1e-12 * scale**2)


@pytest.mark.parametrize("name", ["gaussian", "spiked_0.9", "ar1_0.9", "low_rank"])
def test_leverage_of_normalised_columns_is_between_zero_and_one_and_one_for_active_ones(name):
    matrix, support = example(name)
    leverage = cross_leverage(matrix, support)
    np.testing.assert_allclose(leverage[support], 1, rtol=0, atol=1e-12)
    assert (leverage >= 0).all() and (leverage <= 1 + 1e-12).all()


def test_leverage_sums_to_the_trace_of_the_projected_gram_matrix():
    matrix, support = example("spiked_0.5")
    expected = np.trace(projector(matrix[:, support]) @ matrix @ matrix.T) / len(matrix)
    assert cross_leverage(matrix, support).sum() == pytest.approx(expected, rel=1e-13)


def test_mean_leverage_of_a_random_design_is_s_over_n():
    matrix, support = example(n=200, d=2000, s=20)
    assert cross_leverage(matrix, support)[~support].mean() == pytest.approx(20 / 200, rel=0.02)


def test_columns_longer_than_root_n_can_have_a_leverage_above_one():
    matrix, support = example()
    matrix = matrix.copy()
    matrix[:, ~support] = 2 * matrix[:, [np.flatnonzero(support)[0]]]
    np.testing.assert_allclose(cross_leverage(matrix, support)[~support], 4, rtol=1e-13)


@pytest.mark.parametrize("copies", [1, 3])
def test_dependent_active_columns_are_projected_on_their_span(copies):
    matrix, support = example()
    first = matrix[:, np.flatnonzero(support)]
    doubled = np.hstack([matrix, *([first] * copies), first.sum(1, keepdims=True), np.zeros((40, 1))])
    extended = np.r_[support, np.ones(6 * copies + 2, dtype=bool)]
    np.testing.assert_allclose(cross_leverage(doubled, extended)[:60], cross_leverage(matrix, support), atol=1e-12)


def test_without_active_columns_or_with_zero_ones_there_is_no_leverage():
    matrix, support = example()
    np.testing.assert_array_equal(cross_leverage(matrix, np.zeros_like(support)), 0)
    np.testing.assert_array_equal(cross_leverage(matrix * ~support, support), 0)


def test_orthogonal_columns_have_no_leverage_on_each_other():
    matrix, support = example("orthonormal", 40, 30)
    np.testing.assert_allclose(cross_leverage(matrix, support), support, atol=1e-13)


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.3, 0.9])
def test_pruning_drops_the_inactive_columns_above_the_threshold_and_no_others(threshold):
    matrix, support = example("spiked_0.3")
    leverage = cross_leverage(matrix, support)
    kept = pruned(leverage, support, threshold)
    assert kept[support].all()
    assert (leverage[kept & ~support] <= threshold).all() and (leverage[~kept] > threshold).all()


def test_pruning_changes_neither_the_solution_nor_its_support_and_lowers_h2():
    """Deleting coordinates that are zero at the optimum is an identity; it takes rows of B away."""
    draws, lam = ReplayDraws(0), 0.1
    matrix = DESIGNS["spiked_0.3"](draws, 60, 90)
    y = matrix @ target(draws, 90, 5) + draws.normal(60, scale=0.1)
    whole = find_optimum(lasso(matrix, y, lam)).x
    support = whole != 0
    kept = pruned(cross_leverage(matrix, support), support, 0.3)
    assert support.sum() < kept.sum() < 90
    part = find_optimum(lasso(matrix[:, kept], y, lam)).x
    np.testing.assert_allclose(part, whole[kept], rtol=0, atol=1e-12)
    assert np.array_equal(part != 0, support[kept])
    gram = matrix.T @ matrix / 60
    active = gram[np.ix_(support, support)]
    before, after = (
        affine_hoffman(active, gram[np.ix_(columns & ~support, support)], lam, 0.0).h2
        for columns in (np.ones(90, dtype=bool), kept)
    )
    assert after < before


@pytest.mark.parametrize("name", ["gaussian", "spiked_0.9", "ar1_0.9", "power_law"])
def test_the_interaction_is_bounded_through_the_leverage(name):
    for seed in range(5):
        matrix, support = example(name, seed=seed)
        gram = matrix.T @ matrix / len(matrix)
        smoothness = np.linalg.eigvalsh(gram[np.ix_(support, support)])[-1]
        bound = interaction_bound(cross_leverage(matrix, support), support, smoothness)
        cross = np.linalg.norm(gram[np.ix_(~support, support)], 2)
        assert 0.1 * bound < cross <= bound * (1 + 1e-12)


MATRIX, SUPPORT = example()
REFUSED = {
    "indices": (lambda: cross_leverage(MATRIX, np.array([0, 3])), "support is no mask of 60 columns: give one bool"),
    "numbers": (lambda: cross_leverage(MATRIX, SUPPORT.astype(float)), "as b != 0 does"),
    "short mask": (lambda: cross_leverage(MATRIX, SUPPORT[1:]), "no mask of 60 columns"),
    "NaN": (lambda: cross_leverage(MATRIX * np.nan, SUPPORT), "A has entries that are not finite"),
    "flat A": (lambda: cross_leverage(MATRIX[0], SUPPORT), "A has 1 dimensions: give 2"),
    "pruned, indices": (lambda: pruned(np.ones(60), np.array([0, 3]), 0.5), "no mask of 60 columns"),
    "threshold NaN": (lambda: pruned(np.ones(60), SUPPORT, np.nan), "threshold = nan: choose a threshold >= 0"),
    "bound, indices": (lambda: interaction_bound(np.ones(60), np.array([0, 3]), 1.0), "no mask of 60 columns"),
    "L_S < 0": (lambda: interaction_bound(np.ones(60), SUPPORT, -1.0), "smoothness = -1.0: give L_S >= 0"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_supports_and_thresholds_that_make_no_sense_are_refused(make, message, unchecked):
    with pytest.raises(ValueError, match=message):
        make()
