"""Tools that look into a network find what was built into it by hand, and their nulls find nothing."""

import math

import numpy as np
import pytest
import torch
from circuits import blobs, random_network, voter, votes_of
from scipy import stats
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from icl_lrt import mechanism
from icl_lrt.estimates import pearson
from icl_lrt.mechanism import tracing
from icl_lrt.seeds import generator

D, SHARPNESS = 4, 2.0
TWO = {(0, 1): (SHARPNESS, 0.25), (1, 2): (SHARPNESS, 0.75)}
"""A vote of weight 1/4 in head 1 of layer 0, and one of weight 3/4 in head 2 of layer 1."""


@pytest.fixture(params=[True, False], ids=["masked", "joint"])
def masked(request):
    return request.param


@pytest.fixture
def episodes():
    return blobs(200, 16, 3, D)


# ---- trace


def test_the_hand_built_network_is_the_kernel_smoother_it_was_meant_to_be(masked, episodes):
    expected = 3 * (0.25 + 0.75) * votes_of(episodes, SHARPNESS)
    for model in (voter(D, TWO, masked=masked), voter(D, {(2, 0): (SHARPNESS, 1.0)}, 3, masked)):
        torch.testing.assert_close(mechanism.logits(model, episodes), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("layout", ["pairs", "interleaved"])
def test_a_trace_is_the_forward_pass(masked, layout):
    model, episodes = random_network(masked, layout=layout), blobs(7, 6, 3, 5)
    seen = mechanism.trace(model, episodes)
    tokens = 12 if layout == "interleaved" else 6
    assert seen.streams.shape == (3, 7, 3, 16) and seen.attention.shape == (2, 7, 3, 4, tokens)
    assert torch.equal(seen.logit, model(episodes.x, episodes.y, episodes.query))
    torch.testing.assert_close(seen.streams[0], model.embed_query(episodes.query))
    torch.testing.assert_close(seen.attention.sum(-1) + seen.attention_to_self, torch.ones(2, 7, 3, 4).double())
    # from the recorded attention, with the first layer's values, by hand
    context, query = model.embed_context(episodes.x, episodes.y), seen.streams[0]
    layer = model.layers[0]
    values, own = (
        (t @ layer.in_proj_weight[32:].T + layer.in_proj_bias[32:]).unflatten(-1, (4, 4)) for t in (context, query)
    )
    read = torch.einsum("bmht,bthk->bmhk", seen.attention[0], values) + seen.attention_to_self[0, ..., None] * own
    torch.testing.assert_close(seen.mixed[0], read.flatten(-2))


def test_several_queries_are_traced_as_if_each_were_alone(masked):
    model, episodes = random_network(masked), blobs(5, 6, 3, 5)
    together = mechanism.trace(model, episodes)
    for j in range(3):
        one = episodes._replace(query=episodes.query[:, [j]], label=episodes.label[:, [j]], llr=episodes.llr[:, [j]])
        alone = mechanism.trace(model, one)
        for whole, part in zip(together[:-1], alone[:-1], strict=True):
            torch.testing.assert_close(whole[:, :, [j]], part)
        torch.testing.assert_close(together.logit[:, [j]], alone.logit)


def test_nothing_depends_on_how_many_episodes_are_held_at_once(masked, monkeypatch):
    model, episodes = random_network(masked), blobs(9, 6, 2, 5)

    def everything():
        seen = mechanism.trace(model, episodes)
        means = mechanism.mean_outputs(model, episodes)
        given = mechanism.donors(episodes, "labels")
        return [
            *seen,
            *means,
            mechanism.ablated_logits(model, episodes, 0, 1, means[0]),
            mechanism.patched_logits(model, episodes, given),
        ]

    whole = everything()
    monkeypatch.setattr(tracing, "_TOKENS", 40)
    parts = list(tracing.in_parts(model, episodes))
    assert len(parts) > 1 and torch.equal(torch.cat([part.x for part in parts]), episodes.x)
    for one, other in zip(whole, everything(), strict=True):
        torch.testing.assert_close(one, other)


def test_no_hook_is_left_behind(masked, unchecked):
    model, episodes = random_network(masked), blobs(4, 6, 2, 5)
    before = mechanism.logits(model, episodes)
    mechanism.ablations(model, episodes, "mean")
    mechanism.patches(model, episodes, "labels")
    with pytest.raises(RuntimeError):
        mechanism.ablated_logits(model, episodes._replace(query=episodes.query[..., :2]), 0, 0)
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
    assert torch.equal(mechanism.logits(model, episodes), before)


# ---- lens


def test_the_lens_at_the_last_layer_is_the_logit(masked):
    model, episodes = random_network(masked).float(), blobs(64, 6, 3, 5)
    seen = mechanism.trace(model, episodes)
    assert torch.equal(mechanism.logit_lens(model, seen.streams)[-1], seen.logit)


def test_the_published_embedding_lacks_only_the_position(masked):
    model, episodes = random_network(masked), blobs(200, 6, 1, 5)
    seen = mechanism.trace(model, episodes)
    published = mechanism.logit_lens(model, mechanism.published_embedding(model, episodes.query)[None])[0]
    ours = mechanism.logit_lens(model, seen.streams)[0]
    constant = (ours - published).flatten()
    torch.testing.assert_close(constant, (model.positions[-1] @ model.head.weight[0]).expand(200))
    assert constant[0].abs() > 0.01
    torch.testing.assert_close(
        pearson(ours.flatten(), episodes.llr.flatten()), pearson(published.flatten(), episodes.llr.flatten())
    )


def test_the_lens_shows_in_which_layer_the_vote_arrives(masked, episodes):
    model = voter(D, {(1, 0): (SHARPNESS, 1.0)}, 3, masked)
    lens = mechanism.logit_lens(model, mechanism.trace(model, episodes).streams)
    assert lens[:2].abs().max() < 1e-6
    layers = mechanism.readouts(lens, votes_of(episodes, SHARPNESS), generator(0))
    assert [layer.layer for layer in layers] == [0, 1, 2, 3]
    for layer in layers[2:]:
        assert layer.pearson.value == pytest.approx(1) and layer.spearman_batched.value == pytest.approx(1, abs=1e-3)
    llr = mechanism.readouts(lens, episodes.llr, generator(0))
    assert 0.8 < llr[2].pearson.value < 1 and llr[2].pearson.low < llr[2].pearson_batched.value < llr[2].pearson.high


def test_a_readout_is_scipys_correlation_pooled_and_in_batches():
    model, episodes = random_network(True), blobs(192, 6, 1, 5)
    lens = mechanism.logit_lens(model, mechanism.trace(model, episodes).streams)
    for layer, virtual in zip(mechanism.readouts(lens, episodes.llr, generator(0)), lens, strict=True):
        x, y = virtual[:, 0].numpy(), episodes.llr[:, 0].numpy()
        batches = [slice(start, start + 64) for start in (0, 64, 128)]
        for whole, batched, of in (
            (layer.pearson, layer.pearson_batched, stats.pearsonr),
            (layer.spearman, layer.spearman_batched, stats.spearmanr),
        ):
            assert whole.value == pytest.approx(of(x, y).statistic)
            assert batched.value == pytest.approx(np.mean([of(x[rows], y[rows]).statistic for rows in batches]))


# ---- probes


def test_a_probe_reads_the_vote_only_once_it_is_there(masked, episodes):
    model = voter(D, {(1, 0): (SHARPNESS, 1.0)}, 2, masked)
    target = votes_of(episodes, SHARPNESS)
    probes = mechanism.ridge_probes(mechanism.trace(model, episodes).streams, target, generator(0), 99)
    assert all(abs(probe.pearson.value) < 0.15 and probe.p > 0.02 for probe in probes[:2])
    assert probes[2].pearson.value > 0.999 and probes[2].p == 1 / 100


def test_a_probe_is_scikit_learns_ridge_on_the_other_half():
    stream = generator(0, "streams")
    x = torch.randn(1, 60, 2, 7, dtype=torch.float64, generator=stream) * torch.logspace(-3, 3, 7)
    target = x[0, ..., 3] + 0.3 * torch.randn(60, 2, dtype=torch.float64, generator=stream)
    (probe,) = mechanism.ridge_probes(x, target, generator(0), 3)
    train, test = x[0, :30].reshape(60, 7).numpy(), x[0, 30:].reshape(60, 7).numpy()
    scaler = StandardScaler().fit(train)
    ridge = RidgeCV(mechanism.probes.PENALTIES).fit(scaler.transform(train), target[:30].flatten())
    predicted = ridge.predict(scaler.transform(test))
    expected = np.corrcoef(predicted, target[30:].flatten())[0, 1]
    assert probe.pearson.value == pytest.approx(expected) == pytest.approx(float(probe.null[0]))


def test_a_probe_of_noise_finds_nothing_and_its_p_value_is_uniform():
    stream, found = generator(0, "noise"), []
    for _ in range(40):
        # 30 features, as many as episodes to fit on, and equal targets within an episode
        shared = torch.randn(1, 60, 1, 30, dtype=torch.float64, generator=stream)
        x = shared + 0.3 * torch.randn(1, 60, 4, 30, dtype=torch.float64, generator=stream)
        target = torch.randn(60, 1, dtype=torch.float64, generator=stream).expand(60, 4)
        found += mechanism.ridge_probes(x, target, generator(0), 19)
    p = np.array([probe.p for probe in found])
    assert abs(np.mean([probe.pearson.value for probe in found])) < 0.1
    assert 0.38 < p.mean() < 0.67 and p.min() >= 1 / 20  # mean .525, standard error .046


# ---- voting


def test_votes_of_the_planted_heads_are_the_kernel_smoother(masked, episodes):
    seen = mechanism.trace(voter(D, TWO, masked=masked), episodes)
    votes = mechanism.votes(seen, episodes.y)
    expected = votes_of(episodes, SHARPNESS)
    torch.testing.assert_close(votes[0, ..., 1], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(votes[1, ..., 2], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(mechanism.learned_kernel(seen, episodes.y)[1, ..., 2], expected, atol=1e-6, rtol=0)
    balance = ((2 * episodes.y - 1).sum(1) / 17)[:, None].expand(200, 3)  # 16 points and the query itself
    torch.testing.assert_close(votes[1, ..., 0], balance, atol=1e-6, rtol=0)
    assert float(mechanism.entropy(seen)[1, ..., 0].mean()) == pytest.approx(math.log(17))


def test_voting_is_found_in_the_planted_heads_and_its_null_elsewhere(masked, episodes):
    model = voter(D, TWO, masked=masked)
    for head in mechanism.voting(mechanism.trace(model, episodes), episodes.y, episodes.llr, generator(0), 50):
        own = 0 if (head.layer, head.head) in TWO else 1 / 17
        assert head.to_self == pytest.approx(own, abs=1e-6)
        assert head.to_self + head.to_class0 + head.to_class1 == pytest.approx(1)
        assert head.pearson.value == pytest.approx(float(head.null[0]))
        if own == 0:
            assert head.pearson.low > 0.8 and head.p == 1 / 51 and head.null[1:].abs().max() < 0.3
        else:
            assert abs(head.pearson.value) < 0.15 and head.p == 1.0


def test_a_head_with_the_opposite_kernel_votes_negatively(episodes):
    seen = mechanism.trace(voter(D, {(1, 0): (-SHARPNESS, -1.0)}), episodes)
    head = mechanism.voting(seen, episodes.y, episodes.llr, generator(0), 20)[4]
    assert (head.layer, head.head) == (1, 0) and head.pearson.high < -0.8 and head.p == 1 / 21


def test_both_tokens_of_an_interleaved_point_belong_to_its_class():
    model, episodes = random_network(True, layout="interleaved"), blobs(9, 6, 2, 5)
    seen = mechanism.trace(model, episodes)
    signs = 2 * episodes.y - 1
    weights = seen.attention[..., 0::2] + seen.attention[..., 1::2]
    expected = (weights * signs[:, None, None]).sum(-1)
    torch.testing.assert_close(mechanism.votes(seen, episodes.y), expected)


def test_votes_are_correlated_as_by_scipy_and_kernels_leave_the_query_out():
    model, episodes = random_network(False), blobs(40, 6, 2, 5)
    seen = mechanism.trace(model, episodes)
    kernel, signs = mechanism.learned_kernel(seen, episodes.y), 2 * episodes.y - 1
    expected = (seen.attention * signs[:, None, None]).sum(-1) / (1 - seen.attention_to_self)
    torch.testing.assert_close(kernel, expected)
    for head in mechanism.voting(seen, episodes.y, episodes.llr, generator(0), 5):
        vote = (seen.attention[head.layer, :, :, head.head] * signs[:, None]).sum(-1)
        x, y = vote.flatten(), episodes.llr.flatten()
        assert head.pearson.value == pytest.approx(stats.pearsonr(x, y).statistic)
        assert head.spearman.value == pytest.approx(stats.spearmanr(x, y).statistic)
