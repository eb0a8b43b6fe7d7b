"""The loss, its gradient and its least-squares form against plain automatic differentiation of `naive`."""

import jax
import jax.numpy as jnp
import naive
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from test_pdes import problem

from pinn_scaling import loss as module
from pinn_scaling.loss import Loss, loss_and_gradient, residual_jacobian, residuals

CASES = [("poisson", 1), ("sine_gordon", 2), ("allen_cahn", 16), ("kdv_published", 2), ("kdv", 4), ("burgers", 32)]


@pytest.mark.parametrize(("name", "kappa"), [*CASES[:3], CASES[4]])
def test_gradients_are_those_of_nested_differentiation(name, kappa):
    pde, parameters, points, kappa = problem(name, kappa, width=3)
    _, found = jax.jit(loss_and_gradient, static_argnums=0)(pde, parameters, points, kappa)
    expected = jax.jit(jax.grad(lambda p: sum(naive.loss_terms(name, p, points, kappa))))(parameters)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "kappa", "activation"), [*((*case, "tanh") for case in CASES), ("allen_cahn", 16, "relu")]
)
def test_residuals_are_the_loss_and_their_jacobian_its_gradient(name, kappa, activation):
    pde, parameters, points, kappa = problem(name, kappa)
    given = (pde, parameters, points, kappa, activation)
    loss, gradient = jax.jit(loss_and_gradient, static_argnums=(0, 4))(*given)
    rows = jax.jit(residuals, static_argnums=(0, 4))(*given)
    jacobian = jax.jit(residual_jacobian, static_argnums=(0, 4))(*given)
    assert float(rows @ rows) == pytest.approx(float(loss.total), rel=1e-12)
    np.testing.assert_allclose(2 * jacobian.T @ rows, ravel_pytree(gradient)[0], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("name", "kappa"), CASES)
def test_the_jacobian_is_that_of_reverse_mode(name, kappa):
    pde, parameters, points, kappa = problem(name, kappa)
    theta, unravel = ravel_pytree(parameters)
    found = jax.jit(residual_jacobian, static_argnums=0)(pde, parameters, points, kappa)
    expected = jax.jit(jax.jacrev(lambda theta: residuals(pde, unravel(theta), points, kappa)))(theta)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-11)


def test_parts_change_nothing_but_the_order_of_sums(monkeypatch):
    pde, parameters, points, kappa = problem("kdv_published", 2)
    whole = loss_and_gradient(pde, parameters, points, kappa)
    asked = []
    monkeypatch.setattr(module, "_parts", lambda counts, width: asked.append(counts) or 4)
    parts = loss_and_gradient(pde, parameters, points, kappa)
    assert asked == [[24], [12, 8]]
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("counts", "width", "parts"),
    [
        ([160], 16, 1),
        ([640], 64, 5),
        ([2560], 256, 80),
        ([20480], 2048, 640),
        ([256, 64, 64], 256, 16),
        ([7, 5], 4096, 1),
    ],
)
def test_parts_fit_into_the_cache_as_far_as_the_counts_divide(counts, width, parts):
    assert module._parts(counts, width) == parts


def test_the_total_is_the_sum_of_the_terms():
    assert float(Loss(jnp.array(1.0), jnp.array(20.0), jnp.array(300.0)).total) == 321.0
