"""`solve` is the parts put together: each method against the part that it names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinn_scaling.full_batch import minimise
from pinn_scaling.loss import loss_and_gradient
from pinn_scaling.measures import band_errors, fine_grid, grid, published_grid, relative_error, values
from pinn_scaling.pdes import PDES
from pinn_scaling.points import dense_counts, draw
from pinn_scaling.seeds import key
from pinn_scaling.solution import solve
from pinn_scaling.training import Recipe, train

PDE, KAPPA, SEEDS = PDES["allen_cahn"], 16.0, (1, 2)


def same(a, b):
    for ours, theirs in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_adam_is_training_with_its_variants():
    constant = train(PDE, 4, [KAPPA] * 2, SEEDS, Recipe(steps=50))
    cosine = train(PDE, 4, [KAPPA] * 2, SEEDS, Recipe(steps=50, schedule="cosine"))
    found = {method: solve(PDE, 4, KAPPA, method, SEEDS, steps=50) for method in ("adam", "adam+ema", "adam+cosine")}
    same(found["adam"].parameters, constant.parameters)
    same(found["adam+ema"].parameters, constant.average)
    same(found["adam+cosine"].parameters, cosine.parameters)
    np.testing.assert_allclose(found["adam"].error, constant.error[:, -1], rtol=1e-4)
    assert not np.allclose(found["adam"].error, found["adam+ema"].error)


@pytest.mark.parametrize("method", ["lm", "lm-continuation", "lbfgs", "varpro"])
def test_full_batch_methods_are_those_of_minimise(method):
    same(
        solve(PDE, 4, KAPPA, method, SEEDS, steps=3).parameters,
        minimise(PDE, 4, KAPPA, method, SEEDS, steps=3).parameters,
    )


def test_what_is_measured_of_a_solution():
    found = solve(PDE, 4, KAPPA, "lm", SEEDS, steps=5)
    for run, seed in enumerate(SEEDS):
        own = jax.tree.map(lambda leaf, run=run: leaf[run], found.parameters)
        for z, error in ((published_grid(PDE), found.error), (fine_grid(PDE), found.fine_error)):
            expected = relative_error(values(own, z), PDE.truth(jnp.asarray(z), KAPPA))
            assert float(error[run]) == pytest.approx(float(expected), rel=1e-10)
        z = jnp.asarray(grid(PDE, 21, 512, midpoints=True))
        np.testing.assert_allclose(found.bands[run], band_errors(values(own, z), PDE.truth(z, KAPPA)), rtol=1e-9)
        points = draw(key(seed, "evaluation"), PDE, dense_counts(4), jnp.float64)
        loss, _ = loss_and_gradient(PDE, own, points, KAPPA)
        np.testing.assert_allclose([term[run] for term in found.loss], loss, rtol=1e-10)


def test_mistakes_are_named(unchecked):
    with pytest.raises(ValueError, match="unknown method 'sgd': choose from adam, .*varpro"):
        solve(PDE, 4, KAPPA, "sgd")
    with pytest.raises(ValueError, match="out of range"):
        solve(PDE, 4, 1.0, "lm")
    with pytest.raises(ValueError, match="one neuron or more"):
        solve(PDE, 0, KAPPA, "lm")
    with jax.enable_x64(False), pytest.raises(ValueError, match="float64 is needed here but disabled"):
        solve(PDE, 4, KAPPA, "lm", SEEDS, steps=1)
