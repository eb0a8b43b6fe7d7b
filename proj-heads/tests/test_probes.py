"""Probes against scikit-learn, naive loops and problems whose answer is known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.preprocessing import StandardScaler

from proj_heads import probes
from proj_heads.probes import linear_probe, mlp_probe, published_probe, ridge_probe
from proj_heads.seeds import generator


def correlated(n=1500, d=20, classes=4, noise=1.0, name="features"):
    """Gaussian classes whose features have scales from 0.01 to 100 and are strongly correlated."""
    stream, shared = generator(0, name), generator(0, "model")
    centres = torch.randn(classes, d, generator=shared)
    mixing = torch.randn(d, d, generator=shared) @ torch.diag(torch.logspace(0, -2, d))
    scales = torch.logspace(-2, 2, d)
    y = torch.randint(classes, (n,), generator=stream)
    x = (centres[y] + noise * torch.randn(n, d, generator=stream)) @ mixing * scales + 3 * scales
    return x, y


def spirals(n, stream):
    """Two classes that no straight line separates: the sign of a product."""
    x = torch.randn(n, 2, generator=stream)
    return x, (x[:, 0] * x[:, 1] > 0).long()


@pytest.mark.parametrize("l2", [1e-4, 1e-2])
@pytest.mark.parametrize("classes", [3, 10])
def test_linear_probe_is_scikit_learns_logistic_regression(l2, classes):
    x, y = correlated(classes=classes)
    x = x.double()
    probe = linear_probe(x, y, l2, tolerance=1e-8)
    standard = StandardScaler().fit_transform(x.numpy())
    peer = LogisticRegression(C=1 / (len(x) * l2), tol=1e-8, max_iter=5000, solver="newton-cg").fit(standard, y.numpy())
    standardise, linear = probe.network
    torch.testing.assert_close(standardise(x), torch.from_numpy(standard))
    np.testing.assert_allclose(linear.weight.detach(), peer.coef_, atol=1e-4 * np.abs(peer.coef_).max())
    np.testing.assert_allclose(probe.network(x).softmax(1).detach(), peer.predict_proba(standard), atol=1e-5)
    assert probe.accuracy(x, y) == peer.score(standard, y.numpy())


def test_single_precision_features_give_the_same_linear_probe():
    x, y = correlated()
    single, double = linear_probe(x, y), linear_probe(x.double(), y)
    assert single.network[1].weight.dtype == torch.float32
    torch.testing.assert_close(single.network(x).double(), double.network(x.double()), atol=0.05, rtol=0)


def test_linear_probe_is_stationary_on_the_standardised_features():
    """A certificate by autograd that does not use the whitened coordinates."""
    x, y = (values.double() if values.is_floating_point() else values for values in correlated())
    probe = linear_probe(x, y, l2=1e-3, tolerance=1e-9)
    standardise, linear = probe.network
    loss = F.cross_entropy(linear(standardise(x)), y) + 1e-3 / 2 * linear.weight.square().sum()
    gradients = torch.autograd.grad(loss, [linear.weight, linear.bias])
    assert max(gradient.abs().max() for gradient in gradients) < 1e-8


def test_probes_do_not_depend_on_the_scale_of_the_features():
    x, y = correlated()
    moved = 1e-3 * x - 7e-3
    for train in (linear_probe, ridge_probe, lambda x, y: mlp_probe(x, y, generator(0), max_epochs=10)):
        assert train(moved, y).accuracy(moved, y) == pytest.approx(train(x, y).accuracy(x, y), abs=0.01)


def test_constant_features_are_ignored():
    x, y = correlated()
    constant = torch.cat([x, torch.full((len(x), 1), 0.1), torch.zeros(len(x), 1)], 1)
    torch.testing.assert_close(
        linear_probe(constant, y).network(constant), linear_probe(x, y).network(x), atol=1e-2, rtol=1e-3
    )
    for train in (ridge_probe, lambda x, y: mlp_probe(x, y, generator(0), max_epochs=3)):
        assert torch.isfinite(train(constant, y).network(constant)).all()


def test_an_unconverged_linear_probe_warns():
    x, y = correlated()
    with pytest.warns(UserWarning, match="stopped at a gradient of .* after .* evaluations: allow more, or raise l2"):
        probe = linear_probe(x, y, max_evaluations=3)
    assert probe.log["gradient"] > 5e-5
    assert linear_probe(x, y).log["gradient"] <= 5e-5


def test_ridge_probe_is_scikit_learns_ridge_classifier():
    x, y = correlated(classes=5)
    probe = ridge_probe(x, y, l2=1e-2)
    standard = StandardScaler().fit_transform(x.double().numpy())
    peer = RidgeClassifier(alpha=1e-2 * len(x)).fit(standard, y.numpy())
    scores = 2 * probe.network(x) - 1  # scikit-learn codes the classes as -1 and 1
    np.testing.assert_allclose(scores.detach().numpy(), peer.decision_function(standard), atol=1e-4)


@pytest.mark.parametrize("train", ["linear", "ridge", "mlp", "published"])
def test_separable_classes_are_told_apart(train):
    x, y = correlated(noise=0.01)
    test_x, test_y = correlated(500, noise=0.01, name="test")
    if train == "published":  # it does not standardise by itself
        x, test_x = (x - x.mean(0)) / x.std(0), (test_x - x.mean(0)) / x.std(0)
    probe = {
        "linear": lambda: linear_probe(x, y),
        "ridge": lambda: ridge_probe(x, y),
        "mlp": lambda: mlp_probe(x, y, generator(0)),
        "published": lambda: published_probe(x, y, generator(0), 64, epochs=20),
    }[train]()
    assert probe.accuracy(test_x, test_y) > 0.99


@pytest.mark.parametrize("train", ["linear", "mlp", "published"])
def test_shuffled_labels_are_read_at_chance(train):
    shuffle = torch.randperm(6000, generator=generator(0, "shuffle"))
    x, y = correlated(6000)
    (x, test_x), (y, test_y) = x.chunk(2), y[shuffle].chunk(2)
    probe = {
        "linear": lambda: linear_probe(x, y),
        "mlp": lambda: mlp_probe(x, y, generator(0)),
        "published": lambda: published_probe(x, y, generator(0), 64),
    }[train]()
    assert abs(probe.accuracy(test_x, test_y) - 0.25) < 0.03  # standard error .008


def test_mlp_probe_reads_what_a_linear_probe_cannot():
    x, y = spirals(3000, generator(0, "train"))
    test = spirals(2000, generator(0, "test"))
    assert abs(linear_probe(x, y).accuracy(*test) - 0.5) < 0.05
    probe = mlp_probe(x, y, generator(0))
    assert probe.accuracy(*test) > 0.97
    assert 9 < probe.log["epochs"] < 200  # at least three times three epochs without a new best


@pytest.mark.parametrize("delta", [None, 1.0, 0.1])
def test_mlp_probe_keeps_its_best_epoch_as_a_function_of_the_features_as_they_are(delta):
    """The accuracy was measured in whitened coordinates, before they went into the first layer."""
    x, y = correlated(400, noise=6.0)
    probe = mlp_probe(x, y, generator(0), delta=delta, validation=0.25)
    held_out = torch.randperm(400, generator=generator(0))[:100]
    assert probe.accuracy(x[held_out], y[held_out]) == pytest.approx(probe.log["validation_accuracy"])
    rest = torch.ones(400, dtype=torch.bool).index_fill(0, held_out, False)
    assert probe.accuracy(x[rest], y[rest]) > probe.accuracy(x[held_out], y[held_out])  # those it was trained on


@pytest.mark.parametrize("hidden", [None, 16])
def test_published_probe_equals_a_naive_loop(hidden):
    """Adam written out (Kingma & Ba, algorithm 1), batch by batch, in float64."""
    x, y = correlated(700, d=6)
    x = F.normalize(x.double())
    probe = published_probe(x, y, generator(7), hidden)
    stream = generator(7)
    network = probes._mlp(x, hidden, 4, stream)
    parameters = [parameter.detach().clone().requires_grad_() for parameter in network.parameters()]
    first, second, step = [0] * len(parameters), [0] * len(parameters), 0
    for _ in range(5):
        order = torch.randperm(700, generator=stream)
        for start in range(0, 700, 256):
            rows = order[start : start + 256]
            logits = x[rows] @ parameters[0].T + parameters[1]
            if hidden:
                logits = logits.clamp(min=0) @ parameters[2].T + parameters[3]
            loss = (logits.logsumexp(1) - logits[range(len(rows)), y[rows]]).mean()
            step += 1
            for index, gradient in enumerate(torch.autograd.grad(loss, parameters)):
                first[index] = 0.9 * first[index] + 0.1 * gradient
                second[index] = 0.999 * second[index] + 0.001 * gradient**2
                corrected = (second[index] / (1 - 0.999**step)).sqrt() + 1e-8
                with torch.no_grad():
                    parameters[index] -= 1e-3 * first[index] / (1 - 0.9**step) / corrected
    assert step == 15  # 2 whole batches and a rest, 5 epochs
    for ours, naive in zip(probe.network.parameters(), parameters, strict=True):
        torch.testing.assert_close(ours, naive, rtol=1e-9, atol=1e-12)


def test_equal_seeds_give_equal_probes_and_others_other_ones():
    x, y = correlated(400)
    for train in (published_probe, mlp_probe):
        first, second, other = (train(x, y, generator(seed)).network(x) for seed in (0, 0, 1))
        assert torch.equal(first, second) and not torch.equal(first, other)


def test_features_of_a_diverged_network_are_refused():
    x, y = correlated(100)
    x[3, 5] = torch.nan
    for train in (linear_probe, ridge_probe, lambda *xy: mlp_probe(*xy, generator(0)), published):
        with pytest.raises(ValueError, match="features are not finite"):
            train(x, y)


def published(x, y):
    return published_probe(x, y, generator(0))


def test_accuracy_is_the_share_of_right_answers():
    network = torch.nn.Sequential(torch.nn.Identity())
    logits = torch.tensor([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]])
    assert probes.Probe(network, {}).accuracy(logits, torch.tensor([1, 1, 1])) == pytest.approx(2 / 3)


def test_blocks_of_samples_change_nothing(monkeypatch):
    x, y = correlated(200)
    whole = linear_probe(x, y, l2=1e-2, tolerance=1e-6)
    monkeypatch.setattr(probes, "_BLOCK", 7)  # the last one has four samples
    blocks = linear_probe(x, y, l2=1e-2, tolerance=1e-6)
    torch.testing.assert_close(blocks.network(x), whole.network(x), rtol=0, atol=1e-3)


def test_wide_features_are_not_decomposed(monkeypatch):
    x, y = correlated(noise=3.0)
    narrow = linear_probe(x, y, tolerance=1e-5)
    monkeypatch.setattr(probes, "_LARGEST_WHITENED", 5)
    wide = linear_probe(x, y, tolerance=1e-5)
    torch.testing.assert_close(wide.network(x), narrow.network(x), atol=1e-2, rtol=1e-2)
    assert wide.log["evaluations"] > narrow.log["evaluations"]  # that is what whitening is for
