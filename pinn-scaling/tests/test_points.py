"""Collocation points: how many, where, and how even."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest

from pinn_scaling.pdes import PDES
from pinn_scaling.points import Counts, at, dense_counts, draw, published_counts, shifted, sobol


def test_counts_are_the_published_ones():
    kdv, poisson = PDES["kdv"], PDES["poisson"]
    assert published_counts(kdv, 16) == (160, 16, 10)  # at least ten of each
    assert published_counts(kdv, 256) == (2560, 256, 64)
    assert published_counts(poisson, 16).interior == 320
    assert dense_counts(16) == (4000, 400, 200) and dense_counts(256) == (5120, 512, 256)


def test_points_are_where_they_should_be_and_uniform_there():
    pde = PDES["kdv"]
    points = draw(jax.random.key(0), pde, Counts(4000, 3000, 2000), jnp.float64)
    assert [len(z) for z in (points.interior, points.initial, points.left, points.right)] == [4000, 3000, 2000, 2000]
    for z, column, value in ((points.initial, 0, 0.0), (points.left, 1, -20.0), (points.right, 1, 20.0)):
        assert (z[:, column] == value).all()
        low, high = pde.domain[1 - column]
        assert kstest((np.asarray(z[:, 1 - column]) - low) / (high - low), "uniform").pvalue > 1e-3
    for column, (low, high) in enumerate(pde.domain):
        assert kstest((np.asarray(points.interior[:, column]) - low) / (high - low), "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(points.interior.T)[0, 1]) < 0.05
    assert not np.allclose(points.left[:, 0], points.right[:, 0])


def test_sites_name_sets_of_points():
    points = draw(jax.random.key(0), PDES["burgers"], Counts(20, 10, 5))
    assert at(points, "interior")[0] is points.interior and at(points, "initial")[0] is points.initial
    np.testing.assert_array_equal(at(points, "faces")[0], jnp.concatenate([points.left, points.right]))
    left, across = at(points, "jump")
    np.testing.assert_array_equal(left[:, 0], across[:, 0])
    assert (left[:, 1] == -1).all() and (across[:, 1] == 1).all()


def test_without_time_the_ends_are_two_points():
    points = draw(jax.random.key(0), PDES["poisson"], Counts(20, 10, 5))
    assert points.left.tolist() == [[0.0]] and points.right.tolist() == [[1.0]] and points.initial is None


def test_a_key_gives_the_same_points_in_both_precisions_and_another_key_other_ones():
    for name in ("allen_cahn", "poisson"):
        single, double = (
            draw(jax.random.key(0), PDES[name], Counts(50, 10, 5), dtype) for dtype in ("float32", "float64")
        )
        assert single.interior.dtype == jnp.float32 and double.interior.dtype == jnp.float64
        for a, b in zip(jax.tree.leaves(single), jax.tree.leaves(double), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
        assert not np.allclose(single.interior, draw(jax.random.key(1), PDES[name], Counts(50, 10, 5)).interior)


@pytest.mark.parametrize("d", [1, 2])
def test_shifts_keep_the_number_of_points_in_every_dyadic_interval(d):
    net = sobol(320, d)
    assert net.shape == (320, d) and (net[0] == 0).all()
    for seed in range(5):
        unit = np.asarray(shifted(net, jax.random.key(seed)))
        assert unit.dtype == np.float32 and (0 <= unit).all() and (unit < 1).all()
        for axis in range(d):
            cells = np.floor(unit[:, axis] * 64).astype(int)
            assert (np.bincount(cells, minlength=64) == 5).all()  # a random sample would have 5 +- 2.2
        assert (np.bincount(np.floor(unit[:256, 0] * 256).astype(int), minlength=256) == 1).all()


def test_every_shifted_point_is_uniform():
    unit = jax.vmap(lambda key: shifted(sobol(8, 1), key))(jax.random.split(jax.random.key(0), 2000))
    for point in np.asarray(unit)[:, :, 0].T:
        assert kstest(point, "uniform").pvalue > 1e-3
