"""Noise models: covariances, traces and divergences against what they are defined to be."""

import math

import pytest
import torch
from states import states

from infonce_langevin.dynamics import Langevin
from infonce_langevin.energies import hard, infonce
from infonce_langevin.noise import Constant, Equatorial, HessianNoise, Isotropic, Matched, absolute, gibbs_drift
from infonce_langevin.seeds import generator
from infonce_langevin.spheres import normalised, tangent

MODELS = [
    (Isotropic(), lambda z: torch.ones(3)),
    (Isotropic(2.5), lambda z: 2.5 * torch.ones(3)),
    (Constant((20.0, 20.0, 10.0)), lambda z: torch.tensor([20.0, 20.0, 10.0])),
    (Equatorial(), lambda z: torch.tensor([20 - 19 * z[2] ** 2, 20 - 19 * z[2] ** 2, 0.1])),
]


@pytest.mark.parametrize("model, entries", MODELS)
def test_diagonal_models_have_the_entries_they_say(model, entries):
    z, xi = states(4, 3), states(4, 3, seed=1)
    scaled, trace = model.scaled(z, xi, hard), model.trace(z, hard).expand(4, 6)
    for i in range(4):
        for c in range(6):
            expected = entries(z[i, :, c]).double()
            assert (scaled[i, :, c] - expected.sqrt() * xi[i, :, c]).abs().max() <= 1e-12
            assert float(trace[i, c]) == pytest.approx(float(expected.sum()), abs=1e-10)


def test_a_matrix_per_chain_is_that_of_each():
    z, xi = states(4, 3, chains=2), states(4, 3, chains=2, seed=1)
    both = Constant(torch.tensor([[1.0, 20.0], [1.0, 20.0], [0.1, 10.0]], dtype=torch.float64)).scaled(z, xi, hard)
    for c, diagonal in enumerate([(1.0, 1.0, 0.1), (20.0, 20.0, 10.0)]):
        assert (both[..., c] - Constant(diagonal).scaled(z, xi, hard)[..., c]).abs().max() <= 1e-12


@pytest.mark.parametrize("energy", [hard, infonce(0.2)])
def test_hessian_noise_has_the_law_of_the_eigendecomposition(energy):
    """B B^T = 5 |H| + .1 I, which is all that the law of B xi depends on."""
    z, model = states(4, 3, chains=40), HessianNoise()
    h = energy.hessian(z)
    values, vectors = torch.linalg.eigh(h)
    expected = vectors @ ((5 * values.abs() + 0.1)[..., None] * vectors.mT)
    columns = [model.scaled(z, xi[..., None].expand(4, 3, 40), energy) for xi in torch.eye(12).double().view(12, 4, 3)]
    root = torch.stack([column.flatten(0, 1).T for column in columns], 2)
    error = torch.linalg.matrix_norm(root @ root.mT - expected, 2)
    assert (error <= 5e-3 * h.norm(dim=(1, 2))).all()
    trace = expected.diagonal(dim1=1, dim2=2).view(40, 4, 3).sum(2).T
    assert ((model.trace(z, energy) - trace).abs() / trace).max() < 5e-3


def test_hessian_noise_does_not_depend_on_how_chains_are_divided():
    z, xi = states(4, 3, chains=600), states(4, 3, chains=600, seed=1)
    all_at_once, last = HessianNoise().scaled(z, xi, hard), HessianNoise().scaled(z[..., 590:], xi[..., 590:], hard)
    assert (all_at_once[..., 590:] - last).abs().max() <= 1e-12


def test_absolute_values_of_matrices():
    vectors, _ = torch.linalg.qr(torch.randn(3, 5, 5, generator=generator(0), dtype=torch.float64))
    values = torch.tensor(
        [[-3.0, -0.5, 0.02, 1.0, 2.0], [0.0, 0.0, 0.0, 0.0, 0.0], [-1.0, 1.0, -1.0, 1.0, -1e-5]]
    ).double()
    found = absolute(vectors @ (values[..., None] * vectors.mT))
    expected = vectors @ (values.abs()[..., None] * vectors.mT)
    assert (torch.linalg.matrix_norm(found - expected, 2) <= 1e-3 * values.norm(dim=1) + 1e-15).all()
    assert torch.equal(found, found.mT)


@pytest.mark.parametrize("other", [Constant((20.0, 20.0, 10.0)), Equatorial(), HessianNoise()])
def test_matched_noise_is_isotropic_and_has_the_trace_of_the_other(other):
    z, model = states(4, 3), Matched(other)
    assert (model.trace(z, hard) - other.trace(z, hard)).abs().max() <= 1e-12
    scale = model.scaled(z, torch.ones_like(z), hard)
    assert torch.equal(scale, scale[:, :1].expand_as(scale))
    assert (3 * scale[:, 0].square() - other.trace(z, hard)).abs().max() <= 1e-10


@pytest.mark.parametrize("model", [Constant((2.0, 1.0, 0.1)), Equatorial(), Isotropic(3.0)])
def test_the_corrected_drift_is_that_of_the_divergence(model):
    """div(D grad f) for f = z_a and D = P A P, by finite differences of the field on the sphere."""
    z, beta, h = states(1, 3, chains=1), torch.tensor([0.7], dtype=torch.float64), 1e-5
    slope = torch.zeros_like(z)
    basis = torch.linalg.svd(z[..., 0], full_matrices=True)[2][1:]  # two tangent directions

    def field(at):  # columns D grad z_a, (3, 3)
        along = torch.eye(3, dtype=z.dtype) - at[0] @ at[0].T
        return along @ torch.diag(model.entries(at).expand(1, 3, 1)[0, :, 0]) @ along

    divergence = torch.zeros(3, dtype=z.dtype)
    for direction in basis:
        ahead, behind = (normalised(z + sign * h * direction[None, :, None]) for sign in (1, -1))
        divergence += direction @ (field(ahead) - field(behind)) / (2 * h)
    expected = tangent(z, (divergence / beta)[None, :, None])  # the normal part is the normalisation's
    assert (tangent(z, gibbs_drift(model, z, slope, beta)) - expected).abs().max() < 1e-6
    assert float(expected.abs().max()) > 0.1 or isinstance(model, Isotropic)


def test_what_has_no_known_divergence_is_refused(unchecked):
    for noise in (HessianNoise(), Matched(Equatorial())):
        with pytest.raises(ValueError, match="needs a noise model with a known divergence"):
            Langevin(hard, noise, gibbs=True)
    with pytest.raises(ValueError, match="2 variances for embeddings in R.3"):
        Constant((1.0, 2.0)).scaled(states(4, 3), states(4, 3), hard)
    assert math.isfinite(float(Constant((1.0, 2.0, 3.0)).trace(states(4, 3), hard)))
