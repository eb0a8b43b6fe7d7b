"""The problems against a second writing of every loss (`naive`), their solutions, and their bounds.

That the solutions solve the equations is the business of `test_truth`.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import naive
import numpy as np
import pytest

from pinn_scaling.loss import loss_and_gradient
from pinn_scaling.measures import grid, published_grid, relative_error
from pinn_scaling.network import Parameters, derivatives, initialise
from pinn_scaling.pdes import PDES, Derivatives
from pinn_scaling.pdes.base import sine
from pinn_scaling.points import Counts, draw

COUNTS = Counts(24, 12, 8)


def problem(name, kappa, width=5):
    """A generic network (spread law, so that nothing is zero) and points."""
    pde = PDES[name]
    parameters = initialise(jax.random.key(0), width, pde.domain, law="spread", dtype=jnp.float64)
    points = draw(jax.random.key(1), pde, COUNTS, jnp.float64)
    return pde, parameters, points, jnp.float64(kappa)


@pytest.mark.parametrize(
    ("name", "kappa"),
    [("poisson", 1), ("sine_gordon", 2), ("allen_cahn", 16), ("kdv_published", 2), ("kdv", 4), ("burgers", 32)],
)
def test_losses_are_composed_as_published(name, kappa):
    pde, parameters, points, kappa = problem(name, kappa)
    found, _ = jax.jit(loss_and_gradient, static_argnums=0)(pde, parameters, points, kappa)
    expected = jax.jit(naive.loss_terms, static_argnums=0)(name, parameters, points, kappa)
    for ours, theirs in zip(found, expected, strict=True):
        assert float(ours) == pytest.approx(float(theirs), rel=1e-12, abs=1e-13)


def read_by(equation, domain):
    """The fields of D that an equation depends on, by its derivatives at a generic point."""
    d = Derivatives(*jnp.linspace(0.5, 1.1, len(Derivatives._fields)))
    z = jnp.asarray([low + 0.4 * (high - low) for low, high in domain])
    slopes = jax.grad(lambda d: equation(d, z, 1.7))(d)
    return {name for name, slope in slopes._asdict().items() if slope != 0}


@pytest.mark.parametrize("name", PDES)
def test_conditions_ask_for_the_derivatives_that_they_read(name):
    for condition in PDES[name].terms:
        read = set().union(*(read_by(equation, PDES[name].domain) for equation in condition.equations))
        assert read == set(condition.derivatives)


def on_truth(pde, z, kappa):
    """D of the claimed solution at points z, by nested differentiation."""

    def truth(point):
        return pde.truth(point, kappa)

    orders = {
        name: (0 if name.startswith("u_t") else -1, name.count("t") + name.count("x")) for name in pde.derivatives
    }
    return Derivatives(**{name: naive.everywhere(naive.derivative(truth, *at), z) for name, at in orders.items()})


@pytest.mark.parametrize("name", [name for name in PDES if name != "kdv_published"])
def test_solutions_leave_no_residual(name):
    pde = PDES[name]
    z = jnp.asarray(grid(pde, 7, 41)).reshape(-1, len(pde.domain))
    z = z[z[:, 0] > 0] if name == "burgers" else z  # its formula has no derivatives at t = 0
    residual = jax.jit(lambda kappa: pde.residual(on_truth(pde, z, kappa), z, kappa))
    for kappa in pde.kappas:
        assert float(jnp.abs(residual(kappa)).max()) < 1e-10


def test_the_published_kdv_solution_is_none():
    pde = PDES["kdv_published"]
    z = jnp.asarray(grid(pde, 21, 401)).reshape(-1, 2)
    for kappa, at_least in (
        (0.25, 0.05),
        (3.0, 1.0),
        (4.0, 9.0),
        (6.0, 9.0),
    ):  # 3 has the right speed, 6 the right width
        assert float(jnp.abs(pde.residual(on_truth(pde, z, kappa), z, kappa)).max()) > at_least


def test_the_published_kdv_equation_has_a_soliton_at_kappa_6_that_moves_at_12():
    pde = replace(
        PDES["kdv_published"], truth=lambda z, kappa: 6 / jnp.cosh(3**0.5 * (z[..., 1] - 12 * z[..., 0])) ** 2
    )
    z = jnp.asarray(grid(pde, 11, 201)).reshape(-1, 2)
    assert float(jnp.abs(pde.residual(on_truth(pde, z, 6.0), z, 6.0)).max()) < 1e-9


def test_one_tanh_neuron_solves_allen_cahn():
    pde = PDES["allen_cahn"]
    points = draw(jax.random.key(0), pde, Counts(200, 100, 50), jnp.float64)
    for kappa, at_most in ((4.0, 1e-11), (256.0, 1e-30)):  # the ends of a blunt front are not quite -1 and 1
        neuron = Parameters(jnp.array([[0, (kappa / 2) ** 0.5]]), jnp.zeros(1), jnp.ones(1), jnp.zeros(()))
        assert float(loss_and_gradient(pde, neuron, points, jnp.float64(kappa))[0].total) < at_most


def test_scaling_space_turns_one_front_into_another():
    """Sine-Gordon and Allen-Cahn: kappa is the length of the domain in widths of the front."""
    for name in ("sine_gordon", "allen_cahn"):
        pde = PDES[name]
        z = jnp.asarray(grid(pde, 2, 101))
        scaled = z * jnp.array([1.0, 2.0])
        np.testing.assert_allclose(pde.truth(z, 16.0), pde.truth(scaled, 4.0), atol=1e-14)


@pytest.mark.parametrize("name", ["sine_gordon", "sine_gordon_moving"])
def test_kinks_are_arctan_exp_and_do_not_overflow_in_single_precision(name):
    pde, speed = PDES[name], 0.5 * (name == "sine_gordon_moving")
    z = grid(pde, 5, 801)
    for kappa in (0.25, 16.0):
        s = np.sqrt(kappa / (1 - speed**2)) * (z[..., 1] - speed * z[..., 0])
        np.testing.assert_allclose(pde.truth(jnp.asarray(z), kappa), 4 * np.arctan(np.exp(s)), atol=1e-14)
    single = pde.truth(jnp.asarray(z, jnp.float32), jnp.float32(1024))
    assert (
        single.dtype == jnp.float32 and jnp.isfinite(single).all() and float(single.max()) == pytest.approx(2 * np.pi)
    )


def test_initial_velocity_and_end_slope_are_those_of_the_solution():
    z = jnp.asarray(grid(PDES["sine_gordon_moving"], 1, 201)).reshape(-1, 2)
    pde, kappa = PDES["sine_gordon_moving"], 4.0
    _, velocity = pde.conditions[0].equations
    truth_t = naive.everywhere(naive.derivative(lambda p: pde.truth(p, kappa), 0, 1), z)
    np.testing.assert_allclose(velocity(Derivatives(u_t=truth_t), z, kappa), 0, atol=1e-13)
    pde = PDES["kdv"]
    _, slope = pde.conditions[-1].equations
    truth_x = naive.everywhere(naive.derivative(lambda p: pde.truth(p, kappa), 1, 1), z)
    np.testing.assert_allclose(slope(Derivatives(u_x=truth_x), z, kappa), 0, atol=1e-13)


@pytest.mark.parametrize("name", PDES)
def test_single_precision_stays_single(name):
    pde = PDES[name]
    parameters = initialise(jax.random.key(0), 4, pde.domain)
    points = draw(jax.random.key(1), pde, COUNTS)
    kappa = jnp.float32(pde.kappas[-1])
    found = jax.eval_shape(lambda *given: loss_and_gradient(pde, *given), parameters, points, kappa)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype("float32")}
    assert pde.truth(points.interior, kappa).dtype == jnp.float32
    d = derivatives(parameters, points.interior, pde.derivatives)
    assert pde.residual(d, points.interior, kappa).dtype == jnp.float32


def test_errors_of_constants_are_those_of_the_fact_sheet():
    pde = PDES["sine_gordon"]
    z = jnp.asarray(published_grid(pde))
    for kappa, error in ((0.25, 0.6746), (16.0, 0.7011)):
        truth = pde.truth(z, kappa)
        assert float(relative_error(jnp.full_like(truth, jnp.pi), truth)) == pytest.approx(error, abs=5e-5)
        assert float(relative_error(jnp.zeros_like(truth), truth)) == 1.0


def test_kappa_out_of_range_is_refused_with_the_range():
    with pytest.raises(ValueError, match="kappa = 40 is out of range for kdv: choose 0.01 <= kappa <= 18"):
        PDES["kdv"].checked(40.0)
    for kappa in (2.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="out of range"):
            PDES["poisson"].checked(kappa)
    for pde in PDES.values():
        assert [pde.checked(kappa) for kappa in pde.kappas] == list(pde.kappas) == sorted(pde.kappas)


def test_the_sine_of_single_precision_is_one_and_so_is_its_slope():
    x = np.linspace(-20, 20, 100001, dtype=np.float32)
    np.testing.assert_allclose(sine(jnp.asarray(x)), np.sin(x.astype(float)), atol=1e-6)
    np.testing.assert_allclose(jax.vmap(jax.grad(sine))(jnp.asarray(x)), np.cos(x.astype(float)), atol=2e-6)
    np.testing.assert_array_equal(sine(jnp.asarray(x, float)), jnp.sin(jnp.asarray(x, float)))
