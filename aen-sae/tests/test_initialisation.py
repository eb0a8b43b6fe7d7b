"""The two starts of the parameters."""

import pytest
import torch

from aen_sae.initialisation import INITS, centered, initialise, published

N, D = 48, 400


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def mean():
    return torch.randn(N, generator=seeded(9))


@pytest.mark.parametrize("kind", INITS)
def test_shapes_and_unit_decoder_rows(kind, mean):
    start = initialise(kind, N, D, seeded(), mean)
    assert {name: tuple(p.shape) for name, p in start.items()} == {
        "W_enc": (N, D), "b_enc": (D,), "W_dec": (D, N), "b_dec": (N,),
    }  # fmt: skip
    torch.testing.assert_close(start["W_dec"].norm(dim=1), torch.ones(D))


def test_published_start_has_the_distribution_of_torch_linear_layers():
    ours = published(N, D, seeded())
    with torch.random.fork_rng():
        torch.manual_seed(1)
        encoder, decoder = torch.nn.Linear(N, D), torch.nn.Linear(D, N, bias=False)
    theirs = {
        "W_enc": encoder.weight.T,
        "b_enc": encoder.bias,
        "W_dec": torch.nn.functional.normalize(decoder.weight.T, dim=1),
    }
    levels = torch.linspace(0.02, 0.98, 25)
    for name, sample in theirs.items():
        spread = 6 * sample.std() / sample.numel() ** 0.5  # six standard errors of a quantile, or more
        torch.testing.assert_close(
            ours[name].flatten().quantile(levels),
            sample.detach().flatten().quantile(levels),
            rtol=0,
            atol=spread.item(),
        )
    assert ours["W_enc"].abs().max() <= N**-0.5 and not ours["b_dec"].any()


def test_published_encoder_knows_nothing_of_the_decoder():
    start = published(N, D, seeded())
    cosine = torch.cosine_similarity(start["W_enc"].T, start["W_dec"], dim=1)
    assert cosine.mean().abs() < 5 / (N * D) ** 0.5  # each cosine has standard deviation 1 / sqrt(n)


def test_centered_start_is_tied_and_codes_the_mean_as_zero(mean):
    start = centered(N, D, mean, seeded())
    assert torch.equal(start["W_enc"], start["W_dec"].T)
    assert torch.equal(start["b_dec"], mean)
    assert not ((mean - start["b_dec"]) @ start["W_enc"] + start["b_enc"]).any()


def test_centered_atoms_are_uniform_on_the_sphere(mean):
    atoms = centered(N, 100 * N, mean, seeded())["W_dec"]
    eigenvalues = torch.linalg.eigvalsh(
        atoms.T @ atoms / 100
    )  # isotropic: all near 1; Marchenko-Pastur edges at 1 +- .2
    assert 0.75 < eigenvalues.min() and eigenvalues.max() < 1.25


@pytest.mark.parametrize("kind", INITS)
def test_only_the_generator_decides_the_start(kind, mean):
    before = torch.random.get_rng_state()
    first, again, other = (initialise(kind, N, D, seeded(s), mean) for s in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["W_dec"], other["W_dec"])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_centered_start_does_not_share_memory_with_the_mean(mean):
    start = initialise("centered", N, D, seeded(), mean)
    start["b_dec"] += 1
    assert torch.equal(mean + 1, start["b_dec"])


@pytest.mark.parametrize(
    ("kind", "mean", "message"),
    [
        ("centered", None, "pass mean"),
        ("centered", torch.zeros(N + 1), r"of shape \(48,\)"),
        ("xavier", None, "published, centered"),
    ],
)
def test_a_wrong_request_says_what_to_do(kind, mean, message):
    with pytest.raises(ValueError, match=message):
        initialise(kind, N, D, seeded(), mean)
