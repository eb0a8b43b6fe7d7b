"""The exact Bayes predictive against brute force: symmetries, limits, calibration, and the reference table."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats

from icl_lrt.comparison import bce, right
from icl_lrt.oracles.bayes import bayes_shifted_mean, bayes_variance
from icl_lrt.oracles.integrals import log_scale_integral, log_sphere_mgf
from icl_lrt.oracles.kernels import nadaraya_watson, norm_kernel, rbf
from icl_lrt.oracles.plugin import lda, plugin_variance
from icl_lrt.seeds import generator
from icl_lrt.tasks import ShiftedMean, Variance


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def context(batch, n, m, d, seed=0):
    y = (torch.rand(batch, n, generator=generator(seed, "labels")) < 0.5).double()
    return 2 * normal(batch, n, d, seed=seed), y, 2 * normal(batch, m, d, seed=seed + 1)


def largest(x):
    return x.abs().max().item()


def mean(values):
    """With its standard error, over episodes."""
    by_episode = values.mean(1)
    return values.mean().item(), by_episode.std().item() / math.sqrt(len(by_episode))


RULES = {
    "tau=0": lambda x, y, query: bayes_shifted_mean(x, y, query, 0.0),
    "tau=3": lambda x, y, query: bayes_shifted_mean(x, y, query, 3.0),
    "tau=inf": lambda x, y, query: bayes_shifted_mean(x, y, query, math.inf),
    "variance": lambda x, y, query: bayes_variance(x, y, query, 0.5, 3.0),
}
each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


# ---- the integrals


@pytest.mark.parametrize("d", [2, 3, 4, 5, 16, 64])
def test_sphere_integral_is_the_bessel_function(d):
    kappa = np.concatenate([[1e-3], np.logspace(-2, 5, 300)])
    nu = d / 2 - 1
    expected = special.gammaln(d / 2) + nu * np.log(2 / kappa) + np.log(special.ive(nu, kappa)) + kappa
    found = log_sphere_mgf(torch.tensor(kappa), d).numpy()
    assert np.abs((found - expected) / np.maximum(1, kappa)).max() < 3e-13  # the reference cancels at small kappa


def test_sphere_integral_in_one_and_three_dimensions_and_near_zero():
    kappa = torch.logspace(-6, 2, 200, dtype=torch.float64)
    assert largest(log_sphere_mgf(kappa, 1) - kappa.cosh().log()) < 2e-14
    assert largest(log_sphere_mgf(kappa, 3) - (kappa.sinh() / kappa).log()) < 2e-14
    for d in (2, 7, 16, 200):
        small = torch.tensor([0.0, 1e-4, 1e-3], dtype=torch.float64)
        assert largest(log_sphere_mgf(small, d) - small**2 / (2 * d)) < 2e-13
    with pytest.raises(ValueError, match="d = 0: choose d >= 1"):
        log_sphere_mgf(kappa, 0)


@pytest.mark.parametrize("low, high", [(0.5, 3.0), (0.05, 20.0)])
@pytest.mark.parametrize("power, energy", [(0, 0), (1, 0.3), (1, 40), (16, 20), (512, 800), (520, 100), (64000, 2.5e5)])
def test_scale_integral_is_the_one_of_adaptive_quadrature(power, energy, low, high):
    peak = math.sqrt(energy / power) if power else low
    top = min(max(peak, low), high)
    offset = -power * math.log(top) - energy / (2 * top**2)
    width = 1 / math.sqrt(power + 1)
    around = top * np.exp(width * np.linspace(-30, 30, 31))
    cuts = np.unique(np.clip(np.concatenate([np.geomspace(low, high, 31), around]), low, high))

    def integrand(s):
        return math.exp(-power * math.log(s) - energy / (2 * s**2) - offset)

    total = sum(integrate.quad(integrand, *pair, epsabs=0, epsrel=1e-13)[0] for pair in itertools.pairwise(cuts))
    arguments = (torch.tensor([float(value)], dtype=torch.float64) for value in (power, energy))
    found = log_scale_integral(*arguments, low, high).item() - offset
    assert found == pytest.approx(math.log(total), abs=1e-12 + 1e-15 * abs(offset))


def test_long_arrays_are_the_same_as_short_ones():
    kappa, power = (
        30 * torch.rand(40, 50, dtype=torch.float64, generator=generator(0)),
        torch.full((40, 50), 16.0).double(),
    )
    assert torch.equal(log_sphere_mgf(kappa, 16)[-1, -3:], log_sphere_mgf(kappa[-1, -3:], 16))
    long = log_scale_integral(power, 20 * kappa, 0.5, 3.0)
    assert torch.equal(long[-1, -3:], log_scale_integral(power[-1, -3:], 20 * kappa[-1, -3:], 0.5, 3.0))


# ---- the shifted mean task


@pytest.mark.parametrize("n, d, tau", [(4, 3, 1.5), (1, 2, 0.5), (3, 2, 0.0)])
def test_shifted_mean_is_the_average_over_drawn_parameters(n, d, tau):
    """Monte Carlo over (mu, k) with the Gaussian densities written out: nothing is integrated by hand."""
    x, y, query = context(3, n, 2, d)
    x, query = x / 2, query / 2
    mu = torch.nn.functional.normalize(normal(400_000, d, seed=5), dim=-1)
    k = tau * normal(400_000, d, seed=6)

    def log_density(points, s):  # (batch, points, draws), up to a constant
        return -0.5 * (points[:, :, None] - s[..., None, None] * mu - k).square().sum(-1)

    weight = log_density(x, 2 * y - 1).sum(1, keepdim=True).softmax(-1)
    one, zero = (log_density(query, torch.full(query.shape[:2], s).double()).exp() for s in (1.0, -1.0))
    p_one, p_zero = (weight * one).sum(-1, keepdim=True), (weight * zero).sum(-1, keepdim=True)
    errors = (weight * (one / p_one - zero / p_zero)).square().sum(-1).sqrt()
    difference = bayes_shifted_mean(x, y, query, tau) - (p_one / p_zero).log()[..., 0]
    assert largest(difference / errors) < 4 and largest(errors) < 0.02


def test_shifted_mean_without_nuisance_in_one_dimension_by_hand():
    """mu = -1 or 1 with equal odds, k = 0: the log-odds are those of a two-point mixture."""
    x, y, query = context(5, 6, 3, 1)
    evidence = ((2 * y - 1) * x[..., 0]).sum(1, keepdim=True)
    expected = (evidence + query[..., 0]).cosh().log() - (evidence - query[..., 0]).cosh().log()
    assert largest(bayes_shifted_mean(x, y, query, 0.0) - expected) < 1e-13


def test_flat_nuisance_is_translation_invariant_and_no_other_is():
    x, y, query = context(50, 8, 3, 16)
    shift = 5 * normal(50, 1, 16, seed=9)
    for tau, invariant in ((math.inf, True), (3.0, False), (0.0, False)):
        moved = bayes_shifted_mean(x + shift, y, query + shift, tau) - bayes_shifted_mean(x, y, query, tau)
        assert (largest(moved) < 1e-12) == invariant
    assert largest(moved) > 1  # without a nuisance it matters a lot


def test_wide_nuisance_tends_to_the_flat_one():
    x, y, query = context(50, 8, 3, 16)
    flat = bayes_shifted_mean(x, y, query, math.inf)
    assert largest(bayes_shifted_mean(x, y, query, 1e6) - flat) < 1e-11
    assert largest(bayes_shifted_mean(x, y, query, 10.0) - flat) > 1e-4


# ---- the variance task


@pytest.mark.parametrize("n", [1, 5, 32])
def test_variance_is_the_ratio_of_two_integrals_each(n):
    x, y, query = context(3, n, 2, 4)
    found = bayes_variance(x, y, query, 0.5, 3.0)
    for episode in range(3):
        for j in range(2):
            scores = []
            for label in (0, 1):
                mine = x[episode][y[episode] == label].flatten()
                both = torch.cat([mine, query[episode, j]])

                def likelihood(points):
                    power, energy = len(points), points.square().sum().item()
                    scale = -power * math.log(2) - energy / 8
                    return integrate.quad(
                        lambda s: math.exp(-power * math.log(s) - energy / (2 * s * s) - scale), 0.5, 3, epsrel=1e-12
                    )[0] * math.exp(scale)

                scores.append(math.log(likelihood(both) / likelihood(mine)))
            assert found[episode, j].item() == pytest.approx(scores[1] - scores[0], abs=1e-10)


def test_variance_depends_on_norms_only():
    x, y, query = context(20, 8, 3, 5)
    other = torch.zeros_like(x)
    other[..., 0] = x.norm(dim=-1)
    expected = bayes_variance(x, y, query, 0.5, 3.0)
    assert largest(bayes_variance(other, y, query, 0.5, 3.0) - expected) < 1e-12 * largest(expected)


def test_more_nodes_change_nothing():
    x, y, query = context(20, 300, 3, 16)
    twice = bayes_variance(x, y, query, 0.5, 3.0, nodes=128)
    assert largest(bayes_variance(x, y, query, 0.5, 3.0) - twice) < 1e-11


# ---- both


@each_rule
def test_no_context_says_nothing(rule):
    x, y, query = context(4, 0, 3, 16)
    assert torch.equal(rule(x, y, query), torch.zeros(4, 3, dtype=torch.float64))


@each_rule
def test_swapped_labels_swap_the_answer_exactly(rule):
    x, y, query = context(200, 9, 3, 16)
    assert torch.equal(rule(x, 1 - y, query), -rule(x, y, query))
    assert largest(rule(x, y, query)) > 1


@each_rule
def test_rotations_and_orders_of_the_context_change_nothing(rule):
    x, y, query = context(50, 9, 3, 16)
    rotation, order = torch.linalg.qr(normal(16, 16, seed=3))[0], torch.randperm(9, generator=generator(3))
    expected = rule(x, y, query)
    assert largest(rule(x @ rotation, y, query @ rotation) - expected) < 1e-12 * max(1, largest(expected))
    assert largest(rule(x[:, order], y[:, order], query) - expected) < 1e-12 * max(1, largest(expected))


@each_rule
def test_queries_are_answered_one_by_one(rule):
    x, y, query = context(10, 9, 4, 16)
    single = torch.cat([rule(x, y, query[:, j : j + 1]) for j in range(4)], 1)
    assert largest(rule(x, y, query) - single) < 1e-13 * max(1, largest(single))


@pytest.mark.parametrize(
    "task, tolerance", [(ShiftedMean(), 0.15), (ShiftedMean(sigma_k=9.0), 0.15), (Variance(), 0.1)]
)
def test_large_contexts_give_the_log_likelihood_ratio(task, tolerance):
    episodes = task.sample(50, 4000, 2, generator(0))
    difference = (task.log_odds(*episodes[:3]) - episodes.llr).abs()
    assert difference.median() < tolerance
    shorter = (task.log_odds(episodes.x[:, :250], episodes.y[:, :250], episodes.query) - episodes.llr).abs()
    assert 2 < (shorter.median() / difference.median()).item() < 8  # 1 / sqrt(n): 4


@pytest.mark.parametrize("n", [4, 32])
@pytest.mark.parametrize("task", [ShiftedMean(), Variance()])
def test_the_predictive_is_calibrated(task, n):
    """E[(label - p) g(log-odds)] = 0 for every g: no residual trend in the log-odds, nor at their ends."""
    episodes = task.sample(10_000, n, 4, generator(n))
    log_odds = task.log_odds(*episodes[:3])
    residual = episodes.label - log_odds.sigmoid()
    for g in (torch.ones_like(log_odds), log_odds, log_odds.tanh(), (log_odds > 2).double()):
        trend, error = mean(residual * g)
        assert abs(trend) < 3.5 * error
    wrong, error = mean((episodes.label - (1.15 * log_odds).sigmoid()) * log_odds)
    assert abs(wrong) > 3.5 * error  # a seventh too sure would be seen


OTHERS = {
    "shifted_mean": {
        "lda": lda,
        "unit lda": lambda *context: lda(*context, unit=True),
        "rbf": lambda x, y, query: nadaraya_watson(rbf(x, query, 2.0), y),
        "another prior": lambda *context: bayes_shifted_mean(*context, 0.3),
        "0.9 bayes": lambda *context: 0.9 * bayes_shifted_mean(*context, 3.0),
    },
    "variance": {
        "plug-in": plugin_variance,
        "clipped plug-in": lambda *context: plugin_variance(*context, clip=(0.5, 3.0)),
        "norms": lambda x, y, query: nadaraya_watson(norm_kernel(x, query, 5.0), y),
        "another prior": lambda *context: bayes_variance(*context, 0.1, 9.0),
        "0.9 bayes": lambda *context: 0.9 * bayes_variance(*context, 0.5, 3.0),
    },
}


@pytest.mark.parametrize("task", [ShiftedMean(), Variance()])
def test_no_other_rule_has_a_lower_cross_entropy(task):
    episodes = task.sample(10_000, 16, 2, generator(3))
    label, best = episodes.label.double(), task.log_odds(*episodes[:3])
    for name, rule in OTHERS[task.name].items():
        score = rule(*episodes[:3])
        regret, error = mean(bce(score, label) - bce(best, label))
        assert regret > 2 * error, name
        hits, error = mean(right(best, label) - right(score, label))
        assert hits >= -2 * error, name


REFERENCE = [  # task, n, episodes behind it; accuracy, cross-entropy, Pearson and Spearman correlation with the llr
    (ShiftedMean(), 4, 40_000, (0.64207, 0.62896, 0.48707, 0.47348)),
    (ShiftedMean(), 32, 40_000, (0.78335, 0.45241, 0.88597, 0.88526)),
    (ShiftedMean(sigma_k=9.0), 32, 40_000, (0.78912, 0.44818, 0.88432, 0.88312)),
    (ShiftedMean(), 128, 15_000, (0.81900, 0.38925, 0.96916, 0.96914)),
    (ShiftedMean(4, 1.0), 16, 40_000, (0.80970, 0.41203, 0.93172, 0.93148)),
    (Variance(), 4, 20_000, (0.80660, 0.36591, 0.80095, 0.92336)),
    (Variance(), 32, 20_000, (0.83425, 0.30663, 0.97614, 0.99217)),
    (Variance(), 64, 20_000, (0.83685, 0.29929, 0.98886, 0.99594)),
    (Variance(4), 16, 20_000, (0.72490, 0.49651, 0.89207, 0.93892)),
]


@pytest.mark.parametrize("task, n, behind, expected", REFERENCE)
def test_the_reference_table_is_met_within_monte_carlo_error(task, n, behind, expected):
    """Values of another implementation, on other episodes with one query each."""
    episodes = task.sample(5000, n, 1, generator(n))
    score, label = task.log_odds(*episodes[:3]), episodes.label.double()

    def in_batches(statistic):
        pairs = zip(score.numpy().reshape(20, -1), episodes.llr.numpy().reshape(20, -1), strict=True)
        values = [statistic(*pair).statistic for pair in pairs]
        return statistic(score[:, 0], episodes.llr[:, 0]).statistic, np.std(values, ddof=1) / math.sqrt(20)

    found = [
        mean(right(score, label)),
        mean(bce(score, label)),
        in_batches(stats.pearsonr),
        in_batches(stats.spearmanr),
    ]
    for (ours, error), theirs in zip(found, expected, strict=True):
        assert abs(ours - theirs) < 3.5 * error * math.sqrt(1 + 5000 / behind)
