"""Escape rates, Gibbs masses and barriers without a grid, against exact values of other oracles."""

import math

import numpy as np
import pytest
import torch
from states import doublets, square

from infonce_langevin.energies import FrozenAnchor, gradient, hard, infonce
from infonce_langevin.oracles.fokker_planck import evolve, relaxation_rates
from infonce_langevin.oracles.gibbs import gibbs_mass, low_temperature_law
from infonce_langevin.oracles.kramers import angular_hessian, escape_rate, stays_trapped
from infonce_langevin.oracles.landscapes import circle, critical_depth
from infonce_langevin.oracles.string_method import string_barrier
from infonce_langevin.schedules import Fixed, Log

SMOOTH = FrozenAnchor(0.2)


def kramers(beta):
    trap, saddle = (
        np.linalg.eigvalsh(angular_hessian(SMOOTH, torch.tensor([phi], dtype=torch.float64)).numpy())
        for phi in (math.pi, 2.3570)
    )
    assert trap[0] == pytest.approx(4.0, abs=1e-6) and saddle[0] == pytest.approx(-1.4045, abs=1e-3)
    return escape_rate(trap, saddle, 0.275754, beta, saddles=2)


def test_the_gap_tends_to_the_rate_of_eyring_and_kramers():
    """Measured / formula was .876, .941, .962 at beta = 20, 40, 60 in a prototype: the rest falls like 1 / beta."""
    landscape = circle(SMOOTH, 1600)
    ratios = [relaxation_rates(landscape, beta, 1)[0] / kramers(beta) for beta in (20.0, 40.0, 60.0)]
    assert ratios == pytest.approx([0.876, 0.941, 0.962], abs=2e-3)
    missing = [(1 - ratio) * beta for ratio, beta in zip(ratios, (20.0, 40.0, 60.0), strict=True)]
    assert max(missing) / min(missing) < 1.1


def test_rates_leave_out_symmetries_and_count_saddles():
    """Four points on the circle can be turned together: one zero eigenvalue at the trap and at the saddle."""
    trap, saddle = np.array([0.0, 1.0, 2.0, 4.0]), np.array([-0.5, 1e-17, 1.0, 3.0])
    found = escape_rate(trap, saddle, 0.1, 30.0, saddles=4, symmetries=1)
    assert found == pytest.approx(4 * 0.5 / (2 * math.pi) * math.sqrt(8 / 1.5) * math.exp(-3))
    with pytest.raises(ValueError, match="2 negative eigenvalues at the saddle"):
        escape_rate(trap, np.array([-1.0, -2.0, 1.0, 2.0]), 0.1, 30.0)


def test_angular_hessians_have_the_turn_of_all_points_as_their_zero():
    hessian = angular_hessian(infonce(0.1), torch.tensor([0, math.pi, math.pi / 2, 3 * math.pi / 2]))
    values = torch.linalg.eigvalsh(hessian)
    assert (hessian @ torch.ones(4, dtype=torch.float64)).abs().max() < 1e-12
    assert values[0].abs() < 1e-12 and (values[1:] > 0.1).all()  # a strict minimum otherwise
    gone = torch.linalg.eigvalsh(
        angular_hessian(infonce(0.26), torch.tensor([0, math.pi, math.pi / 2, 3 * math.pi / 2]))
    )
    assert gone[0] < 0  # it disappears at about .252


def test_the_adiabatic_law_is_that_of_fokker_planck_at_low_temperature():
    """From beta = 40 on the rate of the moment is all there is, to the 6 % that Kramers' formula is off there."""
    landscape, schedule = circle(SMOOTH, 400), Fixed(40.0)
    law = evolve(landscape, schedule, np.eye(400)[200], [3e4])[0]
    exact = law[np.abs(landscape.angles[:, 0] - np.pi) < np.pi / 4].sum()
    found = stays_trapped(kramers(0.0), 0.275754, schedule, 3e4)
    assert 0.5 < exact < 0.9 and math.log(exact) / math.log(found) == pytest.approx(0.941, abs=0.01)


def test_whether_anyone_stays_trapped_is_decided_at_the_critical_rate():
    climb = 0.275754
    for ratio, stays in ((0.7, False), (2.0, True)):
        late, later = (stays_trapped(0.5, climb, Log(ratio / climb, 2.0), horizon) for horizon in (1e6, 1e12))
        assert (later > 0.9 * late > 0.01) == stays and (later < 1e-6) == (not stays)
    exact = math.exp(-0.5 * (2**-1.0 - 102**-1.0))  # int (t + 2)^-2 at c = 2 / climb
    assert stays_trapped(0.5, climb, Log(2 / climb, 2.0), 100.0) == pytest.approx(exact, rel=1e-5)


def test_gibbs_masses_are_those_of_more_draws(unchecked):
    """A prototype with 52 million draws: .5505, .8661 and .9970 at beta = 6.002, 10 and 20; P(U < -1) = .9966 at 10."""
    found = gibbs_mass(hard, 4, 3, [6.002, 10.0, 20.0], [-1.5, -1.0], draws=2_000_000, seed=0, floor=-2.0)
    expected = torch.tensor([0.5505, 0.8661, 0.9970], dtype=torch.float64)
    assert ((found.value[:, 0] - expected).abs() < 4 * found.error[:, 0] + 1e-4).all()
    assert (found.error[:, 0] < torch.tensor([0.005, 0.004, 0.002])).all()
    assert float(found.value[1, 1]) == pytest.approx(0.9966, abs=4e-4)
    assert (found.effective.diff() < 0).all() and float(found.effective[2]) > 200


def test_errors_of_gibbs_masses_are_what_repetitions_scatter_by(unchecked):
    runs = [gibbs_mass(hard, 4, 3, [6.0], [-1.5], 50_000, seed, -2.0) for seed in range(30)]
    scatter = torch.stack([run.value[0, 0] for run in runs]).std()
    stated = torch.stack([run.error[0, 0] for run in runs]).mean()
    assert 0.7 < float(scatter / stated) < 1.4


def test_hot_masses_are_uniform_ones(unchecked):
    """P(U < -1.5) = .00285 at d = 3 and .0173 at d = 2, from 52 million draws."""
    for d, expected in ((3, 0.00285), (2, 0.0173)):
        found = gibbs_mass(hard, 4, d, [1e-9], [-1.5], 1_000_000, 0, -2.0)
        assert float(found.value[0, 0]) == pytest.approx(expected, abs=4 * float(found.error[0, 0]) + 5e-5)
        assert float(found.effective[0]) == pytest.approx(1e6, rel=1e-6)


def test_spread_is_the_standard_deviation_of_the_energy_by_quadrature(unchecked):
    landscape = circle(SMOOTH, 2000)
    weights = np.exp(-4 * landscape.energy)
    pi = weights / weights.sum()
    exact = math.sqrt(pi @ (landscape.energy - pi @ landscape.energy) ** 2)
    found = gibbs_mass(SMOOTH, 1, 2, [4.0], [0.0], 500_000, 0, -1.0)
    assert float(found.spread[0]) == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("beta, tolerance", [(10.0, 0.01), (20.0, 0.001)])
def test_the_low_temperature_law_is_near_the_gibbs_mass(beta, tolerance):
    assert low_temperature_law(beta, 0.5, 3) == pytest.approx({10.0: 0.8661, 20.0: 0.9970}[beta], abs=tolerance)
    assert low_temperature_law(beta, 0.5, 3) == pytest.approx(
        1 - math.exp(-beta / 2) * (1 + beta / 2 + beta**2 / 8), rel=1e-12
    )


@pytest.mark.parametrize("tau", [0.1, 0.2])
def test_the_string_finds_the_saddle_of_the_anchor_circle(tau, unchecked):
    energy = FrozenAnchor(tau)
    ends = torch.tensor([[[-1.0], [0.0]]]).double(), torch.tensor([[[1.0], [0.0]]]).double()
    found = string_barrier(energy, *ends, seed=0, strings=2, relaxing=500, climbing=500)
    assert found.depth == pytest.approx(critical_depth(circle(energy, 4000)).depth, abs=1e-6) and found.residual < 1e-10


def test_the_string_finds_the_barrier_of_four_points(unchecked):
    """Grids of 144 a turn say .02805 at tau = .1, from nodes beside the saddle; the plain string stays below."""
    found = string_barrier(infonce(0.1), square(), doublets(), seed=0, strings=4, relaxing=1000, climbing=1000)
    assert found.residual < 1e-8 and found.depth == pytest.approx(0.02805, abs=3e-4)
    assert 0.9 * found.depth < float(found.path.max() - found.path[0]) < found.depth
    values = torch.linalg.eigvalsh(infonce(0.1).hessian(found.saddle))[0]
    assert int((values < -1e-6).sum()) == 1  # a saddle of the first kind
    assert gradient(infonce(0.1), found.saddle).abs().max() < 1e-8


def test_kinks_are_refused_by_the_string():
    with pytest.raises(ValueError, match="the string method needs a smooth energy"):
        string_barrier(hard, square(), doublets(), seed=0)
