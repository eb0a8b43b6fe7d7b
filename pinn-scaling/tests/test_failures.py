"""What failing networks do: closed forms against an integrator, and shares that can be counted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from pinn_scaling.failures import vacuum_share, without_diffusion
from pinn_scaling.measures import grid, relative_error
from pinn_scaling.pdes import PDES


def test_without_diffusion_is_the_solution_of_the_ordinary_equation():
    x = np.array([-3.0, -0.4, 0.0, 0.1, 2.0])
    run = solve_ivp(lambda t, u: u - u**3, (0, 5), np.tanh(x * 8**0.5), t_eval=[0, 1, 5], rtol=1e-11, atol=1e-13)
    z = np.stack(np.meshgrid(run.t, x, indexing="ij"), axis=-1)
    np.testing.assert_allclose(without_diffusion(jnp.asarray(z), 16.0), run.y.T, atol=1e-9)


@pytest.mark.parametrize("kappa, distance", [(4.0, 0.150), (8.0, 0.104), (16.0, 0.063), (32.0, 0.031), (64.0, 0.0106)])
def test_its_distance_from_the_front_falls_with_kappa(kappa, distance):
    """On the test grid; the values that an earlier study found."""
    z = jnp.asarray(grid(PDES["allen_cahn"], 31, 31))
    found = relative_error(without_diffusion(z, kappa), PDES["allen_cahn"].truth(z, kappa))
    assert float(found) == pytest.approx(distance, rel=0.02)


def test_the_vacuum_share_counts_wrong_points_only():
    truth = jnp.zeros(6)
    found = jnp.array([0.0, 0.9, jnp.pi, -2 * jnp.pi, 1.6, 2.0])  # two right, two at vacua, two between them
    assert float(vacuum_share(found, truth)) == pytest.approx(0.5)
    assert jnp.isnan(vacuum_share(truth, truth))
    uniform = 100 * jnp.pi * jax.random.uniform(jax.random.key(0), (100_000,)) + 2
    assert float(vacuum_share(uniform, jnp.zeros(100_000))) == pytest.approx(1 / 3, abs=0.01)
