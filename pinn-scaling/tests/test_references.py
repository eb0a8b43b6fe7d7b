"""The computed solutions of the problems against exact ones, and the published KdV problem against its "truth"."""

import numpy as np
import pytest

from pinn_scaling import published
from pinn_scaling.pdes import PDES
from pinn_scaling.references import REFERENCES, evolve_kdv_published
from pinn_scaling.truth import distance

KAPPAS = {
    "poisson": (1.0,),
    "sine_gordon": (0.25, 16.0),
    "sine_gordon_moving": (0.25, 16.0),
    "allen_cahn": (4.0, 256.0),
    "kdv": (0.25, 16.0),
    "burgers": (4.0, 256.0),
}


@pytest.mark.parametrize(("name", "kappa"), [(name, kappa) for name, kappas in KAPPAS.items() for kappa in kappas])
def test_the_solvers_reach_the_exact_solutions(name, kappa):
    assert distance(PDES[name], kappa) < 2e-6


def test_every_problem_has_a_reference():
    assert REFERENCES.keys() == PDES.keys()


@pytest.mark.parametrize(("kappa", "expected"), published.KDV_TRUTH_DISTANCE.items())
def test_the_published_kdv_truth_is_far_from_the_solution(kappa, expected):
    assert distance(PDES["kdv_published"], kappa, (31, 31)) == pytest.approx(expected, rel=0.02)


def test_kappa_6_of_the_published_problem_is_one_soliton_of_speed_12():
    """6 sech^2(sqrt(3) (x - 12 t)), which goes round: it passes x = 20 at t = 1.7."""
    times, points = np.linspace(0, 5, 11), np.linspace(-20, 20, 81)
    x = (points - 12 * times[:, None] + 20) % 40 - 20
    found = evolve_kdv_published(6.0, times, points)
    np.testing.assert_allclose(found.u, 6 / np.cosh(np.sqrt(3) * x) ** 2, atol=6e-8)


def test_the_published_problem_conserves_mass_and_energy_at_kappa_8():
    found = evolve_kdv_published(8.0, np.linspace(0, 1, 3), np.zeros(1))
    assert np.ptp(found.mass) <= 1e-14 and np.ptp(found.energy) / found.energy[0] <= 1e-9


def test_the_published_problem_is_refused_where_it_is_not_resolved():
    with pytest.raises(ValueError, match="kappa = 20: the published KdV problem has no reference above 16"):
        evolve_kdv_published(20.0, np.linspace(0, 1, 3), np.zeros(1))
