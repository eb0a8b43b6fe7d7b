"""Plug-in rules and kernel smoothers against scipy, scikit-learn and naive loops, and the table of the fact sheet."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from icl_lrt.comparison import right
from icl_lrt.oracles.kernels import choose_bandwidth, dot_product, nadaraya_watson, norm_kernel, rbf
from icl_lrt.oracles.plugin import lda, plugin_variance
from icl_lrt.seeds import generator
from icl_lrt.tasks import ShiftedMean, Variance


def context(task, episodes, n, m, seed=0):
    """Episodes that all have both classes."""
    drawn = task.sample(episodes, n, m, generator(seed))
    drawn.y[:, 0], drawn.y[:, 1] = 0.0, 1.0
    return drawn.x.double(), drawn.y.double(), drawn.query.double()


def largest(x):
    return x.abs().max().item()


# ---- plug-ins


def test_lda_is_the_likelihood_ratio_of_the_estimated_classes():
    x, y, query = context(ShiftedMean(d=5), 10, 8, 3)
    for episode in range(10):
        zero, one = (x[episode][y[episode] == label].mean(0).numpy() for label in (0, 1))
        densities = [stats.multivariate_normal(m, np.eye(5)).logpdf(query[episode].numpy()) for m in (zero, one)]
        expected = torch.tensor(densities[1] - densities[0])
        assert largest(lda(x, y, query)[episode] - expected) < 1e-11


@pytest.mark.parametrize("unit", [False, True])
def test_lda_decides_for_the_nearest_centroid(unit):
    x, y, query = context(ShiftedMean(), 30, 12, 5)
    for episode in range(30):
        model = NearestCentroid().fit(x[episode].numpy(), y[episode].numpy())
        expected = torch.tensor(model.predict(query[episode].numpy()))
        assert torch.equal((lda(x, y, query, unit)[episode] > 0).double(), expected)


def test_unit_lda_has_a_direction_of_length_one():
    x, y, query = context(ShiftedMean(), 30, 12, 5)
    step = torch.randn(30, 1, 16, generator=generator(1), dtype=torch.float64)
    slope = lda(x, y, query + step, unit=True) - lda(x, y, query, unit=True)  # 2 mu.step
    raw = lda(x, y, query + step) - lda(x, y, query)
    estimate = torch.stack([(xs[ys > 0].mean(0) - xs[ys == 0].mean(0)) / 2 for xs, ys in zip(x, y, strict=True)])
    assert largest(raw / slope - estimate.norm(dim=1)[:, None]) < 1e-10
    assert largest(slope - 2 * (step @ estimate[..., None])[..., 0] / estimate.norm(dim=1)[:, None]) < 1e-11


@pytest.mark.parametrize("clip", [None, (0.5, 3.0), (1.0, 1.5)])
def test_plugin_variance_is_the_likelihood_ratio_of_the_estimated_classes(clip):
    x, y, query = context(Variance(d=5), 20, 6, 3)
    for episode in range(20):
        sigmas = [x[episode][y[episode] == label].square().mean().sqrt().item() for label in (0, 1)]
        if clip:
            sigmas = np.clip(sigmas, *clip)
        zero, one = (stats.norm(0, sigma).logpdf(query[episode].numpy()).sum(-1) for sigma in sigmas)
        found = plugin_variance(x, y, query, clip)[episode]
        assert largest(found - torch.tensor(one - zero)) < 1e-11 * max(1, largest(found))


@pytest.mark.parametrize("rule", [lda, lambda *c: lda(*c, unit=True)], ids=["raw", "unit"])
def test_a_missing_class_has_mean_zero(rule):
    x, query = torch.tensor([[[3.0, 4.0]]]), torch.tensor([[[3.0, 4.0], [0.0, 1.0]]])
    found = rule(x, torch.ones(1, 1), query)  # means (3, 4) and 0: mu = k = (1.5, 2)
    unit = found[0, 0].item() / 12.5  # raw: 2 (1.5, 2).(1.5, 2) = 12.5
    assert unit in (pytest.approx(1.0), pytest.approx(1 / 2.5))
    assert found[0, 1].item() == pytest.approx(unit * 2 * (-1.5 * 1.5 - 2.0))
    assert torch.equal(rule(x, torch.zeros(1, 1), query), -found)
    assert torch.equal(rule(x[:, :0], torch.ones(1, 0), query), torch.zeros(1, 2).double())


@pytest.mark.parametrize("clip", [None, (0.5, 3.0)])
def test_a_missing_class_has_the_variance_of_the_other(clip):
    x, y, query = context(Variance(), 4, 6, 3)
    for labels in (torch.zeros_like(y), torch.ones_like(y)):
        assert torch.equal(plugin_variance(x, labels, query, clip), torch.zeros(4, 3).double())
    assert torch.equal(plugin_variance(x[:, :0], y[:, :0], query, clip), torch.zeros(4, 3).double())


# ---- kernels


KERNELS = {
    "dot product": (dot_product, lambda q, p, h: q @ p / h),
    "rbf": (rbf, lambda q, p, h: -((q - p) @ (q - p)) / (2 * h * h)),
    "norms": (norm_kernel, lambda q, p, h: -((q @ q - p @ p) ** 2) / (2 * h * h)),
}


@pytest.mark.parametrize("bandwidth", [0.7, 4.0])
@pytest.mark.parametrize("name", KERNELS)
def test_nadaraya_watson_is_the_weighted_mean_of_labels(name, bandwidth):
    kernel, formula = KERNELS[name]
    x, y, query = context(ShiftedMean(d=3), 4, 7, 2)
    found = nadaraya_watson(kernel(x, query, bandwidth), y)
    for episode in range(4):
        for j in range(2):
            scores = [formula(query[episode, j], point, bandwidth).item() for point in x[episode]]
            weights = np.exp(np.array(scores) - max(scores))
            expected = weights @ (2 * y[episode].numpy() - 1) / weights.sum()
            assert found[episode, j].item() == pytest.approx(expected, abs=1e-10)


def test_published_kernel_divides_by_the_root_of_the_head_dimension():
    x, _, query = context(ShiftedMean(), 2, 4, 3)
    assert largest(dot_product(x, query) - dot_product(x, query, math.sqrt(128 / 4))) == 0


def test_bandwidths_go_from_the_nearest_neighbour_to_the_share_of_labels():
    x, y, query = context(ShiftedMean(), 10, 9, 6)
    narrow, wide = (nadaraya_watson(rbf(x, query, h), y) for h in (1e-3, 1e4))
    assert largest(wide - (2 * y - 1).mean(1, keepdim=True)) < 1e-5
    for episode in range(10):
        nearest = KNeighborsClassifier(1).fit(x[episode].numpy(), y[episode].numpy())
        assert torch.equal(narrow[episode], 2 * torch.tensor(nearest.predict(query[episode].numpy())) - 1)
    assert torch.equal(nadaraya_watson(rbf(x[:, :0], query, 1.0), y[:, :0]), torch.zeros(10, 6).double())


def test_only_the_published_kernel_sees_a_common_shift():
    x, y, query = context(ShiftedMean(), 10, 9, 6)
    moved = [
        nadaraya_watson(k(x + 5, query + 5, 2.0), y) - nadaraya_watson(k(x, query, 2.0), y) for k in (rbf, dot_product)
    ]
    assert largest(moved[0]) < 1e-10 and largest(moved[1]) > 0.1


@pytest.mark.parametrize("kernel, task", [(rbf, ShiftedMean(d=4)), (norm_kernel, Variance(d=4))])
def test_bandwidth_is_the_best_at_predicting_points_left_out(kernel, task):
    x, y, _ = context(task, 20, 10, 1)
    candidates = [0.3, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 9.0, 30.0]

    def error(bandwidth):
        errors = []
        for i in range(10):
            others = [j for j in range(10) if j != i]
            f = nadaraya_watson(kernel(x[:, others], x[:, i : i + 1], bandwidth), y[:, others])
            errors.append((2 * y[:, i : i + 1] - 1 - f).square())
        return torch.stack(errors).mean().item()

    expected = min(candidates, key=error)
    assert candidates[0] < expected < candidates[-1]
    assert choose_bandwidth(kernel, x, y, candidates) == expected
    with pytest.raises(ValueError, match="contexts of 1 points leave none to predict from"):
        choose_bandwidth(kernel, x[:, :1], y[:, :1], candidates)


# ---- the fact sheet's table, n = 32


@pytest.mark.parametrize(
    "task, rule, accuracy, pearson",
    [
        (ShiftedMean(), lda, 0.787, 0.875),
        (ShiftedMean(), lambda *c: lda(*c, unit=True), 0.787, 0.883),
        (ShiftedMean(sigma_k=0.0), lambda x, y, q: nadaraya_watson(dot_product(x, q), y), 0.726, None),
        (ShiftedMean(), lambda x, y, q: nadaraya_watson(dot_product(x, q), y), 0.579, 0.268),
        (ShiftedMean(sigma_k=9.0), lambda x, y, q: nadaraya_watson(dot_product(x, q), y), 0.526, None),
        (ShiftedMean(), lambda x, y, q: nadaraya_watson(rbf(x, q, 1.5), y), 0.712, 0.684),
        (ShiftedMean(), lambda x, y, q: nadaraya_watson(rbf(x, q, 2.0), y), 0.717, 0.704),
        (Variance(), plugin_variance, 0.8366, 0.994),
        (Variance(), lambda x, y, q: nadaraya_watson(dot_product(x, q), y), 0.526, 0.377),
        (Variance(), lambda x, y, q: nadaraya_watson(norm_kernel(x, q, 5.0), y), 0.817, 0.484),
    ],
)
def test_rules_have_the_accuracies_and_correlations_of_the_sheet(task, rule, accuracy, pearson):
    episodes = task.sample(10_000, 32, 2, generator(32))
    score = rule(*episodes[:3])
    hits = right(score, episodes.label).mean(1)
    assert abs(hits.mean() - accuracy) < 4 * (hits.std() / 100).item() + 5e-4  # and the sheet's rounding
    if pearson is not None:
        assert stats.pearsonr(score.flatten(), episodes.llr.flatten()).statistic == pytest.approx(pearson, abs=0.02)
