"""`check_truth` passes solutions and fails everything else, the published KdV first of all."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinn_scaling.pdes import PDES
from pinn_scaling.pdes.sine_gordon import kink
from pinn_scaling.truth import TruthReport, check_truth, derivatives

RIGHT = [
    (name, kappa)
    for name, pde in PDES.items()
    if name != "kdv_published"
    for kappa in sorted({pde.kappa_range[0], pde.kappas[len(pde.kappas) // 2], pde.kappa_range[1]})
]
"""Every problem but the published KdV, at the ends of its range and in between."""


def claiming(name, truth):
    """The problem of that name with another solution."""
    return replace(PDES[name], truth=truth)


def shifted(name, by):
    """The problem with its solution at z + by(z)."""
    return claiming(name, lambda z, kappa: PDES[name].truth(z + by(z), kappa))


WRONG = {
    "kink of another speed": (claiming("sine_gordon_moving", kink("", 0.4).truth), "initial"),
    "kink at rest in the wrong place": (shifted("sine_gordon", lambda z: jnp.array([0, 15.0])), "faces"),
    "top of the potential": (claiming("sine_gordon", lambda z, kappa: 0 * z[..., 1] + jnp.pi), "initial"),
    "front from 1 to -1": (shifted("allen_cahn", lambda z: -2 * z), "left"),
    "soliton from elsewhere": (shifted("kdv", lambda z: jnp.array([0, 1.0])), "initial"),
    "soliton from the future": (shifted("kdv", lambda z: jnp.array([200.0, 0])), "right"),
    "arc on a slope": (claiming("poisson", lambda z, kappa: PDES["poisson"].truth(z, kappa) + z[..., 0]), "right"),
    "sine from another place": (shifted("burgers", lambda z: jnp.array([0, 0.1])), "initial"),
}
"""Solutions of the equation that are not those of the problem, and a condition that they violate."""


@pytest.mark.parametrize(("name", "kappa"), RIGHT)
def test_the_truths_are_solutions(name, kappa):
    report = check_truth(PDES[name], kappa, reference=kappa <= 256)
    assert report.passes, report
    assert report.residual <= 1e-12 * report.scale and (report.distance is None) == (kappa > 256)


@pytest.mark.parametrize("kappa", PDES["kdv_published"].kappas)
def test_the_published_kdv_truth_fails_at_every_kappa(kappa):
    report = check_truth(PDES["kdv_published"], kappa, reference=kappa <= 1)
    assert report.residual > 1e-2 and not report.passes
    assert (report.distance > 0.4) if kappa <= 1 else report.distance is None


@pytest.mark.parametrize("kappa", [0.25, 4.0])
def test_the_residual_of_the_published_kdv_truth_is_the_one_derived_by_hand(kappa):
    """With f = sech^2(s), s = sqrt(kappa / 2) (x - kappa t): F = kappa^2 sqrt(kappa / 2) f'(s) (1 + (kappa - 6) f)."""
    s = np.linspace(-5, 5, 100001)
    f = 1 / np.cosh(s) ** 2
    expected = abs(kappa**2 * np.sqrt(kappa / 2) * 2 * np.tanh(s) * f * (1 + (kappa - 6) * f)).max()
    found = check_truth(PDES["kdv_published"], kappa, reference=False).residual
    assert found == pytest.approx(expected, rel=0.02) and found == pytest.approx({0.25: 0.057, 4.0: 10}[kappa], rel=0.1)


def test_kappa_6_has_a_soliton_of_that_height_with_twice_the_published_speed():
    """6 sech^2(sqrt(3) (x - 12 t)) solves the published equation; it reaches the end of the periodic domain."""
    exact = claiming("kdv_published", lambda z, kappa: 6 / jnp.cosh(jnp.sqrt(3) * (z[..., 1] - 12 * z[..., 0])) ** 2)
    report = check_truth(exact, 6.0, reference=False)
    assert report.residual < 1e-12 * report.scale and report.conditions["initial"] < 1e-12
    assert report.conditions["jump"] > 0.5 and not report.passes


@pytest.mark.parametrize(("pde", "site"), WRONG.values(), ids=WRONG)
def test_other_solutions_of_the_equation_fail_by_their_conditions(pde, site):
    report = check_truth(pde, pde.kappas[0], reference=False)
    assert report.residual <= 1e-12 * report.scale
    assert report.conditions[site] > 1e-2 and not report.passes


def test_a_slightly_wrong_front_fails_by_its_residual():
    front = claiming("allen_cahn", lambda z, kappa: PDES["allen_cahn"].truth(z, kappa * (1 + 1e-6)))
    report = check_truth(front, 16.0, reference=False)
    assert 1e-8 < report.residual < 1e-5 and max(report.conditions.values()) < 1e-5 and not report.passes


def test_each_part_of_the_report_decides():
    good = TruthReport("mine", 1.0, 1e-14, 10.0, {"initial": 0.0, "left": 1e-6}, 1e-7)
    assert good.passes and replace(good, distance=None).passes
    for change in ({"residual": 1e-7}, {"conditions": {"initial": 0.0, "left": 1e-4}}, {"distance": 1e-4}):
        assert not replace(good, **change).passes
    parts = "(residual 1e-14, initial 0, left 1e-06, distance from the reference 1e-07)"
    assert str(good) == f"mine, kappa = 1: the claimed solution solves the problem {parts}"
    assert "does NOT solve the problem" in str(replace(good, distance=1.0))


def test_a_nan_does_not_pass():
    good = TruthReport("mine", 1.0, 1e-14, 10.0, {"initial": 0.0}, 1e-7)
    for change in ({"residual": np.nan}, {"conditions": {"initial": 0.0, "left": np.nan}}, {"distance": np.nan}):
        assert not replace(good, **change).passes


def test_the_worst_of_several_conditions_at_a_site_counts():
    poisson = PDES["poisson"]
    met, broken = poisson.conditions[0], replace(poisson.conditions[0], equations=(lambda d, z, kappa: d.u - 1,))
    for conditions in ((met, broken), (broken, met)):
        report = check_truth(replace(poisson, conditions=conditions), 1.0)
        assert report.conditions["left"] == pytest.approx(np.pi**2, rel=1e-4) and not report.passes


def test_zero_is_no_solution_where_something_drives_u():
    report = check_truth(claiming("poisson", lambda z, kappa: 0 * z[..., 0]), 1.0, reference=False)
    assert report.residual == pytest.approx(1, rel=1e-4) and not report.passes and report.conditions["left"] == 0


def test_a_problem_of_ones_own_is_checked_without_a_reference():
    mine = replace(PDES["poisson"], name="mine")
    assert check_truth(mine, 1.0).distance is None and check_truth(mine, 1.0).passes


def test_kappa_out_of_range_is_refused():
    with pytest.raises(ValueError, match="kappa = 20 is out of range for kdv: choose 0.01 <= kappa <= 18"):
        check_truth(PDES["kdv"], 20.0)


def test_derivatives_are_those_of_a_polynomial():
    pde = claiming("kdv", lambda z, kappa: kappa * z[..., 0] ** 2 * z[..., 1] ** 4)
    z = jax.random.uniform(jax.random.key(0), (5, 2), dtype=float)
    t, x = z.T
    found = derivatives(pde, ("u", "u_t", "u_tt", "u_x", "u_xx", "u_xxx", "u_xxxx"), z, 3.0)
    expected = t**2 * x**4, 2 * t * x**4, 2 * x**4, 4 * t**2 * x**3, 12 * t**2 * x**2, 24 * t**2 * x, 24 * t**2
    np.testing.assert_allclose(found, 3 * jnp.stack(expected), rtol=1e-12)
