"""The tasks draw what the paper says, and their oracle accuracies are those of its optimal rules."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from icl_lrt.comparison import right
from icl_lrt.estimates import mean
from icl_lrt.oracles.plugin import lda, plugin_variance
from icl_lrt.seeds import generator
from icl_lrt.tasks import ShiftedMean, Variance, flip_labels

TASKS = [ShiftedMean(), ShiftedMean(sigma_k=9.0), ShiftedMean(5, 0.0), Variance(), Variance(3, 0.2, 1.0)]


@pytest.mark.parametrize("task", TASKS)
def test_episodes_have_the_shapes_types_and_labels_they_say(task):
    episodes = task.sample(7, 6, 4, generator(0))
    assert [tuple(values.shape) for values in episodes] == [(7, 6, task.d), (7, 6), (7, 4, task.d), (7, 4), (7, 4)]
    assert {values.dtype for values in episodes[:4]} == {torch.float32} and episodes.llr.dtype == torch.float64
    labels = torch.cat([episodes.y, episodes.label], 1)
    assert set(labels.flatten().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("task", TASKS)
def test_only_the_generator_decides(task):
    before = torch.get_rng_state()
    one, two, other = (task.sample(3, 4, 2, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one.x, other.x) and not torch.equal(one.query, other.query)


@pytest.mark.parametrize("task", TASKS)
def test_labels_are_independent_fair_coins(task):
    episodes = task.sample(4000, 30, 2, generator(0))
    labels = torch.cat([episodes.y, episodes.label], 1).double().numpy()
    counts = np.bincount(labels.sum(1).astype(int), minlength=33)
    expected = 4000 * stats.binom(32, 0.5).pmf(np.arange(33))
    kept = expected > 5
    assert stats.chisquare(counts[kept], expected[kept] * counts[kept].sum() / expected[kept].sum()).pvalue > 1e-3
    assert np.abs(np.corrcoef(labels.T) - np.eye(32)).max() < 5 / math.sqrt(4000)


def test_shifted_mean_has_the_papers_parameters():
    """Two points of the same class and one of each in 20,000 episodes tell the moments of mu and k."""
    task = ShiftedMean(d=4, sigma_k=2.0)
    x, y, *_ = task.sample(20000, 2, 1, generator(0))
    s, x = 2 * y.double() - 1, x.double()
    products = (x[:, 0, :, None] * x[:, 1, None, :]).numpy()
    same = (s[:, 0] == s[:, 1]).numpy()
    for pairs, sign in ((products[same], 1), (products[~same], -1)):  # E x x' = k k' +- mu mu'
        expected = (4 + sign / 4) * np.eye(4)
        errors = pairs.std(0) / math.sqrt(len(pairs))
        assert np.abs((pairs.mean(0) - expected) / errors).max() < 4
    total = 1 + 4 + 1 / 4  # variance of a coordinate: noise, k, mu
    assert x.var(0).mean().item() == pytest.approx(total, abs=0.06)
    assert x.mean((0, 1)).abs().max() < 4 * math.sqrt(total / 20000)


@pytest.mark.parametrize("sigma_k", [0.0, 3.0, 9.0])
def test_llr_of_the_shifted_mean_is_gaussian_with_mean_two_and_variance_four(sigma_k):
    """2 mu.(x - k) = 2 s |mu|^2 + 2 mu.noise with |mu| = 1."""
    episodes = ShiftedMean(sigma_k=sigma_k).sample(5000, 0, 1, generator(1))
    signed = (2 * episodes.label.double() - 1) * episodes.llr
    assert stats.kstest(signed.flatten().numpy(), stats.norm(2, 2).cdf).pvalue > 1e-3


def test_llr_is_what_large_contexts_say():
    n = 50000
    episodes = ShiftedMean(d=4).sample(6, n, 50, generator(0))
    difference = (lda(*episodes[:3]) - episodes.llr).abs()
    assert difference.median() < 10 / math.sqrt(n) and difference.max() < 60 / math.sqrt(n)
    episodes = Variance(d=4).sample(6, n, 50, generator(0))
    difference = (plugin_variance(*episodes[:3]) - episodes.llr).abs() / (1 + episodes.llr.abs())
    assert difference.median() < 5 / math.sqrt(n) and difference.max() < 30 / math.sqrt(n)


def test_deviations_are_uniform_and_independent():
    x, y, *_ = Variance(d=16).sample(1000, 400, 1, generator(0))
    energy, ones = x.double().square().sum(-1), y.double()
    zero, one = (((energy * w).sum(1) / (16 * w.sum(1))).sqrt().numpy() for w in (1 - ones, ones))
    for sigma in (zero, one):  # known to 1 %
        assert stats.kstest(sigma, stats.uniform(0.5, 2.5).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(zero, one)[0, 1]) < 4 / math.sqrt(1000)


@pytest.mark.parametrize("task", TASKS)
def test_all_queries_of_an_episode_have_its_parameters(task):
    rule = lda if isinstance(task, ShiftedMean) else plugin_variance
    episodes = task.sample(3000, 500, 3, generator(0))
    hits = right(rule(*episodes[:3]), episodes.label).mean(0)
    assert (hits - task.oracle_accuracy()).abs().max() < 0.01 + 4 * math.sqrt(0.25 / 3000)


@pytest.mark.parametrize("task", TASKS)
def test_the_oracle_has_the_accuracy_it_says(task):
    episodes = task.sample(5000, 1, 8, generator(2))
    hits = mean(right(episodes.llr, episodes.label))
    assert abs(hits.value - task.oracle_accuracy()) < 4 * hits.se and hits.se < 4e-3


@pytest.mark.parametrize("d, low, high", [(16, 0.5, 3.0), (2, 0.5, 3.0), (5, 0.1, 0.4)])
def test_oracle_accuracy_of_the_variance_task_is_the_integral_over_pairs(d, low, high):
    def accuracy(a, b):
        threshold = 2 * d * math.log(b / a) / (a**-2 - b**-2)
        return (stats.chi2.cdf(threshold / a**2, d) + stats.chi2.sf(threshold / b**2, d)) / 2

    integral, _ = integrate.dblquad(accuracy, low, high, low, lambda b: b * (1 - 1e-9), epsabs=1e-7)  # pairs a < b
    expected = 2 * integral / (high - low) ** 2
    assert Variance(d, low, high).oracle_accuracy() == pytest.approx(expected, abs=1e-6)


def test_oracle_accuracies_of_the_papers_tasks():
    assert ShiftedMean().oracle_accuracy() == pytest.approx(stats.norm.cdf(1), abs=1e-15)
    assert Variance().oracle_accuracy() == pytest.approx(0.83984, abs=1e-5)


def test_labels_flip_with_the_given_probability_whatever_they_are():
    y = ShiftedMean().sample(4000, 32, 1, generator(0)).y
    kept = y.clone()
    flipped = flip_labels(y, 0.2, generator(1))
    assert torch.equal(y, kept)
    for label in (0, 1):
        share = (flipped != y)[y == label].double().mean().item()
        assert share == pytest.approx(0.2, abs=4 * math.sqrt(0.16 / 64000))
    assert torch.equal(flip_labels(y, 0.0, generator(1)), y) and torch.equal(flip_labels(y, 1.0, generator(1)), 1 - y)
    assert torch.equal(flipped, flip_labels(y, 0.2, generator(1)))


def test_bad_tasks_and_sizes_are_refused():
    with pytest.raises(ValueError, match="d = 0: choose at least 1 dimension"):
        ShiftedMean(d=0)
    with pytest.raises(ValueError, match="sigma_k = -1.0: choose a finite number >= 0"):
        ShiftedMean(sigma_k=-1.0)
    with pytest.raises(ValueError, match="sigma_k = inf"):
        ShiftedMean(sigma_k=math.inf)
    with pytest.raises(ValueError, match="low = 2.0, high = 1.0: choose 0 < low < high"):
        Variance(low=2.0, high=1.0)
    with pytest.raises(ValueError, match="queries = 0: choose at least 1 episode and 1 query"):
        Variance().sample(3, 4, 0, generator(0))
    with pytest.raises(ValueError, match="p = 1.5: choose a probability"):
        flip_labels(torch.zeros(2, 3), 1.5, generator(0))
