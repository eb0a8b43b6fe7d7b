"""Schedules: values, end points, published numbers of steps, and what is refused."""

import math

import numpy as np
import pytest
import torch

from infonce_langevin.schedules import (
    SHAPES,
    Cosine,
    Exponential,
    Fixed,
    Linear,
    Log,
    Sqrt,
    Tabulated,
    constant_speed,
    ending_at,
)

T = torch.tensor([0.0, 0.5, 3.0, 10.0], dtype=torch.float64)


@pytest.mark.parametrize(
    "schedule, formula",
    [
        (Log(2.0), lambda t: 2 * math.log(t + 1)),
        (Log(2.0, 2.0), lambda t: 2 * math.log(t + 2)),
        (Sqrt(3.0), lambda t: 3 * math.sqrt(t)),
        (Linear(3.0), lambda t: 3 * t),
        (Exponential(40.0, 10.0), lambda t: 0.5 * 80 ** (t / 10)),
        (Cosine(40.0, 10.0), lambda t: 20 * (1 - math.cos(math.pi * t / 10))),
        (Fixed(7.0), lambda t: 7.0),
        (Tabulated((0.0, 1.0, 10.0), (1.0, 3.0, 12.0)), lambda t: 1 + 2 * t if t < 1 else 2 + t),
    ],
)
def test_schedules_follow_their_formulas(schedule, formula):
    assert schedule(T).tolist() == pytest.approx([formula(t) for t in T.tolist()], abs=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("horizon", [1.0, 2000.0])
def test_equal_end_points_are_equal(shape, horizon):
    end = ending_at(shape, 100.0, horizon)(torch.tensor([horizon], dtype=torch.float64))
    assert float(end) == pytest.approx(100, rel=1e-12)
    several = ending_at(shape, torch.tensor([10.0, 100.0]), torch.tensor([horizon, 2 * horizon]))
    beta = several(torch.tensor([[horizon], [2 * horizon]]))
    assert beta.shape == (2, 2) and beta.diagonal().tolist() == pytest.approx([10, 100], rel=1e-5)


@pytest.mark.parametrize(
    "c, steps",  # author's experiment 1, column required_steps where the cap does not bind
    [(1.82253, 24051), (2.10457, 11477)],
)
def test_log_reaches_ten_after_the_published_number_of_steps(c, steps):
    assert Log(c).steps_to(10.0, 0.01) == pytest.approx(steps, abs=3)  # c is printed with six digits
    exact = 10 / math.log1p(steps * 0.01)
    assert Log(exact * (1 + 1e-12)).steps_to(10.0, 0.01) == steps


def test_steps_to_is_the_first_step_that_is_far_enough():
    for schedule in (Log(5.177), Log(25.0, 2.0)):
        steps = schedule.steps_to(10.0, 0.01)
        before, there = schedule(torch.tensor([steps - 1, steps], dtype=torch.float64) * 0.01).tolist()
        assert before < 10 <= there


def test_the_published_rate_at_an_equal_end_point():
    """Experiment 3, log, 100 steps of .01 to beta = 100: c = 144.27; 172 steps: 99.94."""
    assert ending_at("log", 100.0, 1.0).c == pytest.approx(144.26950408889635, rel=1e-12)
    assert ending_at("log", 100.0, 1.72).c == pytest.approx(99.93685187126843, rel=1e-12)


def test_at_an_equal_end_point_log_cools_fastest_early():
    early = {shape: float(ending_at(shape, 40.0, 100.0)(torch.tensor(1.0))) for shape in SHAPES if shape != "fixed"}
    assert early["log"] == max(early.values()) and early["log"] > 2 * early["linear"]


def test_constant_speed_moves_equal_lengths_in_equal_times():
    betas = np.linspace(1.0, 50.0, 200)
    schedule = constant_speed(betas, 1 / betas, 10.0)  # spread 1 / beta, as of a quadratic minimum
    at = schedule(torch.linspace(0, 10, 11, dtype=torch.float64))
    assert at.log().diff().tolist() == pytest.approx([math.log(50) / 10] * 10, rel=5e-3)  # trapezia
    slowed = constant_speed(betas, 1 / betas, 10.0, relaxation=betas)  # costs cancel: linear
    assert slowed(torch.tensor([2.5]).double()).tolist() == pytest.approx([1 + 49 / 4], rel=1e-6)


def test_bad_schedules_are_refused(unchecked):
    for make in (Log, Sqrt, Linear, Fixed, lambda c: Cosine(c, 1.0), lambda c: Exponential(1.0, c)):
        for c in (0.0, -1.0, math.inf, math.nan, torch.tensor([1.0, math.nan])):
            with pytest.raises(ValueError, match="choose finite numbers > 0"):
                make(c)
    with pytest.raises(ValueError, match="offset = 0.5: choose a finite K >= 1"):
        Log(1.0, 0.5)
    with pytest.raises(ValueError, match="unknown schedule 'cubic': choose from log, sqrt"):
        ending_at("cubic", 1.0, 1.0)
    with pytest.raises(ValueError, match="two or more increasing times"):
        Tabulated((0.0, 0.0), (1.0, 2.0))
    with pytest.raises(ValueError, match="one finite spread > 0"):
        constant_speed([1.0, 2.0], [1.0, 0.0], 3.0)
