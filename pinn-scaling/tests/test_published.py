"""The typed tables against what else was published about them."""

import numpy as np
import pytest

from pinn_scaling import published

PROBLEMS = ("poisson", "sine_gordon", "allen_cahn", "kdv_published")


def every_cell():
    return [published.errors(pde, activation) for pde in PROBLEMS for activation in ("tanh", "relu")]


def test_there_are_352_cells_on_the_published_grid():
    assert sum(map(len, every_cell())) == 352
    for table in every_cell():
        assert all(tuple(row.width) == published.WIDTHS for _, row in table.groupby("kappa"))
        assert (table[["err", "std"]] > 0).all(axis=None)


SPOTS = {
    ("poisson", "tanh", 1, 256): 2.2e-2,
    ("sine_gordon", "tanh", 0.25, 16): 2.1e-4,
    ("sine_gordon", "tanh", 8, 1024): 2.7e-3,
    ("sine_gordon", "tanh", 16, 2048): 0.598,
    ("sine_gordon", "relu", 1, 2048): 0.413,
    ("allen_cahn", "tanh", 4, 64): 1.64e-3,
    ("allen_cahn", "tanh", 256, 2048): 3.4e-4,
    ("allen_cahn", "relu", 64, 16): 0.019,
    ("kdv_published", "tanh", 2, 256): 1.160,
    ("kdv_published", "relu", 0.25, 2048): 0.718,
}
"""As rounded in the paper's tables and their summary."""


@pytest.mark.parametrize(("cell", "expected"), SPOTS.items())
def test_cells_are_where_they_belong(cell, expected):
    pde, activation, kappa, width = cell
    table = published.errors(pde, activation)
    row = table[(table.kappa == kappa) & (table.width == width)]
    assert row.err.item() == pytest.approx(expected, rel=0.025)


@pytest.mark.parametrize(
    ("pde", "ratio"), [("poisson", 1.57), ("allen_cahn", 0.83), ("sine_gordon", 0.72), ("kdv_published", 0.01)]
)
def test_seeds_spread_as_reported(pde, ratio):
    table = published.errors(pde, "tanh")
    assert np.median(table["std"] / table.err) == pytest.approx(ratio, abs=0.005)


def test_relu_has_the_loss_of_a_straight_line_on_poisson():
    """u_xx = 0: the mean of sin^2 is left."""
    np.testing.assert_allclose(published.POISSON_RELU_LOSS, 0.5, atol=1.2e-4)
    assert len(published.POISSON_RELU_LOSS) == len(published.WIDTHS)


def test_the_published_kdv_error_is_its_distance_from_the_wrong_truth():
    table = published.errors("kdv_published", "tanh")
    for kappa, distance in published.KDV_TRUTH_DISTANCE.items():
        np.testing.assert_allclose(table.err[table.kappa == kappa], distance, rtol=0.065)


def test_problems_that_were_not_published_are_refused():
    with pytest.raises(ValueError, match="no published errors of 'kdv' with 'tanh': choose one of allen_cahn relu"):
        published.errors("kdv", "tanh")
