"""Least squares against scipy and closed forms; then what sixteen neurons can do, which Adam does not find."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.optimize import least_squares

from pinn_scaling.full_batch import ladder, minimise
from pinn_scaling.gauss_newton import LEAST_DAMPING, levenberg_marquardt, variable_projection
from pinn_scaling.loss import loss_and_gradient, residuals
from pinn_scaling.measures import fine_grid, relative_error, values
from pinn_scaling.network import initialise
from pinn_scaling.pdes import PDES
from pinn_scaling.points import dense_counts, draw
from pinn_scaling.seeds import key

TIMES = jnp.linspace(0, 3, 40)


def rosenbrock(theta):
    return jnp.stack([10 * (theta[1] - theta[0] ** 2), 1 - theta[0]])


def exponentials(theta):
    """Rates theta[:2], amplitudes theta[2:], against noisy data: linear in the amplitudes."""
    data = jnp.exp(-TIMES) + 2 * jnp.exp(-3 * TIMES) + 0.01 * jnp.sin(37 * TIMES)
    return theta[2] * jnp.exp(-theta[0] * TIMES) + theta[3] * jnp.exp(-theta[1] * TIMES) - data


STARTS = {rosenbrock: jnp.array([-1.2, 1.0]), exponentials: jnp.array([0.3, 5.0, 1.0, 1.0])}


@pytest.mark.parametrize("residual", STARTS)
def test_levenberg_marquardt_finds_the_minimum_of_scipy(residual):
    start = STARTS[residual]
    found = levenberg_marquardt(residual, jax.jacobian(residual), start, 60)
    reference = least_squares(residual, start, xtol=1e-15, ftol=1e-15, gtol=1e-15)
    np.testing.assert_allclose(found.theta, reference.x, rtol=1e-5)
    assert float(found.loss[-1]) == pytest.approx(2 * reference.cost, rel=1e-9, abs=1e-20)
    assert (jnp.diff(found.loss) <= 0).all()


def test_the_first_step_solves_the_damped_normal_equations():
    matrix = jax.random.normal(jax.random.key(0), (9, 4))
    right = jnp.arange(9.0)
    found = levenberg_marquardt(lambda x: matrix @ x - right, lambda x: matrix, jnp.ones(4), 1)
    slope = matrix.T @ (matrix @ jnp.ones(4) - right)
    expected = jnp.ones(4) - jnp.linalg.solve(matrix.T @ matrix + 1e-2 * jnp.eye(4), slope)
    np.testing.assert_allclose(found.theta, expected, rtol=1e-12)


def test_a_singular_jacobian_and_a_wall_of_nan_do_not_stop_it():
    def residual(x):  # x[1] does nothing; NaN beyond 3, where undamped steps lead
        return jnp.where(x[0] < 3, jnp.array([jnp.arctan(x[0] + 2), 1e-3 * x[0]]), jnp.nan)

    found = levenberg_marquardt(residual, jax.jacobian(residual), jnp.array([-9.0, 5.0]), 50)
    reference = least_squares(lambda x: [np.arctan(x[0] + 2), 1e-3 * x[0]], [-2.5], xtol=1e-15).x
    assert float(found.theta[0]) == pytest.approx(float(reference[0]), abs=1e-6) and float(found.theta[1]) == 5.0
    assert LEAST_DAMPING > 0


def test_variable_projection_needs_one_iteration_where_only_amplitudes_are_wrong():
    rates = jnp.array([1.0, 3.0])

    def residual(theta):
        return exponentials(jnp.concatenate([rates + 0 * theta[:2], theta[2:]]))

    found = variable_projection(residual, jax.jacobian(residual), jnp.array([1.0, 3.0, 50.0, -7.0]), 2, 1)
    features = np.exp(-np.outer(TIMES, rates))
    data = np.exp(-TIMES) + 2 * np.exp(-3 * TIMES) + 0.01 * np.sin(37 * TIMES)
    np.testing.assert_allclose(found.theta[2:], np.linalg.lstsq(features, data)[0], rtol=1e-10)


def test_variable_projection_finds_the_minimum_of_scipy():
    start = STARTS[exponentials].at[2:].set(jnp.array([100.0, -100.0]))  # which do not matter
    found = variable_projection(exponentials, jax.jacobian(exponentials), start, 2, 40)
    reference = least_squares(exponentials, STARTS[exponentials], xtol=1e-15, ftol=1e-15, gtol=1e-15)
    np.testing.assert_allclose(found.theta, reference.x, rtol=1e-6)


def error(minimum, name, kappa):
    """Relative L2 errors on the fine grid, per seed."""
    z = jnp.asarray(fine_grid(PDES[name]))
    truth = PDES[name].truth(z, kappa)
    return np.asarray(jax.lax.map(lambda p: relative_error(values(p, z), truth), minimum.parameters))


def test_sixteen_neurons_solve_allen_cahn_and_poisson():
    minimum = minimise(PDES["allen_cahn"], 16, 64.0, "lm", seeds=(1, 2, 3))
    assert (error(minimum, "allen_cahn", 64.0) < 1e-6).all()  # Adam 6e-4
    assert minimum.loss.shape == (3, 300) and (jnp.diff(minimum.loss) <= 0).all()
    assert (error(minimise(PDES["poisson"], 16, 1.0, "lm", seeds=(1, 2, 3)), "poisson", 1.0) < 1e-5).all()


def test_continuation_in_kappa_finds_the_sharp_kink_that_a_cold_start_misses():
    pde, seeds = PDES["sine_gordon"], (1, 2)
    minimum = minimise(pde, 16, 16.0, "lm-continuation", seeds)
    assert (error(minimum, "sine_gordon", 16.0) < 1e-4).all() and minimum.loss.shape == (2, 7 * 120)
    assert (error(minimise(pde, 16, 16.0, "lm", seeds), "sine_gordon", 16.0) > 0.1).all()


def test_variable_projection_goes_far_below_on_a_linear_equation():
    assert (error(minimise(PDES["poisson"], 16, 1.0, "varpro", (1, 2), steps=30), "poisson", 1.0) < 1e-8).all()


def test_lbfgs_starts_from_the_network_and_points_of_the_seed_and_descends():
    pde = PDES["poisson"]
    minimum = minimise(pde, 8, 1.0, "lbfgs", seeds=(1, 2), steps=400)
    assert (error(minimum, "poisson", 1.0) < 1e-3).all() and (jnp.diff(minimum.loss) <= 1e-15).all()
    for run, seed in enumerate((1, 2)):
        points = draw(key(seed, "points"), pde, dense_counts(8), jnp.float64)
        own = jax.tree.map(lambda leaf, run=run: leaf[run], minimum.parameters)
        total = loss_and_gradient(pde, own, points, 1.0)[0].total
        assert float(total) == pytest.approx(float(minimum.loss[run, -1]), rel=1e-9)


def test_gauss_newton_starts_from_the_network_and_points_of_the_seed():
    pde = PDES["kdv"]
    moved = minimise(pde, 4, 1.0, "lm", seeds=(4, 5), steps=1)
    start = initialise(key(5, "init"), 4, pde.domain, dtype=jnp.float64)
    points = draw(key(5, "points"), pde, dense_counts(4), jnp.float64)
    theta, unravel = ravel_pytree(start)

    def residual(theta):
        return residuals(pde, unravel(theta), points, 1.0)

    expected = levenberg_marquardt(residual, jax.jacobian(residual), theta, 1)
    own = jax.tree.map(lambda leaf: leaf[1], moved.parameters)
    np.testing.assert_allclose(ravel_pytree(own)[0], expected.theta, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(moved.loss[1], expected.loss, rtol=1e-8)


def test_ladders_double_and_end_at_kappa():
    assert ladder(PDES["sine_gordon"], 2.0) == [0.25, 0.5, 1.0, 2.0]
    assert ladder(PDES["sine_gordon"], 3.0) == [0.25, 0.5, 1.0, 2.0, 3.0]
    assert ladder(PDES["sine_gordon"], 0.1) == [0.1]
    with pytest.raises(ValueError, match="out of range"):
        ladder(PDES["sine_gordon"], 1e9)
