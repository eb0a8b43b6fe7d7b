"""Noise-aware rules against the sum over all true labels, their ends p = 0 and p = 1/2, and their use."""

import itertools
import math

import pytest
import torch
from scipy import special

from icl_lrt.comparison import bce
from icl_lrt.oracles.bayes import log_evidence
from icl_lrt.oracles.integrals import log_scale_integral
from icl_lrt.oracles.noisy import _von_mises_fisher_step, noisy_shifted_mean, noisy_variance
from icl_lrt.seeds import generator
from icl_lrt.tasks import ShiftedMean, Variance, flip_labels


def largest(x):
    return x.abs().max().item()


def noisy_episodes(task, episodes, n, m, flip, seed=0):
    """x, noisy y, query, label, in float64."""
    drawn = task.sample(episodes, n, m, generator(seed))
    y = flip_labels(drawn.y, flip, generator(seed, "noise"))
    return drawn.x.double(), y.double(), drawn.query.double(), drawn.label.double()


def assignments(y, flip):
    """All 2^n true labels, and the logarithm of their probability given the noisy ones: (2^n, n), (batch, 2^n)."""
    labels = torch.tensor(list(itertools.product((0.0, 1.0), repeat=y.shape[1])), dtype=torch.float64)
    flips = (labels != y[:, None]).double().sum(-1)
    return labels, flips * math.log(flip) + (y.shape[1] - flips) * math.log(1 - flip)


def summed_shifted_mean(x, y, query, sigma_k, flip):
    labels, log_prior = assignments(y, flip)
    s = 2 * labels - 1
    answers = []
    for s_q in (1, -1):
        per_query = []
        for j in range(query.shape[1]):
            q = query[:, None, j]
            sign = (s.sum(-1) + s_q).expand(len(x), -1)
            evidence = log_evidence(s @ x + s_q * q, sign, x.sum(1, keepdim=True) + q, x.shape[1] + 1, sigma_k)
            per_query.append(torch.logsumexp(log_prior + evidence, 1))
        answers.append(torch.stack(per_query, 1))
    return answers[0] - answers[1]


def summed_variance(x, y, query, low, high, flip):
    labels, log_prior = assignments(y, flip)
    d, energy = x.shape[-1], x.square().sum(-1)
    answers = []
    for label in (1, 0):
        per_query = []
        for j in range(query.shape[1]):
            evidence = log_prior
            for of_class in (0, 1):
                members = (labels == of_class).double()
                count, total = members.sum(-1).expand(len(x), -1), energy @ members.T
                if of_class == label:
                    count, total = count + 1, total + query[:, None, j].square().sum(-1)
                evidence = evidence + log_scale_integral(d * count, total, low, high)
            per_query.append(torch.logsumexp(evidence, 1))
        answers.append(torch.stack(per_query, 1))
    return answers[0] - answers[1]


# ---- the shifted mean task


@pytest.mark.parametrize("flip", [0.1, 0.4])
@pytest.mark.parametrize("n, d, sigma_k", [(2, 16, 1.0), (7, 16, 3.0), (5, 8, 0.0), (6, 3, math.inf)])
def test_sampling_agrees_with_the_sum_over_all_labels(n, d, sigma_k, flip):
    x, y, query, _ = noisy_episodes(ShiftedMean(d, min(sigma_k, 3.0)), 200, n, 1, flip)
    found = noisy_shifted_mean(x, y, query, sigma_k, flip, generator(1), sweeps=60)
    expected = summed_shifted_mean(x, y, query, sigma_k, flip)
    score = (found.log_odds - expected) / found.standard_error
    assert 0.5 < score.abs().median() < 0.9 and (score.abs() > 2.5).double().mean() < 0.06  # of a t_31: 0.68, 0.018
    assert abs((score * expected.sign()).clamp(-4, 4).mean()) < 4 / math.sqrt(200)  # no pull to 0 nor away from it
    assert found.standard_error.mean() < 0.1


def test_known_labels_give_the_clean_rule_without_error():
    task = ShiftedMean()
    x, y, query, _ = noisy_episodes(task, 10, 32, 3, 0.0)
    found = noisy_shifted_mean(x, y, query, task.sigma_k, 0.0, generator(0), sweeps=10)
    assert largest(found.log_odds - task.log_odds(x, y, query)) < 1e-11 and largest(found.standard_error) < 1e-12


def test_answers_far_out_are_finite():
    x, y, query, _ = noisy_episodes(ShiftedMean(), 3, 32, 1, 0.0)
    found = noisy_shifted_mean(x, y, 1000 * query, 3.0, 0.01, generator(0), sweeps=10)
    assert found.log_odds.isfinite().all() and largest(found.log_odds) > 800


@pytest.mark.parametrize("flip", [0.2, 0.4, 0.5])
def test_the_error_is_right_where_no_sum_is_possible(flip):
    """Two runs on the paper's size, where a weakly labelled context has two ends, mu and -mu, that chains must mix."""
    x, y, query, _ = noisy_episodes(ShiftedMean(), 60, 32, 1, flip)
    one, two = (noisy_shifted_mean(x, y, query, 3.0, flip, generator(seed)) for seed in (1, 2))
    error = (one.standard_error.square() + two.standard_error.square()).sqrt()
    score = (one.log_odds - two.log_odds) / error
    assert 0.7 < score.square().mean().sqrt() < 1.35 and error.mean() < 0.15
    if flip == 0.5:  # labels that say nothing
        assert (one.log_odds / one.standard_error).square().mean().sqrt() < 1.35


@pytest.mark.parametrize("d, kappa", [(2, 3.0), (3, 1.0), (16, 0.5), (16, 30.0), (16, 300.0)])
def test_the_metropolis_step_keeps_the_von_mises_fisher_law(d, kappa):
    """Mean resultant I_{d/2}(kappa) / I_{d/2-1}(kappa), and a mean square that follows from it."""
    options = {"generator": generator(0), "dtype": torch.float64, "device": "cpu"}
    pole = torch.nn.functional.normalize(torch.randn(1, 1, d, **options), dim=-1)
    mu = torch.nn.functional.normalize(torch.randn(1, 40_000, d, **options), dim=-1)
    for _ in range(20):
        mu = _von_mises_fisher_step(mu, (kappa * pole).expand(1, 40_000, d), options)
    u = (mu * pole).sum(-1)
    mean = special.ive(d / 2, kappa) / special.ive(d / 2 - 1, kappa)
    square = 1 - (d - 1) * mean / kappa
    assert abs(u.mean() - mean) < 4 * u.std() / 200 and abs(u.square().mean() - square) < 4 * u.square().std() / 200
    assert largest(mu.norm(dim=-1) - 1) < 1e-12
    across = (mu - u[..., None] * pole).mean(1)  # no side of the pole is preferred
    assert largest(across) < 5 / 200 / math.sqrt(d - 1)


def test_equal_generators_give_equal_answers():
    x, y, query, _ = noisy_episodes(ShiftedMean(d=3), 5, 4, 2, 0.2)
    before = torch.get_rng_state()
    runs = [noisy_shifted_mean(x, y, query, 3.0, 0.2, generator(seed), sweeps=12).log_odds for seed in (0, 0, 1)]
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])
    assert torch.equal(torch.get_rng_state(), before)


# ---- the variance task


@pytest.mark.parametrize("flip", [0.05, 0.2, 0.4])
@pytest.mark.parametrize("n, d, low, high", [(1, 3, 0.5, 3.0), (6, 16, 0.5, 3.0), (6, 2, 0.1, 4.0)])
def test_quadrature_agrees_with_the_sum_over_all_labels(n, d, low, high, flip):
    x, y, query, _ = noisy_episodes(Variance(d, low, high), 8, n, 3, flip)
    expected = summed_variance(x, y, query, low, high, flip)
    assert largest(noisy_variance(x, y, query, low, high, flip) - expected) < 1e-9


def test_the_ends_of_the_noise_are_the_clean_rule_and_nothing():
    task = Variance()
    x, y, query, _ = noisy_episodes(task, 10, 32, 3, 0.0)
    clean = task.log_odds(x, y, query)
    assert largest(noisy_variance(x, y, query, 0.5, 3.0, 0.0) - clean) < 1e-10 * largest(clean)
    assert largest(noisy_variance(x, y, query, 0.5, 3.0, 0.5)) < 1e-9


# ---- both


def noise_aware(task, x, y, query, flip):
    if isinstance(task, Variance):
        return noisy_variance(x, y, query, task.low, task.high, flip)
    return noisy_shifted_mean(x, y, query, task.sigma_k, flip, generator(9), chains=16, sweeps=30).log_odds


@pytest.mark.parametrize("task", [ShiftedMean(d=8), Variance(d=4)])
def test_knowing_the_noise_costs_the_fewest_nats(task):
    x, y, query, label = noisy_episodes(task, 1000, 16, 2, 0.2)
    best = noise_aware(task, x, y, query, 0.2)
    for other in (task.log_odds(x, y, query), noise_aware(task, x, y, query, 0.4)):
        regret = (bce(other, label) - bce(best, label)).mean(1)
        assert regret.mean() > 2.5 * regret.std() / math.sqrt(1000)
    residual = (label - best.sigmoid()) * torch.stack([torch.ones_like(best), best, best.tanh()])  # calibrated
    residual = residual.mean(-1)
    assert (residual.mean(1) / residual.std(1)).abs().max() < 3.5 / math.sqrt(1000)


def test_bad_noise_and_empty_contexts_are_refused():
    x, y, query, _ = noisy_episodes(Variance(d=3), 2, 4, 1, 0.0)
    with pytest.raises(ValueError, match="flip = 0.6: choose a probability from 0 to 1/2"):
        noisy_variance(x, y, query, 0.5, 3.0, 0.6)
    with pytest.raises(ValueError, match="flip = -0.1"):
        noisy_shifted_mean(x, y, query, 3.0, -0.1, generator(0))
    with pytest.raises(ValueError, match="a context without points has no labels to flip"):
        noisy_shifted_mean(x[:, :0], y[:, :0], query, 3.0, 0.1, generator(0))
    with pytest.raises(ValueError, match="1 chains of 100 sweeps: choose at least 2 and 10"):
        noisy_shifted_mean(x, y, query, 3.0, 0.1, generator(0), chains=1)
