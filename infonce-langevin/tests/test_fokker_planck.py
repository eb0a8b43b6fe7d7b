"""The jump process: its generator's identities, its evolution against a matrix exponential, and its rates.

"Prototype" numbers are those of an earlier, independent implementation.
"""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from scipy.sparse import linalg

from infonce_langevin.energies import FrozenAnchor, hard
from infonce_langevin.oracles.fokker_planck import evolve, generator, gibbs_law, mean_exit_times, relaxation_rates
from infonce_langevin.oracles.landscapes import circle, torus
from infonce_langevin.schedules import Fixed, Linear, Log, ending_at

RATE = math.sqrt(2) + 1  # c* of the hard anchor circle


def trapped(landscape, laws):
    return laws[:, np.abs(landscape.angles[:, 0] - np.pi) < np.pi / 4].sum(1)


def from_trap(landscape):
    return np.eye(landscape.size)[landscape.size // 2]


@pytest.mark.parametrize("landscape", [circle(FrozenAnchor(), 48), torus(hard, 8)])
@pytest.mark.parametrize("beta", [0.5, 20.0])
def test_the_generator_conserves_and_is_in_detailed_balance(landscape, beta):
    rates, pi = generator(landscape, beta), gibbs_law(landscape, beta)
    largest = abs(rates.diagonal()).max()
    assert abs(rates.sum(1)).max() <= 1e-9 * largest
    flow = rates.multiply(pi[:, None])
    assert abs(flow - flow.T).max() <= 1e-12 * abs(flow).max()
    assert abs(pi @ rates).max() <= 1e-12 * largest


def test_the_generator_is_that_of_the_diffusion():
    """(1 / beta) f'' - U' f' for a smooth f on the circle, to second order in the spacing."""
    errors = []
    for size in (200, 400):
        landscape = circle(FrozenAnchor(0.2), size)
        phi = landscape.angles[:, 0]
        slope = np.sin(phi) + np.tanh(np.sin(phi) / 0.2) * np.cos(phi)
        expected = -4 * np.cos(2 * phi) / 3 + slope * 2 * np.sin(2 * phi)
        errors.append(np.abs(generator(landscape, 3.0) @ np.cos(2 * phi) - expected).max())
    assert errors[1] < 0.05 and errors[0] / errors[1] == pytest.approx(4, rel=0.2)


def test_the_torus_lets_all_four_points_move():
    """Without energy the generator is that of four independent motions, here on f = cos(a_1 + a_2)."""
    landscape = torus(hard, 12)
    flat = type(landscape)(landscape.size, landscape.angles, 0 * landscape.energy, landscape.directions)
    f = np.cos(landscape.angles[:, 0] + landscape.angles[:, 1])
    h = landscape.spacing  # a_1 and a_2 by one step, and both by the first point: rates of cos and cos 2
    eigenvalue = (2 * (2 * math.cos(h) - 2) + (2 * math.cos(2 * h) - 2)) / h**2 / 2.0
    assert np.allclose(generator(flat, 2.0) @ f, eigenvalue * f, atol=1e-10)


def test_at_a_fixed_beta_the_law_is_that_of_the_matrix_exponential():
    landscape = circle(FrozenAnchor(), 64)
    times = [0.1, 1.0, 20.0]
    found = evolve(landscape, Fixed(5.0), from_trap(landscape), times)
    for time, law in zip(times, found, strict=True):
        exact = from_trap(landscape) @ expm(time * generator(landscape, 5.0).toarray())
        assert np.abs(law - exact).max() < 2e-4
    assert (
        np.abs(evolve(landscape, Fixed(5.0), gibbs_law(landscape, 5.0), [50.0]) - gibbs_law(landscape, 5.0)).max()
        < 1e-12
    )


def test_time_steps_are_of_second_order():
    landscape = circle(FrozenAnchor(), 96)
    runs = [evolve(landscape, Log(1.5 * RATE, 2.0), from_trap(landscape), [100.0], steps)[0] for steps in (25, 50, 400)]
    errors = [np.abs(run - runs[-1]).sum() for run in runs[:2]]
    assert errors[1] < 2e-3 and 3 < errors[0] / errors[1] < 5
    assert abs(runs[0].sum() - 1) < 1e-9


@pytest.mark.parametrize(
    "ratio, expected",  # prototype, T = 10, 1e2, 1e3; its steps in time were of first order, off by .004
    [
        (1.0, (0.186, 0.0148, 0.0004)),
        (1.5, (0.429, 0.247, 0.190)),
        (2.0, (0.641, 0.566, 0.555)),
        (3.0, (0.873, 0.866, 0.866)),
    ],
)
def test_the_sharp_transition_is_that_of_the_prototype(ratio, expected):
    landscape = circle(FrozenAnchor(), 480)
    found = evolve(landscape, Log(ratio * RATE, 2.0), from_trap(landscape), [10.0, 100.0, 1000.0])
    assert trapped(landscape, found) == pytest.approx(np.array(expected), abs=5e-3)


@pytest.mark.parametrize(
    "shape, expected",  # prototype, T = 100, beta_T = 40, uniform start
    [("exponential", 0.9993), ("cosine", 0.993), ("linear", 0.990), ("sqrt", 0.848), ("log", 0.787), ("fixed", 0.750)],
)
def test_shapes_at_an_equal_end_point_are_those_of_the_prototype(shape, expected):
    landscape = circle(FrozenAnchor(), 240)
    law = evolve(landscape, ending_at(shape, 40.0, 100.0), np.full(240, 1 / 240), [100.0])[0]
    assert law[landscape.energy < -0.5].sum() == pytest.approx(expected, abs=0.01)


def test_the_literal_coupling_traps_below_the_critical_rate():
    """Prototype: c / c* = .8 leaves .402 trapped for ever where the decoupled dynamics lets go of all."""
    landscape, schedule = circle(FrozenAnchor(), 320), Log(0.8 * RATE, 2.0)
    literal, decoupled = (
        trapped(landscape, evolve(landscape, schedule, from_trap(landscape), [1e5, 1e6], coupling=coupling))
        for coupling in ("literal", "decoupled")
    )
    assert literal == pytest.approx([0.402, 0.402], abs=0.01) and decoupled.max() < 1e-3


def test_relaxation_rates_are_those_of_the_dense_matrix_and_of_the_table():
    landscape = circle(FrozenAnchor(), 400)
    dense = np.sort(-np.linalg.eigvals(generator(landscape, 10.0).toarray()).real)[1:3]
    assert relaxation_rates(landscape, 10.0) == pytest.approx(dense, rel=1e-7)
    for tau, beta, gap in ((0.0, 20.0, 5.032e-4), (0.0, 40.0, 1.889e-7), (0.2, 20.0, 2.664e-3), (0.2, 40.0, 1.152e-5)):
        # the table's grid lies between the nodes of ours, which moves the hard barrier: 5 % at beta = 40
        assert relaxation_rates(circle(FrozenAnchor(tau), 400), beta, 1)[0] == pytest.approx(
            gap, rel=0.06 if tau == 0 else 1e-3
        )


def test_the_slope_of_the_gap_is_the_depth():
    """Prototype, beta 30 to 40: .2734 at tau = .2, where the depth is .2757; for the hard energy, depth .414, ours."""
    for tau, slope in ((0.2, 0.2734), (0.0, 0.400)):
        gaps = [relaxation_rates(circle(FrozenAnchor(tau), 400), beta, 1)[0] for beta in (30.0, 40.0)]
        assert math.log(gaps[0] / gaps[1]) / 10 == pytest.approx(slope, abs=1e-3)


def test_mean_exit_times_solve_their_equation_and_are_those_of_quadrature():
    landscape = circle(FrozenAnchor(0.2), 400)
    inside = landscape.energy < -0.5
    times = mean_exit_times(landscape, 5.0, inside)
    assert np.abs(generator(landscape, 5.0) @ times + 1)[~inside].max() < 1e-6 and (times[inside] == 0).all()
    direct = np.zeros(400)
    outside = np.flatnonzero(~inside)
    direct[outside] = linalg.spsolve(-generator(landscape, 5.0)[outside][:, outside].tocsc(), np.ones(len(outside)))
    assert times == pytest.approx(direct, rel=1e-6)
    # from the middle of an interval that is left at both ends: T = beta int_x^b exp(beta U) int_pi^y exp(-beta U)
    phi = np.linspace(np.pi, 2 * np.pi, 20001)
    u = FrozenAnchor(0.2).value(torch.from_numpy(np.stack([np.cos(phi), np.sin(phi)])[None])).numpy()
    phi, u = phi[u > -0.5], u[u > -0.5]
    h = phi[1] - phi[0]
    filled = np.cumsum(np.exp(-5 * u)) * h
    assert times[200] == pytest.approx(5 * np.sum(np.exp(5 * u) * filled) * h, rel=0.02)


@pytest.mark.parametrize("size, expected", [(32, 11.84), (48, 8.96)])
def test_exit_times_of_four_points_are_those_of_the_prototype(size, expected):
    landscape = torus(hard, size)
    at = landscape.node(np.array([np.pi, np.pi / 2, 3 * np.pi / 2]))
    assert mean_exit_times(landscape, 40.0, landscape.energy < 0.5)[at] == pytest.approx(expected, abs=0.01)


def test_times_must_increase():
    landscape = circle(FrozenAnchor(), 16)
    for times in ([0.0, 1.0], [2.0, 1.0]):
        with pytest.raises(ValueError, match="times must be positive and increase"):
            evolve(landscape, Linear(1.0), from_trap(landscape), times)
