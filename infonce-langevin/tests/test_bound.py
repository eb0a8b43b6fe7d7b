"""The finite-time bound against exact failure probabilities on the same grid, and the schedule that it recommends."""

import math

import numpy as np
import pytest
import torch

from infonce_langevin.energies import FrozenAnchor
from infonce_langevin.oracles.bound import chi_square_bound, recommend_schedule
from infonce_langevin.oracles.fokker_planck import evolve, gibbs_law, relaxation_rates
from infonce_langevin.oracles.landscapes import circle, critical_depth
from infonce_langevin.schedules import Fixed, Linear, Log

LANDSCAPE = circle(FrozenAnchor(), 120)
UNIFORM = np.full(120, 1 / 120)
DEPTH = critical_depth(LANDSCAPE).depth
HIGH = LANDSCAPE.energy >= LANDSCAPE.energy.min() + 0.5
TIMES = [1.0, 10.0, 100.0, 1000.0]


def exact(schedule, law=UNIFORM, times=TIMES):
    laws = evolve(LANDSCAPE, schedule, law, times, per_decade=120)
    distance = [
        math.sqrt(max((p**2 / gibbs_law(LANDSCAPE, float(schedule(torch.tensor(t))))).sum() - 1, 0))
        for p, t in zip(laws, times, strict=True)
    ]
    return laws[:, HIGH].sum(1), np.array(distance)


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75, 1.25])
@pytest.mark.parametrize("law", [UNIFORM, np.eye(120)[60]])
def test_the_bound_holds_for_the_failure_and_for_the_distance(ratio, law):
    """Beyond c* too, where it says nothing. The margin of 1 in 1000 is for the time steps of the exact solution."""
    schedule = Log(ratio / DEPTH, 2.0)
    bound = chi_square_bound(LANDSCAPE, schedule, law, TIMES, 0.5, nodes=40)
    failure, distance = exact(schedule, law)
    assert (failure <= bound.failure * 1.001).all() and (distance <= bound.distance * 1.001 + 1e-9).all()
    if ratio > 1:
        assert bound.failure[-1] == 1


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
def test_the_bound_is_tight_below_the_critical_rate(ratio):
    """Within 2.3 times the failure from T = 1000 on, as a prototype found."""
    schedule = Log(ratio / DEPTH, 2.0)
    bound = chi_square_bound(LANDSCAPE, schedule, UNIFORM, [1000.0, 10_000.0], 0.5, nodes=40)
    failure, _ = exact(schedule, times=[1000.0, 10_000.0])
    assert (bound.failure <= 2.3 * failure).all()
    exponent = math.log(failure[0] / failure[1]) / math.log(10)
    assert exponent == pytest.approx(ratio / DEPTH * 0.5, rel=0.15)  # q falls like t^-(c eps), up to powers of ln t


def test_at_a_fixed_beta_the_distance_decays_at_the_gap():
    bound = chi_square_bound(LANDSCAPE, Fixed(3.0), UNIFORM, [1.0, 11.0], 0.5)
    gap = relaxation_rates(LANDSCAPE, 3.0, 1)[0]
    assert math.log(bound.distance[0] / bound.distance[1]) / 10 == pytest.approx(gap, rel=1e-4)
    assert bound.gibbs == pytest.approx([gibbs_law(LANDSCAPE, 3.0)[HIGH].sum()] * 2, rel=1e-12)


def test_from_the_gibbs_law_at_a_fixed_beta_nothing_is_added():
    bound = chi_square_bound(LANDSCAPE, Fixed(3.0), gibbs_law(LANDSCAPE, 3.0), [5.0], 0.5)
    assert bound.failure == pytest.approx(bound.gibbs, rel=1e-6) and bound.distance[0] < 1e-6


def test_the_recommended_rate_is_below_the_critical_one_and_better_than_half_and_twice_of_it():
    """At T = 1e4 by the bound, and by the exact failure against the half; twice of it is beyond c*."""
    advice = recommend_schedule(DEPTH, 0.5, 1e4)
    assert advice.schedule.c < 1 / DEPTH and advice.schedule.offset == 2
    assert advice.exponent == pytest.approx(0.5 / (DEPTH + 0.25)) and advice.scale == pytest.approx(
        1e4**-advice.exponent
    )
    values = [
        chi_square_bound(LANDSCAPE, Log(factor * advice.schedule.c, 2.0), UNIFORM, [1e4], 0.5, nodes=40).failure[0]
        for factor in (0.5, 1.0, 2.0)
    ]
    assert values[1] < values[0] / 3 and values[2] == 1
    half, whole = (exact(Log(f * advice.schedule.c, 2.0), times=[1e4])[0][0] for f in (0.5, 1.0))
    assert whole < half / 3


def test_what_the_bound_does_not_cover_is_refused():
    for schedule in (Log(1.0), Linear(1.0)):
        with pytest.raises(ValueError, match="the bound is for schedules that start above 0"):
            chi_square_bound(LANDSCAPE, schedule, UNIFORM, TIMES, 0.5)
    with pytest.raises(ValueError, match="eps = 0.0"):
        chi_square_bound(LANDSCAPE, Log(1.0, 2.0), UNIFORM, TIMES, 0.0)
    with pytest.raises(ValueError, match="depth = -1.0: choose a finite number >= 0"):
        recommend_schedule(-1.0, 0.5, 100.0)
    assert recommend_schedule(0.0, 0.5, 100.0).schedule.c == 4
