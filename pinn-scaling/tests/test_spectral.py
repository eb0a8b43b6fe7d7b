"""The spectral solvers against solutions in closed form, another integrator, and each other."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from pinn_scaling.spectral import clamped, periodic

TIMES, POINTS = np.linspace(0, 5, 6), np.linspace(-20, 20, 57)  # not points of the solver's grid


def kdv(start, advection, times=TIMES, points=POINTS, step=1e-3, modes=1024, frame=0.0):
    return periodic(start, (-20.0, 20.0), lambda k: 1j * k**3, advection, times, points, step, modes, frame)


def soliton(x, t):
    """Of u_t + 6 u u_x + u_xxx = 0, with height 1 and speed 2."""
    return 1 / np.cosh(np.sqrt(0.5) * (x + 5 - 2 * t)) ** 2


def pulse(kappa):
    """The author's initial state."""
    return lambda x: kappa / np.cosh(np.sqrt(kappa / 2) * x) ** 2


def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def test_a_soliton_keeps_its_shape_and_speed():
    found = kdv(lambda x: soliton(x, 0), 6.0)
    assert relative(found.u, soliton(POINTS, TIMES[:, None])) < 1e-8


def test_in_its_own_frame_a_soliton_is_at_rest_for_any_step():
    coarse, lab = (kdv(lambda x: soliton(x, 0), 6.0, step=0.1, frame=speed) for speed in (2.0, 0.0))
    expected = soliton(POINTS, TIMES[:, None])
    assert relative(coarse.u, expected) < 1e-8 and relative(lab.u, expected) > 1e-4


def test_the_frame_makes_no_difference_when_steps_are_short():
    lab, moving = (kdv(pulse(2.0), 2.0, frame=speed) for speed in (0.0, 3.0))
    assert relative(moving.u, lab.u) < 1e-8


def test_halving_the_step_divides_the_error_by_sixteen():
    """u_t + u u_x = u_xx / 10 from -sin(pi x), just after the steepest moment."""

    def burgers(step):
        times, points = np.linspace(0, 0.5, 2), np.linspace(-1, 1, 57)
        start, symbol = lambda x: -np.sin(np.pi * x), lambda k: -(k**2) / 10
        return periodic(start, (-1.0, 1.0), symbol, 1.0, times, points, step, 64).u

    errors = [relative(burgers(1 / n), burgers(1 / 10000)) for n in (80, 160, 320)]
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 16, rtol=0.05)


@pytest.mark.parametrize("kappa", [0.25, 1.0, 2.0])
def test_mass_and_energy_do_not_drift(kappa):
    found = kdv(pulse(kappa), kappa)
    assert np.ptp(found.mass) <= 1e-14 and np.ptp(found.energy) / found.energy[0] <= 1e-10
    x = np.linspace(-20, 20, 20001)
    means = [np.trapezoid(pulse(kappa)(x) ** power, x) / 40 for power in (1, 2)]
    np.testing.assert_allclose([found.mass[0], found.energy[0]], means, rtol=1e-6)


def test_the_hardest_kappa_agrees_with_another_integrator():
    """Integrating factor exp(i k^3 t) and DOP853 for the 512 modes of kappa = 16, until the solitons have parted."""
    modes, kappa, times = 512, 16.0, np.linspace(0, 0.02, 2)
    k = 2 * np.pi / 40 * np.arange(modes // 2 + 1)
    kept, grid = np.arange(len(k)) <= modes // 3, -20 + 40 / modes * np.arange(modes)

    def slope(t, w):
        turn = np.exp(1j * k**3 * t)
        return -0.5j * kappa * k * kept / turn * np.fft.rfft(np.fft.irfft(turn * w) ** 2)

    run = solve_ivp(slope, times, np.fft.rfft(pulse(kappa)(grid)), "DOP853", rtol=1e-9, atol=1e-9, t_eval=times[-1:])
    expected = np.fft.irfft(np.exp(1j * k**3 * times[-1]) * run.y[:, 0])
    found = kdv(pulse(kappa), kappa, times, grid, 2e-6, modes, 110.0).u[-1]
    assert relative(found, pulse(kappa)(grid)) > 1 and relative(found, expected) < 1e-6


def test_between_grid_points_the_trigonometric_polynomial_is_evaluated():
    """A single wave of u_t = u_xx decays by exp(-k^2 t)."""
    points, times = np.array([0.0, 0.123, 1.7]), np.linspace(0, 0.5, 3)
    found = periodic(lambda x: 2 + np.cos(3 * x), (0.0, 2 * np.pi), lambda k: -(k**2), 0.0, times, points, 0.1, 16)
    np.testing.assert_allclose(found.u, 2 + np.exp(-9 * times[:, None]) * np.cos(3 * points), rtol=1e-13)


@pytest.mark.parametrize("times", [np.array([0.0, 1.0, 3.0]), np.array([1.0, 2.0, 3.0])])
def test_times_that_are_not_equally_spaced_from_0_are_refused(times):
    with pytest.raises(ValueError, match="times have to be equally spaced from 0"):
        kdv(pulse(1.0), 1.0, times)


def test_heat_flows_between_ends_of_fixed_temperature():
    points, times = np.linspace(0, 2, 9), np.linspace(0, 1, 5)
    exact = 1 + 2 * points + np.exp(-((np.pi / 2) ** 2) * times[:, None]) * np.sin(np.pi * points / 2)
    found = clamped(
        rate=lambda u, u_xx: u_xx,
        start=(lambda x: 1 + 2 * x + np.sin(np.pi * x / 2),),
        ends=(0.0, 2.0),
        faces=lambda t: (1, 5),
        times=times,
        points=points,
        modes=16,
    )
    np.testing.assert_allclose(found, exact, atol=1e-9)


def test_a_string_follows_its_moving_ends():
    """u = x t + cos(2 pi t) sin(2 pi x) solves u_tt = u_xx with the ends 0 and t."""
    points, times = np.linspace(0, 1, 9), np.linspace(0, 3, 7)
    t = times[:, None]
    found = clamped(
        rate=lambda u, u_xx: u_xx,
        start=(lambda x: np.sin(2 * np.pi * x), lambda x: x),
        ends=(0.0, 1.0),
        faces=lambda t: (0, t),
        times=times,
        points=points,
        modes=16,
    )
    np.testing.assert_allclose(found, points * t + np.cos(2 * np.pi * t) * np.sin(2 * np.pi * points), atol=1e-8)
