"""Comparisons with references against formulas, scikit-learn and rules whose calibration is known."""

import numpy as np
import pytest
import torch
from circuits import blobs
from scipy import stats
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression

from icl_lrt.comparison import calibration, compare, expected_calibration_error, isotonic_r2
from icl_lrt.seeds import generator


def noisy(score, size, seed=0):
    return score + size * torch.randn(score.shape, dtype=torch.float64, generator=generator(seed, "noise"))


@pytest.fixture(scope="module")
def episodes():
    return blobs(1500, 4, 4, 3, distance=2.0)


def test_the_oracle_has_the_accuracy_of_the_formula_and_is_calibrated(episodes):
    found = compare(episodes.llr, episodes.label, {"oracle": episodes.llr})
    assert found.accuracy.low < stats.norm.cdf(1) < found.accuracy.high
    assert abs(found.calibration_slope.value - 1) < 2.5 * found.calibration_slope.se < 0.15
    assert abs(found.calibration_intercept.value) < 2.5 * found.calibration_intercept.se < 0.15
    assert found.ece.value < 0.02
    own = found.against["oracle"]
    assert own.accuracy_gap[:2] == own.bce_gap[:2] == (0, 0)
    for one in (own.agreement, own.pearson, own.spearman, own.slope, own.isotonic_r2):
        assert one.value == pytest.approx(1)


def test_every_number_is_what_it_says(episodes):
    score, label, llr = noisy(episodes.llr, 1.0), episodes.label, episodes.llr
    found = compare(score, label, {"llr": llr})
    s, y, r = (values.flatten().numpy() for values in (score, label, llr))

    def loss(z):
        p = 1 / (1 + np.exp(-z))
        return -np.where(y == 1, np.log(p), np.log(1 - p))

    assert found.accuracy.value == pytest.approx(np.mean((s > 0) == (y == 1)))
    assert found.bce.value == pytest.approx(loss(s).mean())
    peer = LogisticRegression(C=1e10, tol=1e-10, max_iter=1000).fit(s[:, None], y)
    assert found.calibration_slope.value == pytest.approx(peer.coef_.item(), rel=1e-5)
    assert found.calibration_intercept.value == pytest.approx(peer.intercept_.item(), abs=1e-5)
    against = found.against["llr"]
    assert against.accuracy_gap.value == pytest.approx(np.mean((r > 0) == (y == 1)) - found.accuracy.value)
    assert against.bce_gap.value == pytest.approx((loss(s) - loss(r)).mean())
    assert against.agreement.value == pytest.approx(np.mean((s > 0) == (r > 0)))
    assert against.pearson.value == pytest.approx(stats.pearsonr(s, r).statistic)
    assert against.spearman.value == pytest.approx(stats.spearmanr(s, r).statistic)
    assert against.slope.value == pytest.approx(LinearRegression().fit(r[:, None], s).coef_.item())
    assert against.isotonic_r2.value == pytest.approx(IsotonicRegression().fit(r, s).score(r, s))


def test_gaps_are_paired_and_clustered(episodes):
    score, label, llr = noisy(episodes.llr, 0.3), episodes.label, episodes.llr
    gap = compare(score, label, {"llr": llr}).against["llr"].accuracy_gap
    difference = (((llr > 0) == (label > 0)).double() - ((score > 0) == (label > 0)).double()).mean(1)
    assert gap.se == pytest.approx(stats.sem(difference), rel=0.25)
    assert gap.se < 0.6 * compare(score, label, {}).accuracy.se
    twice = [values.repeat(1, 2) for values in (score, label, llr)]
    again = compare(twice[0], twice[1], {"llr": twice[2]})
    for one, other in zip(compare(score, label, {"llr": llr}).against["llr"], again.against["llr"], strict=True):
        assert other.se == pytest.approx(one.se, rel=1e-6)


def test_errors_are_those_of_a_bootstrap_over_episodes():
    episodes = blobs(150, 4, 6, 3, distance=2.0)
    score = noisy(episodes.llr, 1.0) + noisy(torch.zeros(150, 1, dtype=torch.float64), 1.0, 1)  # an episode's own error
    found = compare(score, episodes.label, {"llr": episodes.llr})
    drawn = torch.randint(150, (200, 150), generator=generator(0, "bootstrap"))
    slopes = [calibration(score[rows], episodes.label[rows])[0] for rows in drawn]
    r2 = [float(isotonic_r2(score[rows], episodes.llr[rows])) for rows in drawn]
    assert found.calibration_slope.se == pytest.approx(np.std(slopes), rel=0.25)
    assert found.against["llr"].isotonic_r2.se == pytest.approx(np.std(r2), rel=0.25)


def test_monotone_maps_cost_no_isotonic_r2_and_no_decision(episodes):
    score = 7 * torch.tanh(episodes.llr / 7)
    against = compare(score, episodes.label, {"llr": episodes.llr}).against["llr"]
    assert against.isotonic_r2.value == pytest.approx(1) and against.spearman.value == pytest.approx(1)
    assert against.accuracy_gap.value == 0 and against.agreement.value == 1 and against.pearson.value < 1


def test_over_and_under_confidence_are_seen(episodes):
    for factor in (0.25, 4.0):
        found = compare(factor * episodes.llr + 0.5, episodes.label, {})
        assert found.calibration_slope.value == pytest.approx(1 / factor, rel=0.1)
        assert found.calibration_intercept.value == pytest.approx(-0.5 / factor, abs=0.2)
        assert found.ece.value > 0.05


def test_calibration_holds_for_scores_that_run_to_hundreds():
    stream = generator(0, "heavy")
    score = 5 * torch.randn(20_000, 1, dtype=torch.float64, generator=stream) ** 5
    label = torch.bernoulli(score.sigmoid(), generator=stream)
    assert score.abs().max() > 1000
    assert calibration(score, label) == pytest.approx((1, 0), abs=0.1)


def test_calibration_error_by_hand():
    score = torch.linspace(-2, 2, 150, dtype=torch.float64)[torch.randperm(150, generator=generator(0))]
    label = torch.bernoulli((0.5 * score).sigmoid(), generator=generator(1))
    order = np.argsort(score.numpy())
    p, y = score.sigmoid().numpy()[order].reshape(15, 10), label.numpy()[order].reshape(15, 10)
    expected = np.abs(p.mean(1) - y.mean(1)).mean()
    assert float(expected_calibration_error(score.view(30, 5), label.view(30, 5))) == pytest.approx(expected)
