"""The spiked model: what is drawn is what the paper says."""

from dataclasses import replace

import pytest
import torch

from aen_sae.experiments.spiked import Config, _firing_rates
from aen_sae.metrics import dead_fraction
from aen_sae.seeds import generator
from aen_sae.spiked import Spiked, SpikedStream, sample_supports, spiked_dictionary
from aen_sae.stacked import SparseAutoencoder


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.5, 0.7, 0.9])
def test_mean_cosine_of_the_atoms_is_the_coherence(rho):
    atoms = spiked_dictionary(256, 1024, rho, generator(0, "atoms"))
    torch.testing.assert_close(atoms.norm(dim=1), torch.ones(1024))
    cosines = (atoms @ atoms.T)[~torch.eye(1024, dtype=torch.bool)]
    assert cosines.mean().item() == pytest.approx(rho, abs=0.02)


def test_supports_are_uniform_without_replacement():
    supports = sample_supports(60_000, 6, 3, generator(0, "supports"))
    assert all(len(set(row)) == 3 for row in supports[:2_000].tolist())
    counts = torch.bincount((1 << supports).sum(1))  # one number per set
    observed = counts[counts > 0].double()
    assert len(observed) == 20  # all sets of 3 of 6
    expected = 60_000 / 20
    assert ((observed - expected).square() / expected).sum() < 43.8  # chi-square with 19 degrees of freedom, p = .001


def test_samples_are_the_atoms_times_the_dense_code():
    teacher = Spiked.draw(16, 32, 0.5, 4, generator=generator(0, "teacher"))
    x, support, magnitude = teacher.sample(50, generator(0, "data"))
    codes = teacher.dense_codes(support, magnitude)
    torch.testing.assert_close(x, codes @ teacher.atoms)
    assert ((codes > 0).sum(1) == 4).all()
    assert magnitude.min() >= 1 and magnitude.max() <= 3


def test_the_stream_can_start_anywhere():
    teacher = Spiked.draw(8, 16, 0.5, 2, generator=generator(0, "teacher"))
    straight = SpikedStream(teacher, 4, seed=3)
    batches = [next(straight) for _ in range(120)]
    later = SpikedStream(teacher, 4, seed=3)
    later.load_state_dict({"step": 77})
    assert all(torch.equal(next(later), batch) for batch in batches[77:])
    assert not torch.equal(next(SpikedStream(teacher, 4, seed=4)), batches[0])
    assert not torch.equal(next(SpikedStream(teacher, 4, seed=3, name="held out")), batches[0])
    assert not torch.equal(batches[0], batches[50])  # chunks differ


def test_firing_rates_are_counted_on_as_many_held_out_samples_as_the_window_has():
    cell = Config(n=8, d=16, active=2, batch_size=4, window=30, steps=30)
    teacher = Spiked.draw(8, 16, 0.5, 2, generator=generator(0, "teacher"))
    stream = SpikedStream(teacher, 4, 0, name="firing rates")
    x = torch.cat([next(stream) for _ in range(30)])
    tied = SparseAutoencoder(teacher.atoms.T, torch.zeros(16), teacher.atoms, torch.zeros(8))
    strongest = tied.encode(x).amax(0)
    saes = [replace(tied, b_enc=-strongest * factor) for factor in (0.99, torch.linspace(0.5, 1.5, 16))]
    rates = _firing_rates(cell, teacher, saes)
    for rate, sae, dead in zip(rates, saes, (0.0, 0.5), strict=True):
        torch.testing.assert_close(rate, (sae.encode(x) > 0).float().mean(0))
        assert (rate == 0).float().mean() == dead_fraction(sae.encode(x)) == dead


def test_named_seeds_are_independent_streams():
    draws = {name: torch.rand(4, generator=generator(0, *name)) for name in (("a",), ("b",), ("a", 1), ("a", 2))}
    assert len({tuple(d.tolist()) for d in draws.values()}) == 4
    assert torch.equal(draws[("a",)], torch.rand(4, generator=generator(0, "a")))


@pytest.mark.parametrize("rho, k, message", [(1.0, 2, r"not in \[0, 1\)"), (0.5, 99, "do not fit into d = 16")])
def test_impossible_teachers_say_what_to_do(rho, k, message):
    with pytest.raises(ValueError, match=message):
        Spiked.draw(8, 16, rho, k, generator=generator(0, "teacher"))
