"""Ablation, patching and attribution find what was built into a network by hand, and equal what is done by hand."""

import copy
import math

import numpy as np
import pytest
import torch
from circuits import blobs, random_network, voter, votes_of
from scipy import stats

from icl_lrt import mechanism
from icl_lrt.comparison import bce, right
from icl_lrt.estimates import spearman
from icl_lrt.mechanism import patching
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


# ---- heads


def test_an_identity_circuit_along_the_answer_is_aligned():
    model = random_network(True)
    label = model.y_proj.weight[:, 0].detach()
    with torch.no_grad():  # head 0 copies, head 1 negates the first 4 coordinates; the label and the answer lie there
        label[4:] = 0
        model.y_proj.weight[:, 0] = label
        model.head.weight[0] = 2 * label
        layer = model.layers[0]
        layer.in_proj_weight[32:] = 0
        for head, sign in ((0, 1.0), (1, -1.0)):
            rows = slice(4 * head, 4 * head + 4)
            layer.in_proj_weight[32:][rows, :4] = torch.eye(4).double()
            layer.out_proj.weight[:, rows] = sign * torch.eye(16, 4).double()
    ov = mechanism.ov_alignment(model)
    torch.testing.assert_close(ov.alignment[0], torch.tensor([1.0, -1.0, 0.0, 0.0]).double())
    torch.testing.assert_close(ov.norm[0], torch.tensor([1.0, 1.0, 0.0, 0.0]).double())


def test_alignment_is_the_published_formula():
    model = random_network(True, seed=3)
    found = mechanism.ov_alignment(model)
    width, size = 16, 4
    direction = model.y_proj.weight[:, 0] / model.y_proj.weight.norm()
    u = model.head.weight[0].detach()
    for number, layer in enumerate(model.layers):
        for head in range(4):
            start = 2 * width + size * head
            written = layer.in_proj_weight[start : start + size] @ direction
            written = (layer.out_proj.weight[:, size * head : size * head + size] @ written).detach()
            assert float(found.norm[number, head]) == pytest.approx(float(written.norm()))
            cosine = float(written @ u / written.norm() / u.norm())
            assert float(found.alignment[number, head]) == pytest.approx(cosine)
    with pytest.raises(ValueError, match="not shown labels"):
        mechanism.ov_alignment(random_network(True, labels=False))


def test_interleaved_labels_are_told_apart_by_the_difference_of_their_tokens():
    model = random_network(True, layout="interleaved")
    before = mechanism.ov_alignment(model).alignment
    with torch.no_grad():
        model.label_embedding.weight.copy_(model.label_embedding.weight.flip(0))
    torch.testing.assert_close(mechanism.ov_alignment(model).alignment, -before)


def test_the_planted_heads_are_aligned_with_their_sign():
    model = voter(D, {(0, 1): (1.0, 0.5), (1, 2): (1.0, -0.5)})
    expected = torch.zeros(2, 4).double()
    expected[0, 1], expected[1, 2] = 1, -1
    torch.testing.assert_close(mechanism.ov_alignment(model).alignment, expected)


def test_ablation_finds_the_voting_heads_alone(masked, episodes):
    model = voter(D, TWO, masked=masked)
    accuracy = right(mechanism.logits(model, episodes), episodes.label).mean()
    for kind in ("zero", "mean"):
        for lost in mechanism.ablations(model, episodes, kind):
            weight = TWO.get((lost.layer, lost.head), (0, 0))[1]
            votes = votes_of(episodes, SHARPNESS)
            gone = votes if kind == "zero" else votes - votes.mean()
            assert lost.logit_rmse.value == pytest.approx(3 * weight * float(gone.square().mean().sqrt()), abs=1e-6)
            if weight == 0:
                assert lost.accuracy_drop.value == 0 and lost.bce_increase.value == pytest.approx(0, abs=1e-7)
            else:
                assert lost.bce_increase.low > 0
    alone = voter(D, {(1, 2): (SHARPNESS, 1.0)}, masked=masked)
    (drop,) = (a.accuracy_drop for a in mechanism.ablations(alone, episodes, "zero") if (a.layer, a.head) == (1, 2))
    assert drop.value == pytest.approx(float(accuracy - (1 - episodes.label).mean()))  # always 0, for a logit of 0


def test_a_head_that_says_the_same_always_is_missed_by_zero_ablation_only(masked, episodes):
    model = voter(D, {(1, 0): (SHARPNESS, 1.0)}, masked=masked)
    layer, size = model.layers[0], D + 2
    with torch.no_grad():
        layer.in_proj_bias[2 * model.architecture.width + 3 * size] = 0.5  # of the values of head 3
        layer.out_proj.weight[:, 3 * size] = model.layers[1].out_proj.weight[:, 0]
    zero, mean = (
        {(a.layer, a.head): a for a in mechanism.ablations(model, episodes, kind)}[0, 3] for kind in ("zero", "mean")
    )
    assert zero.logit_rmse.value == pytest.approx(1.5, abs=1e-6) and zero.bce_increase.value != 0
    assert mean.logit_rmse.value == pytest.approx(0, abs=1e-6)


def test_zero_ablation_zeroes_the_columns_of_the_output_projection(masked):
    model, episodes = random_network(masked), blobs(20, 6, 2, 5)
    whole = mechanism.logits(model, episodes)
    found = {(a.layer, a.head): a for a in mechanism.ablations(model, episodes, "zero")}
    assert len(found) == 8
    for layer in range(2):
        for head in range(4):
            damaged = copy.deepcopy(model)
            with torch.no_grad():
                damaged.layers[layer].out_proj.weight[:, 4 * head : 4 * head + 4] = 0
            expected = mechanism.logits(damaged, episodes)
            torch.testing.assert_close(mechanism.ablated_logits(model, episodes, layer, head), expected)
            lost, label = found[layer, head], episodes.label
            assert lost.accuracy_drop.value == pytest.approx(
                float((right(whole, label) - right(expected, label)).mean())
            )
            assert lost.bce_increase.value == pytest.approx(float((bce(expected, label) - bce(whole, label)).mean()))
            assert lost.logit_rmse.value == pytest.approx(float((expected - whole).square().mean().sqrt()))


def test_mean_ablation_of_the_last_layer_is_a_bias(masked):
    model, episodes = random_network(masked), blobs(20, 6, 2, 5)
    output = mechanism.trace(model, episodes).mixed[1].mean((0, 1))
    means = mechanism.mean_outputs(model, episodes)
    for head in range(4):
        columns, moved = slice(4 * head, 4 * head + 4), copy.deepcopy(model)
        with torch.no_grad():
            projection = moved.layers[1].out_proj
            projection.bias += projection.weight[:, columns] @ output[columns]
            projection.weight[:, columns] = 0
        found = mechanism.ablated_logits(model, episodes, 1, head, means[1])
        torch.testing.assert_close(found, mechanism.logits(moved, episodes))


def test_tokens_of_the_context_keep_their_own_means(masked):
    model, episodes = random_network(masked), blobs(20, 6, 2, 5)
    first, last = mechanism.mean_outputs(model, episodes)
    assert first.shape == (8 if masked else 7, 16) and last.shape == (2 if masked else 1, 16)
    layer, context = model.layers[0], model.embed_context(episodes.x, episodes.y)
    if masked:  # nothing but the context is read
        keys, values = layer.keys_values(context)
        read = (layer.attention(context, keys) @ values).transpose(1, 2).flatten(-2).mean(0)
        torch.testing.assert_close(first[:6], read)
    torch.testing.assert_close(first[-1], mechanism.trace(model, episodes).mixed[0].mean((0, 1)))


def test_alignment_is_tested_against_what_each_head_is_worth():
    model, episodes = random_network(True), blobs(200, 6, 2, 5)
    ov, lost = mechanism.ov_alignment(model), mechanism.ablations(model, episodes, "zero")
    drops = np.array([ablation.accuracy_drop.value for ablation in lost])
    found = mechanism.alignment_test(ov.alignment, lost, generator(0))
    assert found.r == pytest.approx(stats.pearsonr(ov.alignment.flatten(), drops).statistic)
    ranked = mechanism.alignment_test(ov.alignment, lost, generator(0), spearman)
    assert ranked.r == pytest.approx(stats.spearmanr(ov.alignment.flatten(), drops).statistic)
    assert 2 / math.factorial(8) < found.p < 1


# ---- patching


@pytest.mark.parametrize("donor", ["labels", "context"])
def test_recovery_is_the_part_of_the_vote_cast_so_far(masked, donor, episodes):
    model = voter(D, TWO, 3, masked)
    patches = mechanism.patches(model, episodes, donor)
    assert [patch.recovery.value for patch in patches] == pytest.approx([0, 0.25, 1, 1], abs=1e-6)


def test_patching_every_stream_is_the_donors_run_and_none_the_bases(masked):
    model, episodes = random_network(masked, layers=3), blobs(60, 6, 3, 5)
    for donor in ("labels", "context"):
        given = mechanism.donors(episodes, donor)
        first, *_, last = mechanism.patches(model, episodes, donor)
        assert torch.equal(first.logit, mechanism.logits(model, episodes)) and first.recovery.value == 0
        torch.testing.assert_close(last.logit, mechanism.logits(model, given))
        assert last.recovery.value == pytest.approx(1) and last.recovery.se < 1e-9


def test_another_querys_stream_is_all_of_it_unless_the_context_has_read_the_query(masked):
    model, episodes = random_network(masked, layers=3), blobs(60, 6, 3, 5)
    patches = mechanism.patches(model, episodes, "query")
    values = [patch.recovery.value for patch in patches]
    assert values[0] == 1 and values[-1] == pytest.approx(1)
    expected = mechanism.logits(model, episodes).roll(-1, 1)
    torch.testing.assert_close(patches[0].logit, expected)
    if masked:
        assert values == pytest.approx([1] * 4)
    else:
        assert abs(values[1] - 1) > 1e-3


def test_patching_is_a_forward_pass_by_hand():
    """A joint network of two layers: the second one reads the base's context and the donor's query."""
    model, base = random_network(False), blobs(11, 6, 1, 5)
    donor = mechanism.donors(base, "context")
    assert torch.equal(donor.x[0], base.x[1]) and torch.equal(donor.y[0], base.y[1])
    torch.testing.assert_close(donor.query, base.query)

    def first_layer(episodes):
        tokens = torch.cat([model.embed_context(episodes.x, episodes.y), model.embed_query(episodes.query)], 1)
        return model.layers[0](tokens, *model.layers[0].keys_values(tokens))

    tokens = torch.cat([first_layer(base)[:, :-1], first_layer(donor)[:, -1:]], 1)
    expected = model.head(model.layers[1](tokens, *model.layers[1].keys_values(tokens))[:, -1])
    torch.testing.assert_close(mechanism.patched_logits(model, base, donor)[1], expected)


def test_a_network_whose_heads_write_nothing_gives_donors_no_say(masked):
    model, episodes = random_network(masked), blobs(20, 6, 2, 5)
    with torch.no_grad():
        for layer in model.layers:
            layer.out_proj.weight.zero_()
    for donor in ("labels", "context"):
        assert torch.equal(
            mechanism.logits(model, mechanism.donors(episodes, donor)), mechanism.logits(model, episodes)
        )
        assert all(np.isnan(patch.recovery.value) for patch in mechanism.patches(model, episodes, donor))


def test_unknown_or_impossible_donors_are_refused(unchecked):
    episodes = blobs(3, 6, 1, 5)
    with pytest.raises(ValueError, match="unknown donor 'y': choose from labels, context, query"):
        patching.donors(episodes, "y")
    with pytest.raises(ValueError, match="1 query in an episode: sample at least 2"):
        patching.donors(episodes, "query")


# ---- attribution


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_contributions_sum_to_the_logit(masked, precision):
    model, episodes = random_network(masked, layers=3).to(precision), blobs(50, 6, 2, 5)
    seen = mechanism.trace(model, episodes)
    parts = mechanism.attributions(model, seen)
    assert list(parts)[:3] == ["embedding", "layer 0 head 0", "layer 0 head 1"]
    assert list(parts)[-3:] == ["layer 2 head 3", "layer 2 feed-forward", "biases"] and len(parts) == 2 + 3 * 5
    error = (sum(parts.values()) - seen.logit).abs().max()
    assert error < (1e-5 if precision is torch.float32 else 1e-12)
    shares = mechanism.variance_shares(parts, seen.logit)
    assert sum(share.value for share in shares.values()) == pytest.approx(1, abs=1e-5)


def test_contributions_are_products_with_the_frozen_norms_matrices(masked):
    model, episodes = random_network(masked), blobs(3, 6, 2, 5)
    seen = mechanism.trace(model, episodes)
    parts = mechanism.attributions(model, seen)
    for b in range(3):
        for q in range(2):
            stream, matrices, written = seen.streams[0, b, q], [], {}
            written["embedding"] = (0, stream)
            for number, layer in enumerate(model.layers):
                mixed = seen.mixed[number, b, q]
                for head in range(4):
                    columns = slice(4 * head, 4 * head + 4)
                    add = layer.out_proj.weight[:, columns] @ mixed[columns]
                    written[f"layer {number} head {head}"] = (2 * number, add)
                attended = stream + layer.out_proj(mixed)
                matrices.append(frozen(layer.norm1, attended))
                middle = layer.norm1(attended)
                forward = layer.linear2.weight @ torch.nn.functional.gelu(layer.linear1(middle))
                written[f"layer {number} feed-forward"] = (2 * number + 1, forward)
                matrices.append(frozen(layer.norm2, middle + forward + layer.linear2.bias))
                stream = layer.norm2(middle + forward + layer.linear2.bias)
            for name, (norm, vector) in written.items():
                for matrix in matrices[norm:]:
                    vector = matrix @ vector
                expected = float((model.head.weight[0] @ vector).detach())
                assert float(parts[name][b, q]) == pytest.approx(expected, abs=1e-10)


def frozen(norm, entering):
    """The linear map of a layer norm at its scale here."""
    centring = torch.eye(len(entering)).double() - 1 / len(entering)
    return torch.diag(norm.weight) @ centring / (entering.var(correction=0) + norm.eps).sqrt()


def test_the_voting_heads_have_the_logit_to_themselves(masked, episodes):
    model = voter(D, TWO, masked=masked)
    seen = mechanism.trace(model, episodes)
    shares = mechanism.variance_shares(mechanism.attributions(model, seen), seen.logit)
    for name, share in shares.items():
        expected = {"layer 0 head 1": 0.25, "layer 1 head 2": 0.75}.get(name, 0.0)
        assert share.value == pytest.approx(expected, abs=1e-6)
