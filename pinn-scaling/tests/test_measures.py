"""Grids, errors, frequency bands, spectra and random features on cases that can be worked out."""

import jax
import jax.numpy as jnp
import naive
import numpy as np
import pytest
from test_pdes import problem

from pinn_scaling.approximation import SCALES, TILTS, feature_errors
from pinn_scaling.loss import residuals
from pinn_scaling.measures import (
    BANDS,
    band_errors,
    effective_rank,
    errors,
    fine_grid,
    grid,
    published_grid,
    relative_error,
    swings,
    tangent_spectrum,
    values,
)
from pinn_scaling.network import Parameters
from pinn_scaling.pdes import PDES


def test_grids_have_the_published_sizes_and_include_the_ends():
    sizes = {"poisson": ((1, 1001, 1), (1, 2001, 1)), "kdv": ((31, 31, 2), (41, 2001, 2))}
    for name, shapes in sizes.items():
        low, high = np.asarray(PDES[name].domain).T
        for z, shape in zip((published_grid(PDES[name]), fine_grid(PDES[name])), shapes, strict=True):
            assert z.shape == shape
            np.testing.assert_array_equal(z[0, 0], low)
            np.testing.assert_array_equal(z[-1, -1], high)
    x = published_grid(PDES["kdv"])
    assert (x[:, 5, 1] == x[0, 5, 1]).all() and (x[5, :, 0] == x[5, 0, 0]).all()  # rows are times
    np.testing.assert_allclose(grid(PDES["poisson"], 1, 4, midpoints=True).ravel(), [0.125, 0.375, 0.625, 0.875])


def test_values_are_those_of_the_network():
    _, parameters, _, _ = problem("kdv", 1)
    z = jnp.asarray(grid(PDES["kdv"], 3, 5))
    expected = jax.vmap(jax.vmap(lambda point: naive.u(parameters, point)))(z)
    np.testing.assert_allclose(values(parameters, z), expected, atol=1e-13)


def test_errors_are_what_their_names_say():
    found, truth = jnp.array([1.0, 2.0, 3.0, 0.0, 4.0]), jnp.array([1.0, 2.0, 1.0, 0.0, 5.0])
    measured = errors(found, truth)
    assert float(measured.l2) == pytest.approx((5 / 31) ** 0.5) and float(measured.l1) == pytest.approx(3 / 9)
    assert float(measured.largest) == pytest.approx(2 / 5) and float(measured.largest_absolute) == 2
    assert float(measured.median_absolute) == 0 and float(measured.ninetieth_absolute) == pytest.approx(1.6)


def test_the_error_against_nothing_is_undefined_as_published():
    assert jnp.isnan(relative_error(jnp.ones(3), jnp.full(3, 1e-10)))


def test_an_error_in_one_mode_shows_in_its_band_only():
    x = (np.arange(512) + 0.5) / 512
    modes = [2, 5, 11, 20, 40, 100]  # one in each band
    assert all(low <= mode < high for mode, (low, high) in zip(modes, BANDS, strict=True))
    truth = sum(np.cos(np.pi * mode * x) for mode in modes) * np.array([[1.0], [2.0], [3.0]])
    for band, mode in enumerate(modes):
        off = 0.1 * np.cos(np.pi * mode * x) * np.array([[1.0], [2.0], [3.0]])
        expected = np.zeros(6)
        expected[band] = 0.1
        np.testing.assert_allclose(band_errors(jnp.asarray(truth + off), jnp.asarray(truth)), expected, atol=1e-12)
    np.testing.assert_allclose(band_errors(jnp.zeros_like(truth), jnp.asarray(truth)), 1.0)


def test_swings_see_the_last_steps_only():
    error = np.array([[9.0, 1.0, 5.0, 3.0, 4.0], [9.0, 0.1, 0.5, 0.3, 0.4]])
    np.testing.assert_allclose(swings(error, log_every=50, last=150), [[3, 4, 5], [0.3, 0.4, 0.5]])
    np.testing.assert_allclose(swings(error[0], log_every=50, last=10), [4, 4, 4])


@pytest.mark.parametrize("width", [2, 40])
def test_the_tangent_spectrum_is_that_of_the_kernel(width):
    pde, parameters, points, kappa = problem("allen_cahn", 16, width)
    rows = jax.jacrev(lambda p: residuals(pde, p, points, kappa))(parameters)
    matrix = np.concatenate([np.asarray(leaf).reshape(leaf.shape[0], -1) for leaf in rows], axis=1)
    spectrum = np.asarray(tangent_spectrum(pde, parameters, points, 16.0))
    kernel = np.linalg.eigvalsh(matrix @ matrix.T)[::-1][: min(matrix.shape)]
    assert spectrum.shape == kernel.shape
    np.testing.assert_allclose(spectrum, kernel, rtol=1e-8, atol=1e-11 * kernel[0])


def test_effective_rank_counts_what_is_above_the_cut():
    spectra = np.array([[5.0, 1e-3, 4.9e-6, 0.0], [1.0, 1.0, 1.0, 2e-6]])
    assert effective_rank(spectra).tolist() == [2, 4] and effective_rank(spectra, cut=1e-2).tolist() == [1, 3]


def test_random_features_represent_smooth_solutions_and_more_of_them_sharper_ones():
    assert feature_errors(PDES["poisson"], 16, 1.0, seed=1).min() < 1e-7
    few, many = (feature_errors(PDES["allen_cahn"], width, 16.0, seed=1) for width in (8, 64))
    assert few.shape == (len(SCALES), len(TILTS)) and few.min() > 20 * many.min()
    assert many.argmin() % len(TILTS) == 0  # the front does not move


def test_random_features_cannot_follow_a_moving_soliton():
    """Their error on it stays above 0.3 where sixteen trained neurons reach 1e-3."""
    assert feature_errors(PDES["kdv"], 64, 16.0, seed=1).min() > 0.3


def test_values_follow_the_precision_of_the_parameters():
    neuron = Parameters(*(jnp.ones(shape, jnp.float32) for shape in ((1, 2), (1,), (1,), ())))
    assert values(neuron, grid(PDES["kdv"], 2, 3)).dtype == jnp.float32
