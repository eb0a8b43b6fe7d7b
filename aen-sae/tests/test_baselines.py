"""SAELens's architectures from our starts: the same numbers as SAELens's own loop, conversion and files."""

import pytest
import torch
from sae_lens import SAE, SAETrainer, TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.config import SAETrainerConfig

from aen_sae.baselines import ARCHITECTURES, baseline, inference, train
from aen_sae.initialisation import INITS, initialise
from aen_sae.sae import AENTrainingSAE, AENTrainingSAEConfig
from aen_sae.spiked import Spiked

N, D, K, B = 16, 48, 2, 64
SPARSITY = {"standard": 0.3, "topk": 4, "batchtopk": 4, "jumprelu": 0.1, "gated": 0.3}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def data():
    """200 batches of a spiked teacher."""
    generator = seeded()
    teacher = Spiked.draw(N, D, 0.3, K, generator=generator)
    return [teacher.sample(B, generator)[0] for _ in range(200)]


def make(architecture, data, init="centered", sparsity=None):
    sparsity = SPARSITY[architecture] if sparsity is None else sparsity
    return baseline(architecture, N, D, sparsity, init=init, generator=seeded(1), mean=torch.cat(data).mean(0))


def run(sae, data, **options):
    return train(sae, iter(data), steps=len(data), batch_size=B, **options)


def close(a, b, tolerance=1e-5):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_starts_from_the_given_parameters(architecture, init, data):
    sae = make(architecture, data, init)
    start = initialise(init, N, D, seeded(1), torch.cat(data).mean(0))
    bias = sae.b_gate if architecture == "gated" else sae.b_enc
    for ours, expected in ((sae.W_enc, "W_enc"), (bias, "b_enc"), (sae.W_dec, "W_dec"), (sae.b_dec, "b_dec")):
        assert torch.equal(ours, start[expected])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_training_equals_saelens_fit(architecture, data):
    sae, theirs = make(architecture, data), make(architecture, data)
    run(sae, data[:40], dead_window=10)
    config = SAETrainerConfig(
        total_training_samples=40 * B, train_batch_size_samples=B, lr=1e-3, lr_end=1e-3, dead_feature_window=10
    )
    SAETrainer(config, theirs, iter(data)).fit()
    for name, tensor in theirs.state_dict().items():
        close(sae.state_dict()[name], tensor, 1e-4)


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "aen"])
def test_the_result_is_what_saelens_saves_and_loads(architecture, data, tmp_path):
    if architecture == "aen":
        sae = AENTrainingSAE(AENTrainingSAEConfig.from_author_units(N, D, 0.01, 0.001, init="centered"))
    else:
        sae = make(architecture, data)
    trained, x = run(sae, data), data[0]
    sae.save_inference_model(tmp_path)
    loaded = SAE.load_from_disk(tmp_path, fold_W_dec_norm=architecture != "topk")
    h = trained.encode(x)
    close(h, loaded.encode(x))
    close(trained.decode(h), loaded(x))
    close(trained.W_dec.norm(dim=1), torch.ones(D))
    if architecture != "batchtopk":  # its training code selects over the batch
        close(trained.decode(h), sae(x))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_training_explains_the_data_with_sparse_codes(architecture, data):
    trained, x = run(make(architecture, data), data, lr=3e-3), torch.cat(data[:20])
    h = trained.encode(x)
    explained = 1 - (x - trained.decode(h)).square().sum() / (x - x.mean(0)).square().sum()
    assert explained > 0.5
    assert (h >= 0).all() and (h > 0).sum(1).float().mean() < D / 2


def test_k_is_the_number_of_active_latents(data):
    x = torch.cat(data[:20])
    exact = run(make("topk", data, sparsity=3), data).encode(x)
    assert ((exact > 0).sum(1) <= 3).all() and (exact > 0).sum(1).float().mean() > 2.5
    average = run(make("batchtopk", data, sparsity=3), 4 * data).encode(x)  # its threshold is a running mean from 0
    assert (average > 0).sum(1).float().mean() == pytest.approx(3, rel=0.25)


def test_more_penalty_gives_fewer_active_latents(data):
    for architecture, grid in {"standard": (0.1, 1.0), "gated": (0.1, 1.0), "jumprelu": (0.003, 0.3)}.items():
        dense, sparse = (run(make(architecture, data, sparsity=s), data).encode(data[0]) for s in grid)
        assert (sparse > 0).sum() < 0.8 * (dense > 0).sum()


def test_the_window_finds_exactly_the_latents_that_never_fire(data):
    sae = make("standard", data)
    with torch.no_grad():
        sae.b_enc[:7] = -1e3
    trained = run(sae, data, dead_window=100)
    assert trained.silent[:7].all() and trained.window_dead == pytest.approx(trained.silent.sum().item() / D)
    fired = (trained.encode(torch.cat(data[-100:])) > 0).any(0)
    assert not (fired[7:] & trained.silent[7:]).any()


def test_only_the_generator_decides(data):
    state = torch.random.get_rng_state()
    first, second = (run(make("standard", data), data[:20]) for _ in range(2))
    assert torch.equal(first.W_dec, second.W_dec)
    assert torch.equal(torch.random.get_rng_state(), state)
    other = baseline("standard", N, D, 0.3, init="published", generator=seeded(2))
    assert not torch.equal(other.W_dec, make("standard", data, "published").W_dec)


def test_conversion_leaves_the_training_sae_alone(data):
    sae = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=N, d_sae=D, k=4))  # decoder norm .1: folding has work to do
    before = {name: tensor.clone() for name, tensor in sae.state_dict().items()}
    close(inference(sae)(data[0]), sae(data[0]))
    assert all(torch.equal(before[name], tensor) for name, tensor in sae.state_dict().items())


@pytest.mark.parametrize(
    ("architecture", "sparsity", "message"),
    [
        ("vanilla", 1.0, "standard, topk"),
        ("topk", 3.5, "whole"),
        ("topk", D + 1, f"0 < k <= {D}"),
        ("gated", 0.0, "l1_coefficient > 0"),
    ],
)
def test_a_wrong_request_says_what_to_do(architecture, sparsity, message):
    with pytest.raises(ValueError, match=message):
        baseline(architecture, N, D, sparsity, init="published", generator=seeded())


def test_activation_scaling_is_left_to_saelens(data):
    sae = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=N, d_sae=D, k=4, normalize_activations="expected_average_only_in"))
    with pytest.raises(ValueError, match=r"SAETrainer\.fit"):
        run(sae, data)
