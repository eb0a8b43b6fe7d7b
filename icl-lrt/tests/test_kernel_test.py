"""The power-controlled kernel test tells a kernel smoother from a good rule that merely correlates with one."""

import numpy as np
import pytest
import torch
from circuits import blobs, votes_of
from scipy import stats
from sklearn.linear_model import LinearRegression

from icl_lrt.kernel_test import added_r2, kernel_test, residual
from icl_lrt.seeds import generator


@pytest.fixture(scope="module")
def world():
    """Stand-ins: the log-likelihood ratio as the Bayes log-odds, and a smoother that correlates with it."""
    episodes = blobs(800, 16, 2, 4)
    return episodes.llr, votes_of(episodes, 2.0)


def noise(like, size, seed=0):
    return size * torch.randn(like.shape, dtype=torch.float64, generator=generator(seed, "noise"))


@pytest.mark.parametrize("adjustment", ["linear", "isotonic", "spline"])
def test_a_noisy_bayes_rule_is_cleared_although_it_correlates_with_the_kernel(world, adjustment):
    bayes, kernel = world
    found = kernel_test(bayes + noise(bayes, 1.0), bayes, kernel, adjustment)
    assert found.raw.low > 0.7 and found.bayes.value > found.raw.value
    assert abs(found.partial.value) < 3 * found.partial.se < 0.12


@pytest.mark.parametrize("adjustment", ["linear", "isotonic", "spline"])
def test_the_smoother_itself_is_found_out(world, adjustment):
    bayes, kernel = world
    found = kernel_test(3 * kernel + 0.1, bayes, kernel, adjustment)
    assert found.raw.value == pytest.approx(1) and found.partial.value == pytest.approx(1)


def test_a_bayes_rule_with_a_little_of_the_kernel_is_found_out(world):
    bayes, kernel = world
    score = bayes + noise(bayes, 1.0)
    clean, leaning = (kernel_test(values, bayes, kernel) for values in (score, score + 0.5 * kernel))
    assert leaning.partial.low > 0.05 and leaning.partial.value > clean.partial.value + 0.1


def test_a_saturating_rule_is_cleared_by_the_spline_and_not_by_the_line(world):
    """Task B in small: log-odds with long tails, of which the score and the kernel are saturating functions."""
    bayes = world[0].sign() * world[0] ** 2
    kernel = torch.tanh(bayes / 20) + noise(bayes, 0.3, 1)
    score = 7 * torch.tanh(bayes / 14) + noise(bayes, 0.3)
    assert kernel_test(score, bayes, kernel, "linear").partial.low > 0.5
    for adjustment in ("spline", "isotonic"):
        partial = kernel_test(score, bayes, kernel, adjustment).partial
        assert abs(partial.value) < 3 * partial.se < 0.12


def test_linear_partial_correlation_is_the_textbooks(world):
    bayes, kernel = world
    score = bayes + noise(bayes, 2.0) + kernel
    xy, xz, yz = (
        stats.pearsonr(a.flatten(), b.flatten()).statistic
        for a, b in ((score, kernel), (score, bayes), (kernel, bayes))
    )
    found = kernel_test(score, bayes, kernel, "linear")
    assert found.partial.value == pytest.approx((xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2)))
    assert (found.raw.value, found.bayes.value) == pytest.approx((xy, yz))


def test_linearly_added_r2_is_the_difference_of_two_regressions(world):
    bayes, kernel = world
    other = noise(kernel, 1.0, 3) + kernel
    score = bayes + noise(bayes, 2.0) + kernel
    y = score.flatten().numpy()
    small, large = (
        LinearRegression().fit(x, y).score(x, y)
        for x in (
            bayes.flatten()[:, None].numpy(),
            torch.stack([bayes.flatten(), kernel.flatten(), other.flatten()], 1).numpy(),
        )
    )
    found = added_r2(score, bayes, {"one": kernel, "other": other}, "linear")
    assert found.value == pytest.approx(large - small) and found.low > 0


def test_one_kernel_adds_its_squared_partial_correlation_of_the_rest(world):
    bayes, kernel = world
    score = bayes + noise(bayes, 1.0) + kernel
    rest = residual(score, bayes, "spline").square().sum() / (score - score.mean()).square().sum()
    partial = kernel_test(score, bayes, kernel).partial.value
    assert added_r2(score, bayes, {"kernel": kernel}).value == pytest.approx(float(rest) * partial**2)


@pytest.mark.parametrize("adjustment", ["isotonic", "spline"])
def test_monotone_functions_leave_no_residual(adjustment):
    given = torch.linspace(-1, 1, 2000, dtype=torch.float64)[:, None] ** 3
    for values in (given, -given, torch.tanh(3 * given), given.exp()):
        left = residual(values, given, adjustment)
        assert left.std() < (1e-12 if adjustment == "isotonic" else 0.01) * values.std()


def test_errors_of_the_partial_correlation_are_over_episodes(world):
    bayes, kernel = world
    score = bayes + noise(bayes, 1.0)
    one = kernel_test(score, bayes, kernel, "linear")
    twice = kernel_test(*(values.repeat(1, 3) for values in (score, bayes, kernel)), "linear")
    assert twice.partial == pytest.approx(one.partial, rel=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("adjustment", ["linear", "isotonic", "spline"])
def test_a_kernel_of_noise_has_no_part_in_a_rule(world, adjustment):
    bayes, kernel = world
    found = kernel_test(bayes + kernel, bayes, noise(kernel, 1.0), adjustment)
    for one in found:
        assert abs(one.value) < 3.5 * one.se < 0.12
