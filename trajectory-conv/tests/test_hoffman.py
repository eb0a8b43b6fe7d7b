"""Affine Hoffman constants against the inverse of the whole KKT matrix; polyhedral ones against distances by QP."""

from itertools import combinations

import jax
import numpy as np
import pytest
from scipy.optimize import nnls

from trajectory_conv.designs import ReplayDraws, gaussian, orthonormal, spiked, target
from trajectory_conv.hoffman import (
    affine_hoffman,
    affine_hoffman_2,
    polyhedron_hoffman,
    sequential_bound,
    weighted_affine_hoffman_2,
    weyl_bound,
)
from trajectory_conv.problems import elastic_net
from trajectory_conv.solvers import find_optimum

SIZES = [(40, 60, 5), (40, 60, 1), (40, 8, 6), (40, 6, 5), (40, 6, 6)]
"""(n, d, s): many inactive features, one active, fewer inactive than active, one inactive, none."""


def blocks(matrix, support):
    """G_SS and G_{S^c S}."""
    gram = matrix.T @ matrix / len(matrix)
    return gram[np.ix_(support, support)], gram[np.ix_(~support, support)]


def example(n, d, s, seed=0, rho=0.5):
    draws = ReplayDraws(seed)
    return blocks(spiked(draws, n, d, rho), target(draws, d, s) != 0)


def kkt_inverse(active, cross, weights, lam2):
    """M^{-1} with M = [[G_SS + lam2 I, 0], [G_{S^c S}, diag(weights)]], inverted as it stands."""
    m, s = cross.shape
    return np.linalg.inv(np.block([[active + lam2 * np.eye(s), np.zeros((s, m))], [cross, np.diag(weights)]]))


@pytest.mark.parametrize("lam2", [0.0, 0.3])
@pytest.mark.parametrize("lam", [0.1, 2.0])
@pytest.mark.parametrize(("n", "d", "s"), SIZES)
def test_block_formulas_equal_the_norms_of_the_inverse_kkt_matrix(n, d, s, lam, lam2):
    active, cross = example(n, d, s)
    found = affine_hoffman(active, cross, lam, lam2)
    inverse = kkt_inverse(active, cross, np.full(d - s, lam), lam2)
    p, b = inverse[:s, :s], inverse[s:, :s]
    assert found.h2 == pytest.approx(np.linalg.norm(inverse, 2), rel=1e-12)
    assert found.h1 == pytest.approx(np.linalg.norm(inverse, 1), rel=1e-12)
    assert found.hinf == pytest.approx(np.linalg.norm(inverse, np.inf), rel=1e-12)
    assert found.curvature == pytest.approx(np.linalg.norm(p, 2), rel=1e-12)
    assert found.interaction == pytest.approx(np.linalg.norm(b, 2) if d > s else 0.0, rel=1e-12)


@pytest.mark.parametrize("rho", [0.0, 0.8])
@pytest.mark.parametrize(("n", "d", "s"), SIZES)
def test_the_closed_form_bounds_enclose_the_constants(n, d, s, rho):
    for seed in range(5):
        found = affine_hoffman(*example(n, d, s, seed, rho), 0.1, 0.0)
        for lower, upper in [(found.lower2, found.h2), (found.h2, found.upper2), (found.h1, found.upper1)]:
            assert lower <= upper * (1 + 1e-12)
        assert found.upperinf == pytest.approx(float(found.hinf), rel=1e-15)  # an identity, not a bound


def test_h2_is_found_from_the_squared_gram_matrix_without_the_inactive_block():
    draws = ReplayDraws(0)
    matrix, support = gaussian(draws, 50, 80), target(draws, 80, 7) != 0
    active, cross = blocks(matrix, support)
    gram = matrix.T @ matrix / 50
    cross_gram = (gram @ gram)[np.ix_(support, support)] - active @ active
    expected = float(affine_hoffman(active, cross, 0.1, 0.2).h2)
    assert affine_hoffman_2(active, cross_gram, 0.1, 0.2) == pytest.approx(expected, rel=1e-12)


def test_batched_supports_equal_a_loop_over_them():
    examples = [example(40, 60, 4, seed) for seed in range(6)]
    batched = jax.vmap(affine_hoffman, (0, 0, None, None))(*map(np.stack, zip(*examples, strict=True)), 0.1, 0.05)
    looped = [affine_hoffman(*example, 0.1, 0.05) for example in examples]
    for name in batched._fields:
        np.testing.assert_allclose(getattr(batched, name), [getattr(one, name) for one in looped], rtol=1e-12)


def test_a_singular_block_has_an_infinite_constant_alone_and_in_a_batch():
    draws = ReplayDraws(0)
    matrix = gaussian(draws, 10, 30)
    on = np.arange(30) < 12  # more columns than rows
    singular, cross = blocks(matrix, on)
    assert np.isinf(affine_hoffman(singular, cross, 0.1, 0.0)).all()
    assert np.isinf(affine_hoffman_2(singular, cross.T @ cross, 0.1, 0.0))
    assert weighted_affine_hoffman_2(singular, cross, np.ones(18)) == np.inf
    assert np.isinf(affine_hoffman(np.ones((2, 2)), np.zeros((0, 2)), 0.1, 0.0)).all()  # no inverse at all
    assert np.isfinite(affine_hoffman(singular, cross, 0.1, 0.01)).all()
    batch = np.stack([singular, singular + np.eye(12)])
    h2 = jax.vmap(affine_hoffman, (0, None, None, None))(batch, cross, 0.1, 0.0).h2
    assert h2[0] == np.inf and h2[1] == pytest.approx(float(affine_hoffman(batch[1], cross, 0.1, 0.0).h2))


def test_without_active_features_the_constant_is_one_over_lambda():
    none = np.zeros((0, 0))
    found = affine_hoffman(none, np.zeros((5, 0)), 0.1, 0.0)
    np.testing.assert_allclose(found[:7], 10.0)
    assert found.interaction == found.curvature == 0 and affine_hoffman_2(none, none, 0.1, 0.0) == 10
    assert weighted_affine_hoffman_2(none, np.zeros((3, 0)), np.array([0.5, 1.0, 2.0])) == 2


EYE, CROSS = np.eye(2), np.ones((3, 2))
REFUSED = {
    "lambda 0": (lambda: affine_hoffman(EYE, CROSS, 0.0, 0.0), "lambda = 0.0: choose an l1 penalty > 0"),
    "lambda NaN": (lambda: affine_hoffman(EYE, CROSS, np.nan, 0.0), "choose an l1 penalty > 0"),
    "lambda_2 < 0": (lambda: affine_hoffman(EYE, CROSS, 0.1, -0.1), "lambda_2 = -0.1: choose an l2 penalty >= 0"),
    "NaN": (lambda: affine_hoffman(EYE * np.nan, CROSS, 0.1, 0.0), "not finite"),
    "cross as rows": (lambda: affine_hoffman(EYE, CROSS.T, 0.1, 0.0), "active is .2, 2. and cross .2, 3.: give"),
    "flat cross": (lambda: affine_hoffman(EYE, CROSS[0], 0.1, 0.0), "give G_SS .s, s. and G_S.cS .m, s."),
    "not square": (lambda: affine_hoffman(CROSS, CROSS, 0.1, 0.0), "give G_SS .s, s."),
    "batch, shape": (
        lambda: jax.vmap(affine_hoffman, (0, None, None, None))(EYE[None], CROSS.T, 0.1, 0.0),
        "give G_SS .s, s.",
    ),
    "h2, lambda < 0": (lambda: affine_hoffman_2(EYE, EYE, -1.0, 0.0), "lambda = -1.0: choose"),
    "h2, cross": (lambda: affine_hoffman_2(EYE, CROSS, 0.1, 0.0), "cross_gram is .3, 2.: give .* .s, s."),
    "few weights": (
        lambda: weighted_affine_hoffman_2(EYE, CROSS, np.ones(2)),
        "weights is .2,.: give one for each row",
    ),
    "weight 0": (lambda: weighted_affine_hoffman_2(EYE, CROSS, np.zeros(3)), "lambda = 0.0: choose an l1 penalty > 0"),
    "Weyl, norm < 0": (lambda: weyl_bound(1.0, -1.0, 0.1), "give numbers, a norm >= 0 and lambda > 0"),
    "Weyl, NaN": (lambda: weyl_bound(np.nan, 1.0, 0.1), "mu_S = nan"),
    "sequential, lambda 0": (lambda: sequential_bound(1.0, 1.0, 0.0), "lambda = 0.0: give numbers"),
    "many rows": (
        lambda: polyhedron_hoffman(np.ones((25, 12))),
        "A has 16777215 sets .* give fewer rows .20 always do",
    ),
    "flat A": (lambda: polyhedron_hoffman(np.ones(3)), "A has 1 dimensions: give 2"),
    "no row": (lambda: polyhedron_hoffman(np.ones((0, 3))), "A is empty"),
    "NaN in A": (lambda: polyhedron_hoffman(np.array([[np.nan, 1.0]])), "A has entries that are not finite"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_systems_that_make_no_sense_are_refused(make, message, unchecked):
    with pytest.raises(ValueError, match=message) as refusal:
        make()
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("lam2", [0.0, 0.3])
def test_unequal_weights_equal_the_norm_of_the_inverse_kkt_matrix(lam2):
    active, cross = example(40, 60, 5)
    weights = np.random.default_rng(0).uniform(0.05, 2.0, 55)
    expected = np.linalg.norm(kkt_inverse(active, cross, weights, lam2), 2)
    assert weighted_affine_hoffman_2(active, cross, weights, lam2) == pytest.approx(expected, rel=1e-12)


def test_equal_weights_are_the_unweighted_constant():
    active, cross = example(40, 60, 5)
    uniform = float(affine_hoffman(active, cross, 0.1, 0.0).h2)
    assert weighted_affine_hoffman_2(active, cross, np.full(55, 0.1)) == pytest.approx(uniform, rel=1e-12)


@pytest.mark.parametrize("lam", [0.1, 1.0, 4.0])
def test_an_orthonormal_design_has_the_larger_of_one_and_one_over_lambda(lam):
    draws = ReplayDraws(0)
    active, cross = blocks(orthonormal(draws, 40, 30), target(draws, 30, 5) != 0)
    found = affine_hoffman(active, cross, lam, 0.0)
    np.testing.assert_allclose([found.h2, found.lower2, found.h1, found.hinf], max(1, 1 / lam), rtol=1e-13)


@pytest.mark.parametrize("lam2", [0.0, 0.2])
def test_the_weyl_bound_is_an_upper_bound_where_it_is_finite(lam2):
    finite = 0
    for seed in range(20):
        active, cross = example(400, 6, 3, seed, rho=0.0)
        cross_norm, lam = np.linalg.norm(cross, 2), 0.4
        bound = weyl_bound(np.linalg.eigvalsh(active)[0] + lam2, cross_norm, lam)
        finite += np.isfinite(bound)
        assert affine_hoffman(active, cross, lam, lam2).h2 <= bound * (1 + 1e-12)
    assert finite == 20


def test_the_weyl_bound_is_infinite_where_the_interaction_is_as_large_as_the_curvature():
    assert weyl_bound(1.0, 0.1, 0.1) == weyl_bound(0.1, 0.2, 1.0) == np.inf
    assert weyl_bound(1.0, 0.0, 0.25) == 4


def test_the_sequential_bound_holds_up_to_a_factor_of_root_two():
    """It bounds the two block rows of M^{-1}, [P, 0] and [-B, c I], one at a time."""
    for seed in range(20):
        for rho in (0.0, 0.5, 0.9):
            active, cross = example(40, 60, 4, seed, rho)
            bound = sequential_bound(np.linalg.eigvalsh(active)[0], np.linalg.norm(cross, 2), 0.1)
            assert affine_hoffman(active, cross, 0.1, 0.0).h2 <= np.sqrt(2) * bound


def test_the_sequential_bound_is_the_larger_of_two_block_rows():
    assert sequential_bound(2.0, 6.0, 0.5) == 8  # (1 + 6 / 2) / .5
    assert sequential_bound(0.05, 0.0, 0.5) == 20
    assert sequential_bound(0.0, 1.0, 0.5) == weyl_bound(0.0, 1.0, 0.5) == np.inf  # a singular G_SS


def test_the_sequential_bound_alone_can_be_just_below_h2():
    active, cross, lam = np.array([[0.1]]), np.array([[0.1]]), 10.0
    assert sequential_bound(0.1, 0.1, lam) == pytest.approx(10)  # M^{-1} = [[10, 0], [-0.1, 0.1]]
    assert affine_hoffman(active, cross, lam, 0.0).h2 > 10.0004


@pytest.mark.parametrize("lam2", [0.0, 0.1])
def test_solutions_move_by_the_inverse_block_and_no_further_than_h2_allows(lam2):
    draws, lam = ReplayDraws(0), 0.1
    matrix, b = gaussian(draws, 60, 90), target(draws, 90, 5)
    y = matrix @ b + draws.normal(60, scale=0.05)
    before = find_optimum(elastic_net(matrix, y, lam, lam2)).x
    support = before != 0
    active, cross = blocks(matrix, support)
    h2 = affine_hoffman(active, cross, lam, lam2).h2
    for _ in range(5):
        change = draws.normal(60, scale=0.01)
        after = find_optimum(elastic_net(matrix, y + change, lam, lam2)).x
        assert np.array_equal(np.sign(after), np.sign(before))
        moved, force = after[support] - before[support], matrix.T @ change / 60
        expected = np.linalg.solve(active + lam2 * np.eye(len(active)), force[support])
        np.testing.assert_allclose(moved, expected, rtol=0, atol=1e-12)
        assert 0 < np.linalg.norm(moved) <= h2 * np.linalg.norm(force)


def distance(matrix, b, x):
    """From x to {z: Az <= b}, by the least-distance programme of Lawson and Hanson (one NNLS problem)."""
    violation = matrix @ x - b
    system, right = np.vstack([-matrix.T, violation]), np.eye(len(x) + 1)[-1]
    multipliers, _ = nnls(system, right, maxiter=1000)
    residual = system @ multipliers - right
    nearest = x - residual[:-1] / residual[-1]
    assert (matrix @ nearest - b).max() < 1e-8  # feasible, or the polyhedron is empty
    return np.linalg.norm(x - nearest)


def ratio(matrix, b, x):
    """dist(x, {Az <= b}) / ||(Ax - b)_+||."""
    return distance(matrix, b, x) / np.linalg.norm(np.maximum(matrix @ x - b, 0))


POLYHEDRA = [(4, 2), (6, 3), (7, 3), (3, 4)]


@pytest.mark.parametrize("shape", POLYHEDRA)
def test_no_point_and_no_polyhedron_exceeds_the_hoffman_constant(shape):
    random = np.random.default_rng(0)
    matrix = random.normal(size=shape)
    constant = polyhedron_hoffman(matrix)
    for _ in range(300):
        slack = random.choice([0.0, 1.0, 10.0], shape[0]) * random.uniform(size=shape[0])
        b = matrix @ random.normal(size=shape[1]) + slack
        x = random.normal(size=shape[1]) * 5
        if (matrix @ x > b).any():
            assert ratio(matrix, b, x) <= constant * (1 + 1e-8)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", POLYHEDRA)
def test_the_hoffman_constant_is_attained(shape, seed):
    matrix = np.random.default_rng(seed).normal(size=shape)
    reached = []
    for size in range(1, min(shape) + 1):
        for rows in map(list, combinations(range(shape[0]), size)):
            part = matrix[rows]
            for v in np.linalg.eigh(part @ part.T)[1].T:
                v = v * np.sign(v.sum())
                if (v > 0).all():
                    u = part.T @ np.linalg.solve(part @ part.T, v)  # A_I u = v, and u is in the cone of the rows
                    b = np.abs(matrix @ u) + 1  # only the rows of I count: zero is the nearest point
                    b[rows] = 0
                    reached.append(ratio(matrix, b, u))
    assert max(reached) == pytest.approx(polyhedron_hoffman(matrix), rel=1e-8)


def test_the_orthant_has_hoffman_constant_one():
    assert polyhedron_hoffman(-np.eye(4)) == 1


def test_a_half_space_has_one_over_the_norm_of_its_row():
    row = np.array([[3.0, 0.0, -4.0]])
    assert polyhedron_hoffman(row) == pytest.approx(1 / 5)
    assert polyhedron_hoffman(np.vstack([row, np.zeros((1, 3)), row, 2 * row])) == pytest.approx(1 / 5)


@pytest.mark.parametrize("degrees", [30, 90, 120, 179])
@pytest.mark.parametrize("length", [1.0, 3.0])
def test_a_wedge_has_the_constant_of_its_corner_when_it_is_acute(degrees, length):
    """Normals at an angle t: with c = cos t < 0 the corner counts, with the smaller eigenvalue of [[1, lc], [lc, l^2]],
    1 + c for unit normals; else only the edges do.
    """
    c = np.cos(np.radians(degrees))
    matrix = np.array([[1.0, 0.0], [length * c, length * np.sin(np.radians(degrees))]])
    smallest = (1 + length**2 - np.sqrt((1 - length**2) ** 2 + (2 * length * c) ** 2)) / 2
    expected = 1 / np.sqrt(smallest) if degrees > 90 else max(1, 1 / length)
    assert polyhedron_hoffman(matrix) == pytest.approx(expected, rel=1e-9)


def test_a_strip_is_as_well_conditioned_as_its_rows():
    assert polyhedron_hoffman(np.array([[2.0, 0.0], [-2.0, 0.0]])) == pytest.approx(0.5)  # dependent rows do not pair


@pytest.mark.parametrize("angle", [1e-3, 1e-6, 1e-9])
def test_a_needle_is_as_ill_conditioned_as_it_is_thin(angle):
    matrix = np.array([[1.0, 0.0], [-1.0, angle]])
    assert polyhedron_hoffman(matrix) == pytest.approx(np.sqrt(2) / angle, rel=1e-5)


def test_many_rows_in_the_plane_are_few_sets():
    angles = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    assert polyhedron_hoffman(np.c_[np.cos(angles), np.sin(angles)]) == pytest.approx(
        1 / np.sqrt(1 - np.cos(np.pi / 50))
    )
