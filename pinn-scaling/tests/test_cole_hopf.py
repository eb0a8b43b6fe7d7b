"""Burgers' solution against Gauss-Hermite quadrature, a known slope and its symmetries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import roots_hermite

from pinn_scaling.cole_hopf import cole_hopf


def grid(start=0.0):
    return jnp.stack(jnp.meshgrid(jnp.linspace(start, 1, 21), jnp.linspace(-1, 1, 41), indexing="ij"), axis=-1)


def test_the_slope_of_the_shock_is_the_known_one():
    """u_x(1.6037 / pi, 0) for viscosity 0.01 / pi (Basdevant et al. 1986 print 152.00516)."""
    slope = jax.grad(cole_hopf)(jnp.array([1.6037 / np.pi, 0.0]), 100 * np.pi)[1]
    assert slope == pytest.approx(-152.00516, abs=5e-6)


@pytest.mark.parametrize("kappa", [4.0, 64.0, 1024.0])
def test_it_equals_gauss_hermite_quadrature(kappa):
    s, weight = roots_hermite(300)
    t, x = np.asarray(grid())[..., None].transpose(2, 0, 1, 3)
    y = x - 2 * np.sqrt(t / kappa) * s
    exponent = -kappa / (2 * np.pi) * np.cos(np.pi * y)
    with np.errstate(divide="ignore"):
        p = np.exp(exponent + np.log(weight) - (exponent + np.log(weight)).max(-1, keepdims=True))
    np.testing.assert_allclose(cole_hopf(grid(), kappa), -(p * np.sin(np.pi * y)).sum(-1) / p.sum(-1), atol=1e-12)


@pytest.mark.parametrize("kappa", [1.0, 256.0])
def test_it_starts_from_a_sine_and_is_odd_and_periodic(kappa):
    z = grid()
    np.testing.assert_allclose(cole_hopf(z[0], kappa), -jnp.sin(jnp.pi * z[0, :, 1]), atol=1e-14)
    np.testing.assert_allclose(cole_hopf(z * jnp.array([1, -1.0]), kappa), -cole_hopf(z, kappa), atol=1e-13)
    np.testing.assert_allclose(cole_hopf(z + jnp.array([0, 2.0]), kappa), cole_hopf(z, kappa), atol=1e-12)


def test_float32_neither_overflows_nor_loses_the_shock():
    single = cole_hopf(grid().astype(jnp.float32), jnp.float32(1024))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, cole_hopf(grid(), 1024.0), atol=2e-3)


def test_strong_viscosity_leaves_the_decaying_sine_of_the_heat_equation():
    z = grid()
    expected = -jnp.sin(jnp.pi * z[..., 1]) * jnp.exp(-(jnp.pi**2) * z[..., 0] / 0.01)
    np.testing.assert_allclose(cole_hopf(z, 0.01), expected, atol=1e-3)
