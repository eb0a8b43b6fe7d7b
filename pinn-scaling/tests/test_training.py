"""Training against a plain loop with Adam written out, and what a batch of runs must not change."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import naive
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from pinn_scaling import training
from pinn_scaling.measures import published_grid
from pinn_scaling.network import initialise
from pinn_scaling.pdes import PDES
from pinn_scaling.points import Counts, draw, published_counts
from pinn_scaling.seeds import key
from pinn_scaling.training import Recipe, train
from repro_shared import UserError

ALLEN_CAHN = PDES["allen_cahn"]
SHORT = Recipe(steps=8, log_every=1, precision="float64", counts=Counts(20, 10, 10))


def by_hand(pde, width, kappa, seed, recipe):
    """(theta, average, errors, losses before each step) of one run, with Adam as in Kingma and Ba (2015)."""
    start = initialise(key(seed, "init"), width, pde.domain, recipe.activation, recipe.law, jnp.float64)
    theta, unravel = ravel_pytree(start)
    counts = recipe.counts or published_counts(pde, width)

    @jax.jit
    def slope(theta, points):
        terms = naive.loss_terms(pde.name, unravel(theta), points, kappa, recipe.activation)
        return jnp.stack(terms), jax.grad(
            lambda theta: sum(naive.loss_terms(pde.name, unravel(theta), points, kappa, recipe.activation))
        )(theta)

    test = jnp.asarray(published_grid(pde)).reshape(-1, len(pde.domain))
    truth = pde.truth(test, kappa)
    average, first, second, errors, losses = theta, 0.0, 0.0, [], []
    for step in range(recipe.steps):
        point_key = key(seed, "points")
        point_key = jax.random.fold_in(point_key, step) if recipe.fresh else point_key
        terms, gradient = slope(theta, draw(point_key, pde, counts, jnp.float64))
        rate = recipe.rate
        if recipe.schedule == "cosine" and step >= recipe.steps // 2:
            done = (step - recipe.steps // 2) / (recipe.steps - recipe.steps // 2)
            rate *= (1 + np.cos(np.pi * done)) / 2
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        unbiased = first / (1 - 0.9 ** (step + 1)), second / (1 - 0.999 ** (step + 1))
        theta = theta - rate * unbiased[0] / (jnp.sqrt(unbiased[1]) + 1e-8)
        average = 0.999 * average + 0.001 * theta
        found = naive.everywhere(partial(naive.u, unravel(theta), activation=recipe.activation), test)
        errors.append(float(jnp.linalg.norm(found - truth) / jnp.linalg.norm(truth)))
        losses.append(terms)
    return theta, average, errors, np.asarray(losses)


@pytest.mark.parametrize(
    ("name", "kappa", "recipe"),
    [
        ("allen_cahn", 16.0, SHORT),
        ("allen_cahn", 16.0, replace(SHORT, fresh=False, schedule="cosine", rate=0.01)),
        ("poisson", 1.0, replace(SHORT, counts=None, law="spread")),
        ("kdv_published", 0.5, replace(SHORT, activation="relu")),
    ],
)
def test_runs_are_those_of_a_plain_loop(name, kappa, recipe):
    pde = PDES[name]
    trained = train(pde, 3, [kappa, kappa], [1, 2], recipe)
    for run, seed in enumerate((1, 2)):
        theta, average, errors, losses = by_hand(pde, 3, kappa, seed, recipe)
        for ours, theirs in ((trained.parameters, theta), (trained.average, average)):
            own = jax.tree.map(lambda leaf, run=run: leaf[run], ours)
            np.testing.assert_allclose(ravel_pytree(own)[0], theirs, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(trained.error[run], errors, rtol=1e-9)
        np.testing.assert_allclose(
            np.stack([term[run] for term in trained.loss], axis=1), losses, rtol=1e-9, atol=1e-12
        )
    assert trained.failed.tolist() == [-1, -1]


def test_logs_are_the_last_of_each_block():
    every = train(ALLEN_CAHN, 4, [16.0], [1], SHORT)
    blocks = train(ALLEN_CAHN, 4, [16.0], [1], replace(SHORT, log_every=4))
    np.testing.assert_allclose(blocks.error, every.error[:, 3::4], rtol=1e-12)
    np.testing.assert_allclose(blocks.loss.pde, every.loss.pde[:, 3::4], rtol=1e-12)


def test_a_run_does_not_depend_on_those_beside_it():
    kappas, seeds = [4.0, 16.0, 64.0, 256.0] * 3, [1, 2, 3] * 4
    together = train(ALLEN_CAHN, 4, kappas, seeds, SHORT)  # twelve runs: two groups of six
    for run in (0, 5, 11):
        alone = train(ALLEN_CAHN, 4, [kappas[run]], [seeds[run]], SHORT)
        np.testing.assert_allclose(together.error[run], alone.error[0], rtol=1e-10)
        np.testing.assert_allclose(together.parameters.w[run], alone.parameters.w[0], rtol=1e-10, atol=1e-12)
    assert len(together.error) == 12 and len({float(error) for error in together.error[:, -1]}) == 12


def test_equal_seeds_give_equal_runs_and_other_seeds_other_points_and_networks():
    recipe = Recipe(steps=4, log_every=2)
    first, again = (train(ALLEN_CAHN, 8, [16.0] * 2, [1, 2], recipe) for _ in range(2))
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (first.loss.ic[0] != first.loss.ic[1]).all() and not np.allclose(
        first.parameters.w[0], first.parameters.w[1]
    )


@pytest.mark.parametrize("fresh", [True, False])
def test_a_training_that_was_killed_goes_on_to_the_same_numbers(tmp_path, monkeypatch, fresh):
    recipe = Recipe(steps=60, log_every=2, schedule="cosine", fresh=fresh)  # two segments of fifteen blocks
    runs = (ALLEN_CAHN, 4, [16.0, 4.0], [1, 2], recipe)
    straight = train(*runs)

    def killed(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    save, path = training.save, tmp_path / "state.npz"
    monkeypatch.setattr(training, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        train(*runs, path)
    monkeypatch.setattr(training, "save", save)
    monkeypatch.setattr(training, "_begin", lambda *_, begin=training._begin: jax.tree.map(jnp.zeros_like, begin(*_)))
    resumed = train(*runs, path)
    for ours, theirs in zip(jax.tree.leaves(resumed), jax.tree.leaves(straight), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(UserError, match="is of another training"):
        train(ALLEN_CAHN, 4, [16.0, 4.0], [1, 3], recipe, path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="is no checkpoint of a training"):
        train(*runs, path)


def test_adam_moves_by_its_rate_when_the_gradient_is_constant():
    """A loss whose gradient is the same everywhere: u_x at the ends is fixed by nothing, so take L = (c + 1e6)^2."""
    pde = replace(
        PDES["poisson"], residual=lambda d, z, kappa: d.u_xx * 0 + 1e6, conditions=PDES["poisson"].conditions[:1]
    )
    pde = replace(pde, conditions=(replace(pde.conditions[0], equations=(lambda d, z, kappa: d.u + 1e6,)),))
    trained = train(pde, 2, [1.0], [1], Recipe(steps=5, log_every=5, precision="float64"))
    assert float(trained.parameters.c[0]) == pytest.approx(-4.99999983e-3, rel=1e-4)


def test_a_run_that_overflows_is_marked_with_its_step_and_the_others_go_on():
    """With kappa = 128 an exponential of u, which steps of this size take beyond float32."""
    pde = replace(
        ALLEN_CAHN,
        residual=lambda d, z, kappa: ALLEN_CAHN.residual(d, z, kappa) * jnp.exp(jnp.where(kappa > 100, 3, 0) * d.u**2),
    )
    recipe = Recipe(steps=40, log_every=1, rate=5.0, counts=Counts(20, 10, 10))
    trained = train(pde, 4, [4.0, 128.0, 16.0], [1, 1, 1], recipe)
    step = int(trained.failed[1])
    assert 0 < step < 40
    total = trained.loss.total[1]
    assert np.isfinite(total[:step]).all() and not np.isfinite(total[step])
    assert trained.failed[[0, 2]].tolist() == [-1, -1] and np.isfinite(trained.error[[0, 2]]).all()


def test_published_training_is_single_precision_throughout():
    """No array of float64 anywhere in the program; optax keeps a few scalars of its own."""

    def arrays(jaxpr):
        for equation in jaxpr.eqns:
            yield from (variable.aval for variable in equation.outvars)
            for inner in jax.core.jaxprs_in_params(equation.params):
                yield from arrays(inner)

    keys = [jax.random.key_data(jax.random.split(jax.random.key(0), 2))] * 2
    for name in PDES:
        pde = PDES[name]

        def run(kappa, init_key, point_key, pde=pde):
            recipe = Recipe(steps=2, log_every=1)
            state = training._start(pde, 4, recipe, kappa, init_key)
            return training._continue(pde, recipe, 2, state, jnp.int32(0), kappa, point_key)

        found = list(arrays(jax.make_jaxpr(jax.vmap(run))(jnp.ones(2, jnp.float32), *keys).jaxpr))
        assert len(found) > 500
        wide = [a for a in found if getattr(a, "dtype", None) == jnp.float64 and a.size > 2]
        assert not wide


def test_relu_cannot_learn_poisson():
    """u'' = 0 almost everywhere, so L >= E sin^2 = 1/2, and the best is u = 0."""
    trained = train(PDES["poisson"], 16, [1.0] * 5, [1, 2, 3, 4, 5], Recipe(steps=5000, activation="relu"))
    np.testing.assert_allclose(trained.loss.total[:, -20:].mean(axis=1), 0.5, atol=1e-3)
    assert (trained.error[:, -1] > 0.5).all()


def test_mistakes_are_named(unchecked):
    with pytest.raises(ValueError, match="30 steps are no multiple of log_every = 20"):
        Recipe(steps=30, log_every=20)
    with pytest.raises(ValueError, match="must be positive"):
        Recipe(rate=0.0)
    with pytest.raises(ValueError, match="1 kappas and 2 seeds"):
        train(ALLEN_CAHN, 4, [16.0], [1, 2], SHORT)
    with pytest.raises(ValueError, match="one run or more"):
        train(ALLEN_CAHN, 4, [], [], SHORT)
    with pytest.raises(ValueError, match="kappa = 1 is out of range for allen_cahn"):
        train(ALLEN_CAHN, 4, [1.0], [1], SHORT)
    with pytest.raises(ValueError, match="one neuron or more"):
        train(ALLEN_CAHN, 0, [16.0], [1], SHORT)
