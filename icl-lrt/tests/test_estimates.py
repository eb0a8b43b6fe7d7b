"""Standard errors against formulas and the cluster bootstrap, correlations against scipy."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from icl_lrt.estimates import batched_correlation, correlation, jackknife, mean, pearson, permutation_test, spearman
from icl_lrt.seeds import generator


def clustered(episodes=120, m=8, seed=0):
    """Two samples that share an effect of the episode."""
    stream = generator(seed, "clustered")
    shared = torch.randn(episodes, 1, dtype=torch.float64, generator=stream)
    a = shared + torch.randn(episodes, m, dtype=torch.float64, generator=stream)
    b = shared + torch.randn(episodes, m, dtype=torch.float64, generator=stream)
    return a, b


def test_the_error_of_a_mean_is_that_of_the_episodes_means():
    a, _ = clustered(60)
    means = a.mean(1).numpy()
    found = mean(a)
    assert found.value == pytest.approx(means.mean())
    assert found.se == pytest.approx(stats.sem(means))
    interval = stats.t.interval(0.95, 59, means.mean(), stats.sem(means))
    assert (found.low, found.high) == pytest.approx(interval)


def test_equal_queries_of_an_episode_add_no_evidence():
    a, b = (values[:, :1] for values in clustered())
    repeated = a.repeat(1, 16), b.repeat(1, 16)
    assert mean(repeated[0]) == pytest.approx(mean(a))
    assert correlation(*repeated) == pytest.approx(correlation(a, b))


@pytest.mark.parametrize("episodes", [90, 370])  # as many groups as episodes, and groups of 3 or 4
@pytest.mark.parametrize("of", [pearson, spearman])
def test_the_error_of_a_correlation_is_that_of_the_cluster_bootstrap(of, episodes):
    a, b = clustered(episodes)
    drawn = torch.randint(episodes, (600, episodes), generator=generator(0, "bootstrap"))
    resampled = of(a[drawn].flatten(1), b[drawn].flatten(1))
    assert correlation(a, b, of).se == pytest.approx(float(resampled.std()), rel=0.2)


def test_ignoring_episodes_would_give_a_smaller_error():
    a, b = clustered()
    naive = correlation(a.flatten()[:, None], b.flatten()[:, None])
    assert naive.value == correlation(a, b).value and correlation(a, b).se > 1.4 * naive.se


def test_intervals_of_a_correlation_cover_it():
    covered = [est.low < 0.5 < est.high for est in (correlation(*clustered(40, 2, seed)) for seed in range(200))]
    assert 0.90 <= np.mean(covered) <= 0.99


def test_correlations_agree_with_scipy_with_ties():
    a, b = clustered(50, 3)
    for x, y in ((a, b), (a.round(), b), (a.round(), (b > 0).double())):
        x, y = x.flatten(), y.flatten()
        assert float(pearson(x, y)) == pytest.approx(stats.pearsonr(x, y).statistic)
        assert float(spearman(x, y)) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_a_constant_has_no_correlation():
    a, _ = clustered()
    for constant in (torch.zeros_like(a), torch.full_like(a, 0.1), 0.1 + 1e-16 * a):
        assert torch.isnan(pearson(a, constant)).all()
    assert permutation_test(a[:5, 0], torch.ones(5), generator(0)).p == 1.0


def test_the_published_correlation_is_a_mean_over_batches_of_episodes():
    a, b = clustered(300, 1)
    rows = [stats.pearsonr(a[i : i + 64, 0], b[i : i + 64, 0]).statistic for i in (0, 64, 128, 192)]
    found = batched_correlation(a, b, generator(0))
    assert found.value == pytest.approx(np.mean(rows))
    means = [np.mean(order) for order in itertools.product(rows, repeat=4)]  # the whole bootstrap distribution
    assert found.se == pytest.approx(np.std(means), rel=0.1)
    assert (found.low, found.high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.1 * np.ptp(rows))
    assert batched_correlation(a, b, generator(0)) == found != batched_correlation(a, b, generator(1))


def test_a_batch_never_holds_two_queries_of_an_episode():
    a, b = clustered(128, 2)
    one, other = (batched_correlation(a[:, [j]], b[:, [j]], generator(0)).value for j in (0, 1))
    assert batched_correlation(a, b, generator(0)).value == pytest.approx((one + other) / 2)


def test_permutation_test_is_scipys_exact_one():
    a, b = clustered(6, 1)
    found = permutation_test(a[:, 0], b[:, 0], generator(0))
    peer = stats.permutation_test(
        (a[:, 0].numpy(),),
        lambda x: stats.pearsonr(x, b[:, 0].numpy()).statistic,
        permutation_type="pairings",
        n_resamples=np.inf,
    )
    assert found.r == pytest.approx(peer.statistic)
    exact = np.mean(np.abs(peer.null_distribution) >= abs(peer.statistic) - 1e-9)
    assert found.p == pytest.approx(exact)
    assert permutation_test(a[:, 0], a[:, 0], generator(0)).p == pytest.approx(1 / 720)


def test_many_pairs_are_permuted_at_random():
    (a, _), (_, b) = clustered(12, 1, seed=1), clustered(12, 1, seed=2)
    found = permutation_test(a[:, 0], b[:, 0], generator(0), spearman)
    peer = stats.permutation_test(
        (a[:, 0].numpy(),),
        lambda x: stats.spearmanr(x, b[:, 0].numpy()).statistic,
        permutation_type="pairings",
        n_resamples=2000,
        rng=np.random.default_rng(0),
    )
    assert 0.2 < found.p < 0.9 and found.p == pytest.approx(peer.pvalue, abs=0.03)


def test_one_episode_is_refused():
    with pytest.raises(ValueError, match="1 episode has no standard error: give at least 2"):
        mean(torch.ones(1, 9))
    with pytest.raises(ValueError, match="100 episodes make 1 batches of 64: give at least 128"):
        batched_correlation(torch.ones(100, 1), torch.ones(100, 1), generator(0))


def test_the_jackknife_of_a_ratio_is_its_linearised_error():
    a, b = clustered(2000, 3)
    b = b + 10
    found = jackknife(lambda a, b: a.sum() / b.sum(), a, b)
    ratio = a.mean() / b.mean()
    linear = ((a - ratio * b).mean(1) / b.mean()).numpy()
    assert found.se == pytest.approx(stats.sem(linear), rel=0.2)
