"""Closed-form derivatives, gradients and Jacobians against nested automatic differentiation, and the initial laws."""

import jax
import jax.numpy as jnp
import naive
import numpy as np
import pytest

from pinn_scaling.network import Parameters, derivatives, initialise, jacobian
from pinn_scaling.pdes import Derivatives

DOMAIN = ((0.0, 2.0), (-3.0, 3.0))
NAMES = {"u": (0, 0), "u_t": (0, 1), "u_tt": (0, 2), "u_x": (1, 1), "u_xx": (1, 2), "u_xxx": (1, 3), "u_xxxx": (1, 4)}
"""Name -> (axis, order)."""


def network(width=7, d=2, dtype=jnp.float64):
    """Generic parameters, none of them zero, and points."""
    keys = jax.random.split(jax.random.key(0), 5)
    shapes = ((width, d), (width,), (width,), (), (11, d))
    *parameters, z = (jax.random.normal(key, shape, dtype) for key, shape in zip(keys, shapes, strict=True))
    return Parameters(*parameters), z


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("name", NAMES)
def test_derivatives_are_those_of_nested_differentiation(name, activation):
    parameters, z = network()
    found = getattr(derivatives(parameters, z, (name,), activation), name)
    nested = naive.derivative(lambda point: naive.u(parameters, point, activation), *NAMES[name])
    np.testing.assert_allclose(found, naive.everywhere(nested, z), rtol=0, atol=1e-12)


def test_several_derivatives_at_once_are_the_same_and_others_are_left_out():
    parameters, z = network()
    together = derivatives(parameters, z, ("u", "u_xxx", "u_tt"))
    for name in ("u", "u_xxx", "u_tt"):
        alone = getattr(derivatives(parameters, z, (name,)), name)
        np.testing.assert_allclose(getattr(together, name), alone, atol=1e-14)
    assert together.u_t is None and together.u_xxxx is None


def test_in_one_dimension_the_only_column_is_x():
    parameters, z = network(d=1)
    nested = naive.derivative(lambda point: naive.u(parameters, point), 0, 2)
    np.testing.assert_allclose(derivatives(parameters, z, ("u_xx",)).u_xx, naive.everywhere(nested, z), atol=1e-12)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_gradients_of_a_loss_of_derivatives_are_those_of_nested_differentiation(activation):
    parameters, z = network()

    def loss(parameters, z):
        d = derivatives(parameters, z, tuple(NAMES), activation)
        return jnp.sum(jnp.sin(z[:, 0]) * d.u_t * d.u + d.u_tt**2 - d.u_xxxx * d.u_x + jnp.cos(d.u_xxx) + d.u_xx)

    def nested(parameters, z):
        def at(name):
            return naive.everywhere(naive.derivative(lambda p: naive.u(parameters, p, activation), *NAMES[name]), z)

        quadratic = jnp.sin(z[:, 0]) * at("u_t") * at("u") + at("u_tt") ** 2 - at("u_xxxx") * at("u_x")
        return jnp.sum(quadratic + jnp.cos(at("u_xxx")) + at("u_xx"))

    found, expected = (jax.jit(jax.grad(f, argnums=(0, 1)))(parameters, z) for f in (loss, nested))
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_jacobian_rows_are_those_of_nested_differentiation(name):
    parameters, z = network()
    rows = jacobian(parameters, z, Derivatives(**{name: jnp.ones(len(z))}))
    nested = naive.derivative

    def at(parameters):
        return naive.everywhere(nested(lambda point: naive.u(parameters, point), *NAMES[name]), z)

    for ours, theirs in zip(rows, jax.jit(jax.jacrev(at))(parameters), strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11)


def test_weighted_jacobian_rows_are_the_weighted_sum_of_rows():
    parameters, z = network()
    g, h = jnp.sin(z[:, 0]), jnp.exp(z[:, 1])
    both = jacobian(parameters, z, Derivatives(u=g, u_xxx=h))
    u, u_xxx = (jacobian(parameters, z, Derivatives(**{name: jnp.ones(len(z))})) for name in ("u", "u_xxx"))
    for rows, a, b in zip(both, u, u_xxx, strict=True):
        column = (slice(None), *[None] * (rows.ndim - 1))
        np.testing.assert_allclose(rows, g[column] * a + h[column] * b, atol=1e-12)


def variances(width, d, activation):
    """Of w and v over many seeds."""
    keys = jax.random.split(jax.random.key(0), 4000)
    w, b, v, c = jax.vmap(lambda key: initialise(key, width, DOMAIN[:d], activation))(keys)
    assert not b.any() and not c.any()
    return float(jnp.var(w)), float(jnp.var(v))


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("width", [4, 64])
def test_published_laws_are_xavier_and_kaiming(width, d):
    assert variances(width, d, "tanh") == pytest.approx((2 / (d + width), 2 / (1 + width)), rel=0.03)
    assert variances(width, d, "relu") == pytest.approx((2 / d, 2 / width), rel=0.03)


def test_spread_hinges_cross_the_domain_with_slopes_that_do_not_depend_on_the_width():
    low, high = np.asarray(DOMAIN).T
    for width in (8, 512):
        keys = jax.random.split(jax.random.key(1), 4096 // width)
        w, b, v, _ = jax.vmap(lambda key, width=width: initialise(key, width, DOMAIN, law="spread", dtype=jnp.float64))(
            keys
        )
        scaled = np.asarray(w).reshape(-1, 2) * (high - low) / 2
        assert scaled.std(axis=0) == pytest.approx(2, rel=0.05)
        assert float(v.std()) == pytest.approx((2 / (width + 1)) ** 0.5, rel=0.05)
        # |w . z + b| is smallest at some point of the box: zero there, because the hinge passes through it
        w, b = np.asarray(w).reshape(-1, 2), np.asarray(b).ravel()
        middle, reach = b + w @ ((low + high) / 2), np.abs(w) @ ((high - low) / 2)
        assert (np.abs(middle) <= reach).all()
        assert abs(np.mean(middle / reach)) < 0.05 and np.std(middle / reach) > 0.3


def test_the_parameters_decide_the_precision():
    for dtype in (jnp.float32, jnp.float64):
        parameters, z = network(dtype=dtype)
        found = jax.jit(jax.value_and_grad(lambda p, z=z: derivatives(p, z, ("u", "u_xxx")).u_xxx.sum()))(parameters)
        assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype(dtype)}


def test_a_seed_gives_the_same_network_in_both_precisions_and_another_seed_another_one():
    single = initialise(jax.random.key(3), 16, DOMAIN, law="spread")
    double = initialise(jax.random.key(3), 16, DOMAIN, law="spread", dtype=jnp.float64)
    assert {leaf.dtype.name for leaf in single} == {"float32"} and {leaf.dtype.name for leaf in double} == {"float64"}
    for a, b in zip(single, double, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    assert not np.allclose(single.v, initialise(jax.random.key(4), 16, DOMAIN, law="spread").v)


def test_mistakes_are_named(unchecked):
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="one neuron or more"):
        initialise(key, 0, DOMAIN)
    with pytest.raises(ValueError, match="'sine' is unknown: choose from tanh, relu"):
        initialise(key, 4, DOMAIN, activation="sine")
    with pytest.raises(ValueError, match="choose from published, spread"):
        initialise(key, 4, DOMAIN, law="he")
    with jax.enable_x64(False), pytest.raises(ValueError, match="float64 is needed here but disabled"):
        initialise(key, 4, DOMAIN, dtype=jnp.float64)
