"""The classifier keeps scikit-learn's conventions and says what the network says."""

import pickle

import numpy as np
import pytest
import torch
from circuits import blobs, random_network, voter
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.multiclass import OneVsRestClassifier
from sklearn.utils.estimator_checks import check_estimator

from icl_lrt import checkpoints
from icl_lrt.classifier import ICLClassifier, centred, rescaled
from icl_lrt.model import Transformer
from repro_shared import UserError


def smoother(masked: bool = True) -> Transformer:
    """A real classifier for contexts of any length: a kernel smoother with a narrow kernel."""
    return voter(12, {(1, 0): (30.0, 1.0)}, masked=masked, large=300.0).float()


@pytest.fixture(params=[True, False], ids=["masked", "joint"])
def masked(request):
    return request.param


@pytest.fixture
def data():
    """Episodes, and the first one as arrays, with named classes."""
    episodes = blobs(1, 6, 150, 5, seed=1)
    y = np.array(["no", "yes"])[episodes.y[0].int().numpy()]
    return episodes, episodes.x[0].numpy(), y, episodes.query[0].numpy()


# ---- scikit-learn's checks


def failures(classifier: ICLClassifier) -> dict[str, BaseException]:
    """The checks that fail, with the first error of their chain."""
    found = {}
    for result in check_estimator(classifier, on_skip=None, on_fail=None):
        if result["status"] == "failed":
            error = result["exception"]
            while error.__cause__:
                error = error.__cause__
            found[result["check_name"]] = error
    return found


@pytest.mark.parametrize(
    ("masked", "options"), [(True, {}), (True, {"centred": True, "rms": 1.0}), (False, {})], ids=str
)
def test_all_of_scikit_learns_checks_pass_for_a_checkpoint(masked, options, tmp_path):
    checkpoints.save(smoother(masked), tmp_path / "model.safetensors")
    assert not failures(ICLClassifier(str(tmp_path / "model.safetensors"), **options))


def test_a_network_in_memory_fails_the_check_that_no_tensor_passes():
    """It compares joblib's hashes of a parameter and of its copy, which differ for any torch tensor."""
    assert failures(ICLClassifier(smoother())).keys() == {"check_estimators_overwrite_params"}


def test_a_network_with_positions_fails_where_the_context_is_too_long(tmp_path, unchecked):
    """And an untrained one would fail to score, had it not."""
    checkpoints.save(random_network(True, d=12, context=32), tmp_path / "model.safetensors")
    failed = failures(ICLClassifier(tmp_path / "model.safetensors"))
    for error in failed.values():
        assert "points for positions of 32: give fewer, or take a model without positions" in str(error)
    assert failed.keys() == {
        "check_positive_only_tag_during_fit",
        "check_dtype_object",
        "check_classifiers_train",
        "check_decision_proba_consistency",
        "check_fit_idempotent",
        "check_fit_check_is_fitted",
        "check_n_features_in",
    }


# ---- answers


def test_the_answers_are_the_networks(masked, data):
    model, (episodes, x, y, query) = random_network(masked), data
    logit = model(episodes.x, episodes.y, episodes.query)[0].detach().numpy()
    assert logit.min() < 0 < logit.max()
    classifier = ICLClassifier(model).fit(x, y)
    np.testing.assert_allclose(classifier.decision_function(query), logit, rtol=1e-10)
    assert list(classifier.classes_) == ["no", "yes"]
    np.testing.assert_array_equal(classifier.predict(query), np.where(logit > 0, "yes", "no"))
    probability = 1 / (1 + np.exp(-logit))
    np.testing.assert_allclose(classifier.predict_proba(query), np.stack([1 - probability, probability], 1))


def test_a_logit_of_zero_is_the_first_class(data):
    _, x, y, query = data
    model = smoother()
    torch.nn.init.zeros_(model.head.weight)
    classifier = ICLClassifier(model).fit(x, y)
    assert not classifier.decision_function(query).any() and set(classifier.predict(query)) == {"no"}


def test_fewer_points_take_the_first_positions(masked, data):
    model, (episodes, x, y, query) = random_network(masked), data
    found = ICLClassifier(model).fit(x[:4], y[:4]).decision_function(query)
    expected = model(episodes.x[:, :4], episodes.y[:, :4], episodes.query)[0].detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_a_masked_network_encodes_the_context_once(data):
    _, x, y, query = data
    classifier = ICLClassifier(random_network(True)).fit(x, y)
    before = classifier.decision_function(query)
    with torch.no_grad():
        classifier.model_.x_proj.weight.fill_(torch.nan)
    np.testing.assert_array_equal(classifier.decision_function(query), before)


def test_a_fitted_classifier_keeps_copies_of_what_it_was_given(masked, data):
    model, (_, x, y, query) = random_network(masked), data
    classifier = ICLClassifier(model, centred=True).fit(x, y)
    before = classifier.decision_function(query)
    x[:] = 0
    torch.nn.init.zeros_(model.head.weight)
    np.testing.assert_array_equal(classifier.decision_function(query), before)


def test_features_that_are_missing_are_zeros(masked, data):
    model, (_, x, y, query) = random_network(masked), data
    narrow = ICLClassifier(model).fit(x[:, :3], y).decision_function(query[:, :3])
    x[:, 3:], query[:, 3:] = 0, 0
    np.testing.assert_array_equal(narrow, ICLClassifier(model).fit(x, y).decision_function(query))


def test_it_clones_pickles_and_reads_a_file(masked, data, tmp_path):
    model, (_, x, y, query) = random_network(masked).float(), data
    checkpoints.save(model, tmp_path / "model.safetensors")
    expected = ICLClassifier(model, centred=True).fit(x, y).decision_function(query)
    from_file = ICLClassifier(tmp_path / "model.safetensors", centred=True)
    for other in (clone(from_file).fit(x, y), pickle.loads(pickle.dumps(clone(from_file).fit(x, y)))):
        np.testing.assert_array_equal(other.decision_function(query), expected)
    with pytest.raises(UserError, match="no checkpoint .*other.safetensors: check the path"):
        ICLClassifier(tmp_path / "other.safetensors").fit(x, y)


def test_more_classes_are_one_against_the_rest():
    x, y = make_blobs(90, 3, centers=4 * np.eye(3), random_state=0)
    with pytest.raises(ValueError, match="Only binary classification is supported.*wrap it in sklearn.*OneVsRest"):
        ICLClassifier(smoother()).fit(x, y)
    assert OneVsRestClassifier(ICLClassifier(smoother())).fit(x, y).score(x, y) > 0.95


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (np.hstack([x, x]), y), "10 features for a network of 5 inputs: project them to at most 5"),
        (lambda x, y: (x, np.full(6, "no")), "y has one class, .*: show points of two"),
        (lambda x, y: (np.vstack([x, x]), np.hstack([y, y])), "12 points for positions of 6: give fewer"),
    ],
)
def test_contexts_that_do_not_fit_are_refused(masked, data, change, message, unchecked):
    _, x, y, _ = data
    with pytest.raises(ValueError, match=message):
        ICLClassifier(random_network(masked)).fit(*change(x, y))
    with pytest.raises(ValueError, match="rms = 0: choose a root mean square > 0, or None"):
        ICLClassifier(random_network(masked), rms=0).fit(x, y)
    with pytest.raises(ValueError, match="a context of zeros has no scale"):
        ICLClassifier(random_network(masked), centred=True, rms=1.0).fit(np.ones_like(x), y)


# ---- equivariance


def test_centring_makes_the_answers_exactly_translation_equivariant(masked):
    """Bit by bit where the sums are exact: 8 points on a grid, moved by a whole number."""
    model, episodes = random_network(masked, context=8), blobs(1, 8, 50, 5)
    x, query = ((values[0].numpy() * 1024).round() / 1024 for values in (episodes.x, episodes.query))
    y, shift = episodes.y[0].numpy(), np.array([3.0, -7.0, 1000.0, 0.0, 64.0])
    there, here = (ICLClassifier(model, centred=True).fit(x + by, y).decision_function(query + by) for by in (shift, 0))
    np.testing.assert_array_equal(there, here)
    plain = ICLClassifier(model)
    moved = plain.fit(x + shift, y).decision_function(query + shift)
    assert np.abs(moved - plain.fit(x, y).decision_function(query)).max() > 0.1


def test_rescaling_makes_them_scale_equivariant(masked, data):
    model, (_, x, y, query) = random_network(masked), data
    classifier = ICLClassifier(model, rms=1.9)
    here = classifier.fit(x, y).decision_function(query)
    np.testing.assert_array_equal(classifier.fit(8 * x, y).decision_function(8 * query), here)
    np.testing.assert_allclose(classifier.fit(0.3 * x, y).decision_function(0.3 * query), here, rtol=1e-9)
    plain = ICLClassifier(model)
    factor = 1.9 / np.sqrt((x**2).mean())
    np.testing.assert_allclose(plain.fit(factor * x, y).decision_function(factor * query), here, rtol=1e-9)


def test_both_maps_work_on_episodes():
    episodes = blobs(30, 8, 5, 4)
    x, query = centred(episodes.x + 5, episodes.query + 5)
    torch.testing.assert_close(x.mean(1), torch.zeros(30, 4).double())
    torch.testing.assert_close(query, episodes.query - episodes.x.mean(1, keepdim=True))
    x, query = rescaled(episodes.x, episodes.query, 1.5)
    torch.testing.assert_close(x.square().mean((1, 2)), torch.full((30,), 1.5**2).double())
    torch.testing.assert_close(query / x[:, :1], episodes.query / episodes.x[:, :1])
