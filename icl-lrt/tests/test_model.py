"""The encoder against torch's own, its two forms against each other, and its variants against what they promise."""

import copy
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from icl_lrt.model import Architecture, Transformer, reads
from icl_lrt.seeds import generator

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from published import Published  # noqa: E402 (the peer of the benchmarks)

SMALL = Architecture(d=3, context=5, width=16, heads=2, feedforward=24)
MASKED = replace(SMALL, masked=True)


def network(architecture=SMALL, seed=0):
    """A network whose layers, norms and biases are all different, as after training; float64, to compare exactly."""
    model, draws = Transformer(architecture, generator(seed, "init")).double(), generator(seed, "stirred")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=draws)
    return model


def episodes(architecture=SMALL, batch=4, m=1, n=None, seed=1):
    draws, n = generator(seed, "episodes"), architecture.context if n is None else n
    x, query = (torch.randn(batch, rows, architecture.d, generator=draws).double() for rows in (n, m))
    return x, torch.randint(2, (batch, n), generator=draws).double(), query


def peer(model):
    """torch's encoder with the weights of ours, in training mode: evaluation takes a fused path with other rounding."""
    a = model.architecture
    with torch.random.fork_rng():
        plain = Published(a.d, a.context, a.width, a.heads, a.layers, a.feedforward).double().train()
    state = {}
    for name, value in model.state_dict().items():
        name = re.sub(r"^(layers\.\d+)\.(in_proj|out_proj)", r"\1.self_attn.\2", name)
        state[re.sub("^layers", "encoder.layers", name).replace("positions", "pos")] = value
    plain.load_state_dict(state)
    return plain


# ---- the published network


@pytest.mark.parametrize("architecture, n", [(Architecture(), 32), (replace(SMALL, layers=3), 2)])
def test_it_is_torchs_encoder_with_the_published_embeddings(architecture, n):
    """With fewer points than positions the query has the position after them."""
    model, inputs = network(architecture), episodes(architecture, batch=8, n=n)
    assert (model(*inputs) - peer(model)(*inputs)).abs().max() < 1e-12


def test_the_masked_form_is_torchs_encoder_behind_the_mask():
    model = network(MASKED)
    x, y, query = episodes(m=4)
    hidden = torch.ones(9, 9, dtype=torch.bool)  # True where torch's encoder may not look
    hidden[:, :5] = False
    hidden[range(9), range(9)] = False
    assert torch.equal(reads(5, 4, "cpu"), ~hidden)
    assert (model(x, y, query) - peer(model)(x, y, query, hidden)).abs().max() < 1e-12


def test_interleaved_tokens_are_inputs_and_labels_in_turn():
    model = network(replace(SMALL, layout="interleaved"))
    x, y, query = episodes(n=4)
    tokens = []
    for i in range(4):
        tokens += [model.x_proj(x[:, i]), model.label_embedding.weight[y[:, i].long()]]
    tokens = torch.stack([*tokens, model.x_proj(query[:, 0])], dim=1) + model.positions[:9]
    encoder = peer(network()).encoder
    layers = {name: value for name, value in model.state_dict().items() if name.startswith("layers")}
    encoder.load_state_dict({re.sub(r"(\d)\.(in|out)_proj", r"\1.self_attn.\2_proj", k): v for k, v in layers.items()})
    expected = model.head(encoder(tokens)[:, -1])
    assert (model(x, y, query) - expected).abs().max() < 1e-12


def test_attention_is_torchs():
    layer, heads = network().layers[0], nn.MultiheadAttention(16, 2, batch_first=True).double()
    own = {name: value for name, value in layer.state_dict().items() if re.match("(in|out)_proj", name)}
    heads.load_state_dict(own)
    tokens = torch.randn(4, 6, 16, generator=generator(0, "tokens")).double()
    expected = heads(tokens, tokens, tokens, average_attn_weights=False)[1]
    keys, values = layer.keys_values(tokens)
    assert (layer.attention(tokens, keys) - expected).abs().max() < 1e-12
    fused = F.scaled_dot_product_attention(layer.queries(tokens), keys, values)
    assert (layer.attention(tokens, keys) @ values - fused).abs().max() < 1e-12


def test_parameter_counts_are_the_published_ones():
    for architecture, expected in ((Architecture(), 405_505), (Architecture(layout="interleaved"), 464_641)):
        model = Transformer(architecture, generator(0, "init"))
        assert sum(parameter.numel() for parameter in model.parameters()) == expected


# ---- initial values


def test_layers_start_equal_and_seeds_differ():
    first, second = (Transformer(SMALL, generator(seed, "init")) for seed in (0, 1))
    for name, value in first.layers[0].state_dict().items():
        assert torch.equal(value, first.layers[1].state_dict()[name])
    assert not torch.equal(first.layers[0].in_proj_weight, second.layers[0].in_proj_weight)
    again = Transformer(SMALL, generator(0, "init")).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in first.state_dict().items())


@pytest.mark.parametrize("layout", ["pairs", "interleaved"])
def test_initial_values_are_spread_as_torchs_modules_are(layout):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        plain = Published().state_dict() | {"label_embedding.weight": nn.Embedding(100, 128).weight}
    plain = {re.sub(r"^encoder\.|self_attn\.", "", name).replace("pos", "positions"): v for name, v in plain.items()}
    for name, value in Transformer(Architecture(layout=layout), generator(0, "init")).state_dict().items():
        if value.numel() > 1_000:
            assert abs(value.std() / plain[name].std() - 1) < 0.05, name
        if name in ("positions", "label_embedding.weight"):  # normal, all others are uniform or constant
            continue
        ours, theirs = value.abs().max(), plain[name].abs().max()
        assert value.numel() == 1 or 0.9 * theirs <= ours <= 1.1 * theirs, name


def test_the_global_random_stream_is_left_alone():
    before = torch.get_rng_state()
    Transformer(SMALL, generator(0, "init")).double()(*episodes())
    assert torch.equal(torch.get_rng_state(), before)


# ---- two forms, one network


def test_without_a_mask_several_queries_are_several_sequences():
    model = network()
    x, y, query = episodes(m=3)
    single = torch.cat([model(x, y, query[:, i : i + 1]) for i in range(3)], dim=1)
    assert (model(x, y, query) - single).abs().max() < 1e-12


def test_behind_the_mask_a_query_does_not_see_the_others():
    model = network(MASKED)
    x, y, query = episodes(m=8)
    single = torch.cat([model(x, y, query[:, i : i + 1]) for i in range(8)], dim=1)
    assert (model(x, y, query) - single).abs().max() < 1e-12
    query.requires_grad_()
    (gradient,) = torch.autograd.grad(model(x, y, query)[:, 3].sum(), query)
    assert (gradient[:, 3] != 0).all() and not gradient[:, [0, 1, 2, 4, 5, 6, 7]].any()


def test_without_a_mask_the_context_reads_the_query():
    """The forms differ: they are two networks, not two ways to compute one."""
    x, y, query = episodes()
    masked = network(MASKED)
    plain = network()
    plain.load_state_dict(masked.state_dict())
    assert (plain(x, y, query) - masked(x, y, query)).abs().max() > 1e-3


@pytest.mark.parametrize(
    "changes", [{}, {"positions": "none"}, {"layout": "interleaved"}, {"layers": 1}, {"layers": 3}]
)
@pytest.mark.parametrize("n", [2, 5])
def test_a_kept_context_answers_as_the_whole_network(changes, n):
    model = network(replace(MASKED, **changes))
    x, y, query = episodes(m=6, n=n)
    assert (model.decode(model.encode(x, y), query, n) - model(x, y, query)).abs().max() < 1e-12


def test_without_positions_the_order_of_the_context_is_nothing():
    x, y, query = episodes()
    order = torch.tensor([3, 1, 4, 0, 2])
    for positions, same in (("none", True), ("learned", False)):
        model = network(replace(SMALL, positions=positions))
        moved = (model(x[:, order], y[:, order], query) - model(x, y, query)).abs().max()
        assert (moved < 1e-12) == same


def test_without_output_projections_the_context_is_not_heard():
    model = network()
    with torch.no_grad():
        for layer in model.layers:
            layer.out_proj.weight.zero_()
    x, y, query = episodes()
    others = episodes(seed=2)[:2]
    assert torch.equal(model(x, y, query), model(*others, query))


def test_without_labels_they_change_nothing():
    model = network(replace(SMALL, labels=False))
    x, y, query = episodes()
    assert torch.equal(model(x, y, query), model(x, 1 - y, query))
    assert (network()(x, y, query) != network()(x, 1 - y, query)).all()


def test_hooks_see_what_the_heads_deliver_and_what_a_layer_hands_on():
    model, seen = network(), {}
    for i, layer in enumerate(model.layers):
        layer.mixed.register_forward_hook(lambda _, __, out, i=i: seen.update({f"mixed {i}": out}))
        layer.stream.register_forward_hook(lambda _, __, out, i=i: seen.update({f"stream {i}": out}))
    x, y, query = episodes()
    logits = model(x, y, query)
    assert [tuple(seen[f"mixed {i}"].shape) for i in (0, 1)] == [(4, 6, 16), (4, 1, 16)]  # the last layer: queries only
    assert torch.equal(model.head(seen["stream 1"]).squeeze(-1), logits)


# ---- what is frozen


def test_frozen_parts():
    assert all(p.requires_grad for p in network().parameters()) and network().gradient_masks() == {}
    held = {name for name, p in network(replace(SMALL, frozen="attention")).named_parameters() if not p.requires_grad}
    attention = ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
    assert held == {f"layers.{i}.{name}" for i in (0, 1) for name in attention}
    held = {name for name, p in network(replace(SMALL, positions="frozen")).named_parameters() if not p.requires_grad}
    assert held == {"positions"}


def test_masks_of_frozen_queries_and_keys_leave_the_values():
    masks = network(replace(SMALL, frozen="qk")).gradient_masks()
    assert masks.keys() == {f"layers.{i}.in_proj_{kind}" for i in (0, 1) for kind in ("weight", "bias")}
    for mask in masks.values():
        assert not mask[:32].any() and (mask[32:] == 1).all() and len(mask) == 48


# ---- what is refused


def test_more_points_than_positions_are_refused():
    with pytest.raises(ValueError, match="7 points for positions of 5: give fewer, or take a model without positions"):
        network()(*episodes(n=7))
    assert network(replace(SMALL, positions="none"))(*episodes(n=7)).shape == (4, 1)


def test_an_unmasked_context_cannot_be_kept():
    with pytest.raises(ValueError, match="take masked=True"):
        network().encode(*episodes()[:2])


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"d": 0}, "d = 0: choose a whole number >= 1"),
        ({"heads": 3}, "width = 16 does not split into 3 heads: choose a multiple"),
        ({"layout": "mixed"}, "layout = 'mixed': choose from pairs, interleaved"),
        ({"positions": "sine"}, "positions = 'sine': choose from learned, frozen, none"),
        ({"frozen": "all"}, "frozen = 'all': choose from nothing, qk, attention"),
        ({"layout": "interleaved", "labels": False}, "take layout pairs for a model without labels"),
        ({"layout": "interleaved", "context": 256}, "context = 256: interleaved positions go to 255"),
    ],
)
def test_impossible_architectures_are_refused_with_advice(changes, says, unchecked):
    with pytest.raises(ValueError, match=re.escape(says)):
        replace(SMALL, **changes)


def test_a_copy_is_a_network_of_its_own():
    model = network()
    twin, (x, y, query) = copy.deepcopy(model), episodes()
    assert torch.equal(twin(x, y, query), model(x, y, query))
    with torch.no_grad():
        twin.head.weight.zero_()
    assert model.head.weight.any()
