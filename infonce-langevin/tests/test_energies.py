"""Energies, slopes, Hessians and minima against loops, automatic differentiation, lightly and exact values."""

import math

import pytest
import torch
from lightly.loss import NTXentLoss
from states import CONTRASTIVE, ENERGIES, doublets, square, states

from infonce_langevin.descent import descend
from infonce_langevin.energies import Contrastive, FrozenAnchor, dcl, gradient, hard, hard_incl, infonce
from infonce_langevin.spheres import on_circle


def naive(energy, z):
    """The module's formulas, anchor by anchor; z is (n, d) of one chain."""
    total = 0.0
    for i in range(len(z)):
        partner = i + 1 if i % 2 == 0 else i - 1
        terms = [z[i] @ z[k] for k in range(len(z)) if k != i and (energy.positive or k != partner)]
        terms = torch.stack(terms)
        free = terms.max() if energy.tau == 0 else energy.tau * (terms / energy.tau).exp().sum().log()
        total = total + free - z[i] @ z[partner]
    return total / len(z)


@pytest.mark.parametrize("n, d", [(4, 2), (4, 3), (6, 3), (8, 4)])
@pytest.mark.parametrize("energy", CONTRASTIVE)
def test_values_and_slopes_are_those_of_the_formula(energy, n, d):
    z = states(n, d)
    value, slope = energy.value_and_slope(z)
    for c in range(z.shape[2]):
        one = z[..., c].clone().requires_grad_()
        expected = naive(energy, one)
        (derivative,) = torch.autograd.grad(expected, one)
        assert abs(value[c] - expected) <= 1e-12
        assert (slope[..., c] - derivative).abs().max() <= 1e-12


@pytest.mark.parametrize("energy", CONTRASTIVE)
def test_hessians_are_the_second_derivatives_on_normalised_rows(energy):
    z = states(4, 3, chains=3)
    found = energy.hessian(z)
    for c in range(3):

        def of_rows(flat):
            rows = flat.view(4, 3)
            return naive(energy, rows / rows.norm(dim=1, keepdim=True))

        expected = torch.autograd.functional.hessian(of_rows, z[..., c].reshape(-1))
        assert (found[c] - expected).abs().max() <= 1e-12


@pytest.mark.parametrize("energy", ENERGIES)
def test_gradients_are_tangent(energy):
    z = states(1, 2) if isinstance(energy, FrozenAnchor) else states(6, 4)
    assert ((gradient(energy, z) * z).sum(1)).abs().max() <= 1e-14


@pytest.mark.parametrize("tau", [0.07, 0.5])
def test_infonce_over_tau_is_lightlys_nt_xent(tau):
    z = states(16, 8, chains=1)
    expected = NTXentLoss(temperature=tau)(z[0::2, :, 0], z[1::2, :, 0])
    assert float(infonce(tau).value(z)[0] / tau) == pytest.approx(float(expected), abs=1e-7)


@pytest.mark.parametrize("energy", CONTRASTIVE)
def test_energies_do_not_change_under_rotations(energy):
    z = states(6, 3)
    turn, _ = torch.linalg.qr(states(3, 3, chains=1)[..., 0])
    assert (energy.value(torch.einsum("kd,ndc->nkc", turn, z)) - energy.value(z)).abs().max() <= 1e-12


def test_limits_are_limits():
    """tau log(m) is how far a log-sum-exp of m terms may be above the largest."""
    z = states(6, 3, chains=50)
    for sharp, limit, terms in ((dcl(1e-3), hard, 4), (infonce(1e-3), hard_incl, 5)):
        above = sharp.value(z) - limit.value(z)
        assert (above >= -1e-12).all() and (above <= 1e-3 * math.log(terms)).all()
    assert hard.at(0.3) is hard and dcl(0.1).at(0.3) == dcl(0.3)


def test_a_temperature_per_chain_is_that_of_each():
    z, tau = states(4, 3, chains=2), torch.tensor([0.1, 0.7], dtype=torch.float64)
    both = infonce(0.5).at(tau).value(z)
    alone = [float(infonce(t).value(z[..., k : k + 1])[0]) for k, t in enumerate(tau.tolist())]
    assert both.tolist() == pytest.approx(alone, abs=1e-14)


@pytest.mark.parametrize(
    "energy, n, d", [(infonce(0.5), 4, 2), (infonce(0.5), 6, 3), (infonce(0.5), 8, 3), (dcl(0.5), 6, 3)]
)
def test_descent_finds_the_exact_minimum_and_nothing_below_it(energy, n, d, unchecked):
    least = energy.minimum(n, d)
    found = energy.value(descend(energy, states(n, d, chains=10), 500, step=0.5))
    assert float(found.min()) == pytest.approx(least, abs=1e-8)
    assert (found >= least - 1e-12).all()


def test_known_values_of_four_points():
    assert float(hard.value(doublets())[0]) == pytest.approx(-2, abs=1e-14) == hard.minimum(4, 2)
    assert float(hard.value(square())[0]) == pytest.approx(1, abs=1e-12)
    expected = 1 + 0.1 * math.log(2 + math.exp(-10))  # 1.06932
    assert float(infonce(0.1).value(square())[0]) == pytest.approx(expected, abs=1e-12)
    highest = on_circle(torch.tensor([0.0, math.pi, 0.0, math.pi], dtype=torch.float64)[:, None])
    assert float(hard.value(highest)[0]) == pytest.approx(2, abs=1e-12)


def test_the_written_limit_does_not_tell_collapse_from_its_minimum():
    """With the positive in the maximum all these have U = 0."""
    collapsed = on_circle(torch.zeros(4, 1, dtype=torch.float64))
    loose = on_circle(torch.tensor([0.0, 0.45, math.pi, math.pi + 0.45], dtype=torch.float64)[:, None])
    for z in (doublets(), collapsed, loose):
        assert float(hard_incl.value(z)[0]) == pytest.approx(0, abs=1e-12)
    assert float(hard.value(collapsed)[0]) == pytest.approx(0, abs=1e-12) and float(hard.value(loose)[0]) < -1.7


@pytest.mark.parametrize("tau", [0.0, 0.2])
def test_the_frozen_anchor_has_the_energy_it_says(tau):
    phi = torch.linspace(-3, 3, 41, dtype=torch.float64)
    if tau:
        expected = -phi.cos() + tau * (2 * (phi.sin() / tau).cosh()).log()
    else:
        expected = -phi.cos() + phi.sin().abs()
    z = on_circle(phi[None])
    assert (FrozenAnchor(tau).value(z) - expected).abs().max() <= 1e-12
    moved = z.clone().requires_grad_()
    (slope,) = torch.autograd.grad(FrozenAnchor(tau).value(moved).sum(), moved)
    assert (FrozenAnchor(tau).value_and_slope(z)[1] - slope).abs().max() <= 1e-12


@pytest.mark.parametrize("energy", [infonce(0.5), infonce(0.1), dcl(0.2)])
@pytest.mark.parametrize("n, d", [(4, 3), (6, 2)])
def test_no_tangent_curvature_is_above_the_stated_smoothness(energy, n, d):
    z = states(n, d, chains=200)
    rows = z.permute(2, 0, 1)[..., None] * torch.eye(n, dtype=z.dtype)[:, None]  # (chains, n, d, n)
    along = torch.eye(n * d, dtype=z.dtype) - rows.flatten(1, 2) @ rows.flatten(1, 2).mT
    curvature = torch.linalg.eigvalsh(along @ energy.hessian(z) @ along).amax()
    assert 0.02 * energy.smoothness(n) < curvature < energy.smoothness(n)


def test_descent_never_rises_with_small_steps_and_does_with_large_ones(unchecked):
    """At tau = .1: steps of .1 are safe, of .5 are not."""
    energy, rises = infonce(0.1), []
    for step in (2 / infonce(0.1).smoothness(4), 0.1, 0.5):
        now, worst = states(4, 3, chains=2000), 0.0
        for _ in range(60):
            then = descend(energy, now, 1, step)
            worst = max(worst, float((energy.value(then) - energy.value(now)).max()))
            now = then
        rises.append(worst)
    assert max(rises[:2]) <= 1e-12 and rises[2] > 1e-3


def test_the_toy_has_no_traps_and_four_points_on_the_circle_have(unchecked):
    """No descent on the sphere is trapped, of those on the circle .5 to .8 % are, at the square."""
    energy = infonce(0.1)
    ends = energy.value(descend(energy, states(4, 3, chains=1500), 1500, step=0.1))
    assert (ends < 0.01).all()
    ends = energy.value(descend(energy, states(4, 2, chains=1500), 1500, step=0.1))
    trapped = (ends - energy.value(square())).abs() < 1e-6
    assert ((ends < 0.01) | trapped).all() and 3 <= int(trapped.sum()) <= 20


def test_bad_temperatures_and_sizes_are_refused():
    for make in (infonce, dcl):
        for tau in (0.0, -1.0, math.inf, math.nan):
            with pytest.raises(ValueError, match="choose a finite temperature > 0"):
                make(tau)
    with pytest.raises(ValueError, match="tau = -0.5"):
        Contrastive(-0.5, True)
    with pytest.raises(ValueError, match="5 pairs in R.3: the minimum is known for 2 to 4 pairs"):
        hard.minimum(10, 3)
